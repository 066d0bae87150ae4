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
        let store = try BlobStore(directory: folder.path, mend: "fetch it")
        let digest = try store.put(Self.bytes)
        var damaged = Self.bytes
        damaged[99] ^= 1
        try Data(damaged).write(to: URL(fileURLWithPath: store.path(digest)))
        #expect(throws: LedgerError.corruptBlob(path: store.path(digest), mend: "fetch it")) { try store.get(digest) }
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

    @Test func aReaderLeavesAWritersFilesAlone() throws {
        let folder = try StateFolder()
        let digest = try BlobStore(directory: folder.path).put(Self.bytes)
        try Data([1]).write(to: URL(fileURLWithPath: folder.path + "/temporary/1"))
        #expect(try BlobStore(directory: folder.path, readOnly: true).get(digest) == Self.bytes)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path + "/temporary") == ["1"])
    }

    @Test func partialFilesAreCollectedUnlessTheyAreArrivingOrKept() throws {
        let folder = try StateFolder()
        let store = try BlobStore(directory: folder.path)
        let digests = (0..<3).map { Federation.Digest(hashing: [UInt8($0)]) }
        for digest in digests { try Self.append([9], to: store.receive(digest, byteCount: 5)) }
        let arriving = try store.receive(digests[1], byteCount: 5)
        try store.garbageCollect(keeping: [digests[2]])
        arriving.abandon()
        #expect(try digests.map { try store.receive($0, byteCount: 5).offset } == [0, 1, 1])
    }

    @Test func readingOutsideABlobGivesNothing() throws {
        let folder = try StateFolder()
        let store = try BlobStore(directory: folder.path)
        let reader = try store.openForReading(store.put(Self.bytes))
        for (offset, count) in [(5000, 1), (.max, .max), (-1, 2), (.min, .max), (0, 0), (0, -5)] {
            #expect(try reader.read(offset: offset, count: count).isEmpty)
        }
        #expect(try reader.read(offset: 0, count: .max) == Self.bytes)
    }

    @Test func aMissingBlobIsNamed() throws {
        let folder = try StateFolder()
        let store = try BlobStore(directory: folder.path)
        let digest = Federation.Digest(hashing: Self.bytes)
        #expect {
            try store.get(digest)
        } throws: { "\($0)".contains("\(digest.hex) is missing (\(store.path(digest))): restore") }
    }

    /// A partial file whose beginning a power cut damaged costs one transfer, not the run.
    @Test func aDamagedPartialFileIsThrownAway() throws {
        let folder = try StateFolder()
        let store = try BlobStore(directory: folder.path)
        let digest = Federation.Digest(hashing: Self.bytes)
        try Data(repeating: 0, count: 3000).write(to: URL(fileURLWithPath: folder.path + "/partial/" + digest.hex))
        let blob = try store.receive(digest, byteCount: 5000)
        #expect(blob.offset == 3000)
        try Self.append(Self.bytes[3000...], to: blob)
        #expect(throws: LedgerError.self) { try blob.finish() }
        #expect(try store.receive(digest, byteCount: 5000).offset == 0)
    }

    /// Every write leads to a device that is always full.
    @Test func aFullDiskIsNamedAndLeavesNothingBehind() throws {
        let folder = try StateFolder()
        let store = try BlobStore(directory: folder.path)
        let digest = Federation.Digest(hashing: Self.bytes)
        let temporary = "\(folder.path)/temporary/1"
        try FileManager.default.createSymbolicLink(atPath: temporary, withDestinationPath: "/dev/full")
        #expect(throws: LedgerError.diskFull(path: folder.path + "/temporary/1")) { try store.put(Self.bytes) }
        #expect(!store.contains(digest))
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path + "/temporary").isEmpty)
        let partial = folder.path + "/partial/" + digest.hex
        try FileManager.default.createSymbolicLink(atPath: partial, withDestinationPath: "/dev/full")
        let blob = try store.receive(digest, byteCount: 5000)
        #expect(throws: LedgerError.diskFull(path: partial)) { try Self.append(Self.bytes[...], to: blob) }
        try FileManager.default.removeItem(atPath: partial)
        #expect(try store.put(Self.bytes) == digest)
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
