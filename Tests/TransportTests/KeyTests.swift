import Foundation
import Testing

@testable import Transport

@Suite struct KeyTests {
    @Test func aSecretGivesItsPublicKeyAndHidesItself() throws {
        let pair = try KeyPair.generate()
        #expect(pair.publicKey.utf8.count == 40 && pair.secretKey.utf8.count == 40)
        #expect(try KeyPair.publicKey(ofSecret: pair.secretKey) == pair.publicKey)
        #expect(try KeyPair(secretKey: pair.secretKey) == pair)
        #expect(!"\(pair)".contains(pair.secretKey))
        #expect(try KeyPair.generate() != pair)
    }

    /// One in 85 would, and be taken for an option on a command line.
    @Test func noPublicKeyBeginsWithAHyphen() throws {
        for _ in 0..<1000 { #expect(try !KeyPair.generate().publicKey.hasPrefix("-")) }
    }

    @Test(arguments: ["", "short", String(repeating: "~", count: 40), String(repeating: "#", count: 40)])
    func refusesWhatIsNoKey(_ text: String) {
        #expect(throws: TransportError.self) { try KeyPair.publicKey(ofSecret: text) }
        #expect(throws: TransportError.self) { try KeyFile.readPublic(text) }
    }

    @Test func writesFilesThatItReads() throws {
        let folder = try TemporaryFolder()
        let pair = try KeyPair.generate()
        let paths = try KeyFile.write(pair, directory: folder.path + "/new/keys", name: "worker-1")
        #expect(paths.publicPath.hasSuffix("/worker-1.key") && paths.secretPath.hasSuffix("/worker-1.secret"))
        #expect(try KeyFile.readPublic(paths.publicPath) == pair.publicKey)
        #expect(try KeyFile.readPublic(pair.publicKey) == pair.publicKey)
        #expect(try KeyFile.readPublic(paths.secretPath) == pair.publicKey)
        #expect(try KeyFile.readSecret(paths.secretPath) == pair)
        let mode = try FileManager.default.attributesOfItem(atPath: paths.secretPath)[.posixPermissions] as? Int
        #expect(mode == 0o600)
        #expect(throws: TransportError.self) {
            try KeyFile.write(pair, directory: folder.path + "/new/keys", name: "worker-1")
        }
    }

    @Test func refusesASecretThatEverybodyCanRead() throws {
        let folder = try TemporaryFolder()
        let path = try KeyFile.write(try KeyPair.generate(), directory: folder.path, name: "a").secretPath
        try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: path)
        #expect(throws: TransportError.exposedSecret(path: path)) { try KeyFile.readSecret(path) }
    }

    @Test func saysWhatIsWrongWithAFileWithoutItsText() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/bad.secret"
        for text in ["", "# only a comment\n", "damaged-secret\n", "a\nb\n", String(repeating: "x", count: 5000)] {
            _ = FileManager.default.createFile(
                atPath: path, contents: Data(text.utf8), attributes: [.posixPermissions: 0o600])
            let error = try #require(throws: TransportError.self) { try KeyFile.readSecret(path) }
            #expect("\(error)".contains(path) && !"\(error)".contains("damaged-secret"))
        }
        #expect(throws: TransportError.self) { try KeyFile.readSecret(folder.path + "/none") }
        #expect(throws: TransportError.self) { try KeyFile.readPublic(folder.path) }
    }

    @Test(arguments: ["", ".", "..", ".hidden", "a/b", "a b", "ä", String(repeating: "a", count: 65)])
    func refusesNames(_ name: String) {
        #expect(throws: TransportError.invalidName(name)) { try KeyFile.checkedName(name) }
    }

    @Test func acceptsNames() throws {
        for name in ["a", "Worker_1.lab-3", String(repeating: "a", count: 64)] {
            #expect(try KeyFile.checkedName(name) == name)
        }
    }

    @Test func anAllowListSeesWhatAnotherProcessChanges() throws {
        let folder = try TemporaryFolder()
        let (running, other) = (
            AllowList(directory: folder.path + "/allowed"), AllowList(directory: folder.path + "/allowed")
        )
        let (first, second) = (try KeyPair.generate().publicKey, try KeyPair.generate().publicKey)
        #expect(running.lookup(first) == nil && running.list() == [])
        try other.allow(key: second, name: "b")
        try other.allow(key: first, name: "a")
        #expect(running.lookup(first) == "a")
        #expect(running.list().map(\.name) == ["a", "b"])
        try other.revoke(name: "a")
        #expect(running.lookup(first) == nil && running.lookup(second) == "b")
        #expect(throws: TransportError.nameNotAllowed(name: "a", directory: other.directory)) {
            try other.revoke(name: "a")
        }
    }

    @Test func anAllowListRefusesDoublesAndForeignFiles() throws {
        let folder = try TemporaryFolder()
        let list = AllowList(directory: folder.path)
        let (first, second) = (try KeyPair.generate().publicKey, try KeyPair.generate().publicKey)
        try list.allow(key: first, name: "a")
        try list.allow(key: first, name: "a")
        #expect(throws: TransportError.keyAlreadyAllowed(name: "a")) { try list.allow(key: first, name: "b") }
        #expect(throws: TransportError.nameAlreadyAllowed(name: "a")) { try list.allow(key: second, name: "a") }
        #expect(throws: TransportError.invalidName("../x")) { try list.allow(key: second, name: "../x") }
        #expect(throws: TransportError.invalidName("../x")) { try list.revoke(name: "../x") }
        #expect(throws: TransportError.self) { try list.allow(key: "x", name: "c") }
        try Data("no key\n".utf8).write(to: URL(fileURLWithPath: folder.path + "/z.key"))
        try Data((second + "\n").utf8).write(to: URL(fileURLWithPath: folder.path + "/notes.txt"))
        #expect(list.list() == [AllowedKey(name: "a", publicKey: first)])
        #expect(list.lookup(second) == nil)
    }

    @Test func anAllowListIsReadAgainOnlyWhenItsFolderChanged() throws {
        let folder = try TemporaryFolder()
        let list = AllowList(directory: folder.path)
        let (first, second) = (try KeyPair.generate().publicKey, try KeyPair.generate().publicKey)
        try list.allow(key: first, name: "a")
        let old = Date(timeIntervalSince1970: 1_000_000_000)
        try FileManager.default.setAttributes([.modificationDate: old], ofItemAtPath: folder.path)
        #expect(list.lookup(first) == "a")
        // Behind the list's back: the folder claims to be as old as before.
        try AllowList(directory: folder.path).allow(key: second, name: "b")
        try FileManager.default.setAttributes([.modificationDate: old], ofItemAtPath: folder.path)
        #expect(list.lookup(second) == nil)
        try FileManager.default.setAttributes([.modificationDate: Date()], ofItemAtPath: folder.path)
        #expect(list.lookup(second) == "b")
    }
}
