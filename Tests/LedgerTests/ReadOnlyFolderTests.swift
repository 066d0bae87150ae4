import Federation
import Foundation
import Testing

@testable import Ledger

/// A state folder that may only be read: another user's, or on a medium that cannot be written.
struct ReadOnlyFolderTests {
    /// Does `body` as somebody who owns nothing: root may write everywhere.
    private func asAnotherUser<Result>(_ body: () throws -> Result) throws -> Result {
        guard geteuid() == 0 else { return try body() }
        // Of this thread only. The name is not in Swift's module of the C library.
        let symbol = try #require(dlsym(UnsafeMutableRawPointer(bitPattern: 0), "setfsuid"))
        let setUser = unsafeBitCast(symbol, to: (@convention(c) (UInt32) -> Int32).self)
        _ = setUser(65534)
        defer { _ = setUser(0) }
        return try body()
    }

    /// - Parameter isKilled: whether the writer's write-ahead log is still there.
    private func folder(isKilled: Bool) throws -> StateFolder {
        let folder = try StateFolder()
        let ledger = try Ledger.open(directory: folder.path)
        try ledger.append([.contributionAccepted(LedgerTests.facts)])
        guard isKilled else { return folder }
        let copy = try StateFolder()
        for name in ["ledger.sqlite", "ledger.sqlite-wal"] {
            try FileManager.default.copyItem(atPath: "\(folder.path)/\(name)", toPath: "\(copy.path)/\(name)")
        }
        return copy
    }

    private func setWritable(_ folder: StateFolder, _ isWritable: Bool) throws {
        try FileManager.default.setAttributes(
            [.posixPermissions: isWritable ? 0o755 : 0o555], ofItemAtPath: folder.path)
    }

    @Test(arguments: [false, true])
    func aLedgerIsReadWhereNothingCanBeWritten(isKilled: Bool) throws {
        let folder = try folder(isKilled: isKilled)
        try setWritable(folder, false)
        defer { try? setWritable(folder, true) }
        let before = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
        try asAnotherUser {
            #expect(throws: (any Error).self) { try Data().write(to: URL(fileURLWithPath: folder.path + "/x")) }
            let ledger = try Ledger.open(directory: folder.path, readOnly: true)
            #expect(try ledger.ledgerRecords().map(\.record) == [.contributionAccepted(LedgerTests.facts)])
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() == before)
    }

    @Test func aLedgerThatMayNotBeReadIsSaidToBeSo() throws {
        let folder = try folder(isKilled: false)
        let path = folder.path + "/ledger.sqlite"
        try FileManager.default.setAttributes([.posixPermissions: 0], ofItemAtPath: path)
        try setWritable(folder, false)
        defer { try? setWritable(folder, true) }
        try asAnotherUser {
            let error = try #require(throws: LedgerError.self) {
                try Ledger.open(directory: folder.path, readOnly: true)
            }
            #expect("\(error)".contains(path) && !"\(error)".contains("\n"), "\(error)")
        }
    }

    /// Damage in the copy is named by the path of the original.
    @Test func damageIsFoundInTheCopyToo() throws {
        let folder = try folder(isKilled: false)
        let path = folder.path + "/ledger.sqlite"
        var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        bytes[0] ^= 1
        try bytes.write(to: URL(fileURLWithPath: path))
        try setWritable(folder, false)
        defer { try? setWritable(folder, true) }
        try asAnotherUser {
            let error = try #require(throws: LedgerError.self) {
                try Ledger.open(directory: folder.path, readOnly: true)
            }
            #expect("\(error)".hasPrefix(path + " is damaged"), "\(error)")
        }
    }
}
