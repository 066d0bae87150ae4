import Federation
import Foundation
import Testing

@testable import Ledger

struct BlobStoreTests {
    static let bytes = (0..<5000).map { UInt8(truncatingIfNeeded: $0 &* 7) }

    private static func append(_ part: ArraySlice<UInt8>, to blob: IncomingBlob) throws {
        try Array(part).withUnsafeBytes { try blob.append($0) }
    }

    @Test func bytesComeBackUnderTheirDigest() throws {
        let folder = try StateFolder()
        let store = try BlobStore(directory: folder.path)
        let digest = try store.put(Self.bytes)
        #expect(try store.put(Self.bytes) == digest)
        #expect(try store.get(digest) == Self.bytes)
        #expect(try store.size(of: digest) == 5000)
        #expect(try store.openForReading(digest).read(offset: 4990, count: 100) == Array(Self.bytes[4990...]))
        #expect(store.list() == [digest])
        // SHA-256 of "abc" (FIPS 180-2, appendix B.1).
        #expect(
            Federation.Digest(hashing: Array("abc".utf8)).hex
                == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    }

    @Test func aCorruptBlobIsNamedAndMovedAside() throws {
        let folder = try StateFolder()
        let store = try BlobStore(directory: folder.path)
        let digest = try store.put(Self.bytes)
        var damaged = Self.bytes
        damaged[99] ^= 1
        try Data(damaged).write(to: URL(fileURLWithPath: store.path(digest)))
        #expect(throws: LedgerError.corruptBlob(path: store.path(digest))) { try store.get(digest) }
        #expect(!store.contains(digest))
        #expect(FileManager.default.fileExists(atPath: store.path(digest) + ".corrupt"))
    }

    @Test func anInterruptedTransferGoesOnWhereItStopped() throws {
        let folder = try StateFolder()
        let digest = Federation.Digest(hashing: Self.bytes)
        do {
            let blob = try BlobStore(directory: folder.path).receive(digest, byteCount: 5000)
            #expect(blob.offset == 0)
            try Self.append(Self.bytes[..<3000], to: blob)
        }
        let store = try BlobStore(directory: folder.path)
        #expect(!store.contains(digest))
        let blob = try store.receive(digest, byteCount: 5000)
        #expect(blob.offset == 3000)
        try Self.append(Self.bytes[3000...], to: blob)
        try blob.finish()
        #expect(try store.get(digest) == Self.bytes)
    }

    @Test func wrongBytesAreRefusedAndForgotten() throws {
        let folder = try StateFolder()
        let store = try BlobStore(directory: folder.path)
        let digest = Federation.Digest(hashing: Self.bytes)
        let blob = try store.receive(digest, byteCount: 5000)
        try Self.append(ArraySlice(Array(repeating: 0, count: 5000)), to: blob)
        #expect(throws: LedgerError.self) { try blob.finish() }
        #expect(!store.contains(digest))
        #expect(try store.receive(digest, byteCount: 5000).offset == 0)
    }

    @Test func moreBytesThanDeclaredAreRefused() throws {
        let folder = try StateFolder()
        let store = try BlobStore(directory: folder.path)
        let digest = Federation.Digest(hashing: Self.bytes)
        let blob = try store.receive(digest, byteCount: 100)
        #expect(throws: LedgerError.blobTooLong(digest: digest.hex, declared: 100)) {
            try Self.append(Self.bytes[..<101], to: blob)
        }
    }

    @Test func tornTemporaryFilesAreRemovedOnOpening() throws {
        let folder = try StateFolder()
        _ = try BlobStore(directory: folder.path)
        try Data([1, 2, 3]).write(to: URL(fileURLWithPath: folder.path + "/temporary/7"))
        _ = try BlobStore(directory: folder.path)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path + "/temporary").isEmpty)
    }

    @Test func garbageGoesAndWhatIsKeptStays() throws {
        let folder = try StateFolder()
        let store = try BlobStore(directory: folder.path)
        let digests = try (0..<5).map { try store.put([UInt8($0)]) }
        try store.garbageCollect(keeping: [digests[1], digests[3]])
        #expect(store.list() == [digests[1], digests[3]].sorted())
    }

    @Test func noSpaceLeftIsItsOwnError() {
        #expect(LedgerError.writing("x", errno: ENOSPC).isDiskFull)
        #expect(!LedgerError.writing("x", errno: EACCES).isDiskFull)
    }

    @Test func atomicWritesLeaveTheOldFileWhenTheyFail() throws {
        let folder = try StateFolder()
        let path = folder.path + "/file"
        try AtomicFile.write([1, 2, 3], to: path)
        #expect(throws: LedgerError.self) { try AtomicFile.write([4], to: folder.path + "/missing/file") }
        #expect(FileManager.default.contents(atPath: path) == Data([1, 2, 3]))
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["file"])
    }
}
