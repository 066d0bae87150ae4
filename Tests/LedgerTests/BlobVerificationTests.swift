import Federation
import Foundation
import Testing

@testable import Ledger

/// A blob is hashed at most once by a process, and damage is found all the same.
struct BlobVerificationTests {
    private static let bytes = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 7 ^ $0 >> 9) }

    @Test func aFlippedByteIsFoundWhereverItIs() throws {
        let folder = try StateFolder()
        let bytes = Array(Self.bytes[..<5000])
        let digest = try BlobStore(directory: folder.path).put(bytes)
        let path = try BlobStore(directory: folder.path).path(digest)
        for place in stride(from: 0, to: 5000, by: 271) {
            var damaged = bytes
            damaged[place] ^= 1 << UInt8(place % 8)
            try Data(damaged).write(to: URL(fileURLWithPath: path))
            // A store that has not seen the blob, as after a restart.
            let store = try BlobStore(directory: folder.path, mend: "mend it")
            let error = LedgerError.corruptBlob(path: path, mend: "mend it")
            switch place % 3 {
            case 0: #expect(throws: error) { try store.verify(digest) }
            case 1: #expect(throws: error) { try store.get(digest) }
            default: #expect(throws: error) { try store.map(digest) }
            }
            #expect(!store.contains(digest))
            #expect("\(error)".contains(path) && "\(error)".hasSuffix("mend it"))
        }
    }

    @Test func whatIsWrittenWhileAStoreIsOpenIsFoundToo() throws {
        let folder = try StateFolder()
        let store = try BlobStore(directory: folder.path)
        let digest = try store.put(Self.bytes)
        #expect(try store.get(digest) == Self.bytes)
        var damaged = Self.bytes
        damaged[1_234_567] ^= 1
        // In place: the same file, another time of change.
        let file = try #require(FileHandle(forWritingAtPath: store.path(digest)))
        try file.seek(toOffset: 1_234_567)
        try file.write(contentsOf: [damaged[1_234_567]])
        try file.close()
        #expect(throws: LedgerError.self) { try store.map(digest) }
        // Storing it anew mends it.
        #expect(try store.put(Self.bytes) == digest)
        #expect(try store.get(digest) == Self.bytes)
    }

    @Test func storingOverADamagedBlobMendsIt() throws {
        let folder = try StateFolder()
        let digest = try BlobStore(directory: folder.path).put([1, 2, 3])
        let store = try BlobStore(directory: folder.path)
        try Data([1, 2, 4]).write(to: URL(fileURLWithPath: store.path(digest)))
        #expect(try store.put([1, 2, 3]) == digest)
        #expect(try store.get(digest) == [1, 2, 3])
    }

    @Test(arguments: [Durability.durable, .cache])
    func piecesMakeTheBlobThatTheWholeMakes(durability: Durability) throws {
        let folder = try StateFolder()
        let store = try BlobStore(directory: folder.path)
        let reference = try store.write(durability) { writer in
            for start in stride(from: 0, to: Self.bytes.count, by: 777_777) {
                try writer.append(Array(Self.bytes[start..<min(start + 777_777, Self.bytes.count)]))
            }
        }
        #expect(reference.digest == Federation.Digest(hashing: Self.bytes))
        #expect(reference.byteCount == Self.bytes.count)
        let mapped = try store.map(reference.digest)
        #expect(mapped.withBytes { Array($0) } == Self.bytes)
        mapped.release(4000..<2_000_000)
        #expect(mapped.withBytes { Array($0) } == Self.bytes)
        let empty = try store.write(durability) { _ in }
        #expect(try store.get(empty.digest).isEmpty)
        #expect(try store.map(empty.digest).byteCount == 0)
    }

    @Test func aWriterThatFailsLeavesNothing() throws {
        struct Fault: Error {}
        let folder = try StateFolder()
        let store = try BlobStore(directory: folder.path)
        #expect(throws: Fault.self) {
            try store.write(.durable) { writer in
                try writer.append(Self.bytes)
                throw Fault()
            }
        }
        #expect(store.list().isEmpty)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path + "/temporary").isEmpty)
    }

    /// Going on in the same process uses the hash of what had arrived, unless the file is no longer that file.
    @Test(arguments: [false, true])
    func anAbandonedTransferGoesOn(isTamperedWith: Bool) throws {
        let folder = try StateFolder()
        let store = try BlobStore(directory: folder.path)
        let digest = Federation.Digest(hashing: Self.bytes)
        let first = try store.receive(digest, byteCount: Self.bytes.count)
        try Self.bytes[..<2_000_000].withUnsafeBytes { try first.append($0) }
        first.abandon()
        if isTamperedWith {
            let file = try #require(FileHandle(forWritingAtPath: folder.path + "/partial/" + digest.hex))
            try file.seek(toOffset: 7)
            try file.write(contentsOf: [Self.bytes[7] ^ 1])
            try file.close()
        }
        let second = try store.receive(digest, byteCount: Self.bytes.count)
        #expect(second.offset == 2_000_000)
        try Self.bytes[2_000_000...].withUnsafeBytes { try second.append($0) }
        if isTamperedWith {
            #expect(throws: LedgerError.self) { try second.finish() }
        } else {
            try second.finish()
            #expect(try store.get(digest) == Self.bytes)
        }
    }

    @Test func aReaderFillsABuffer() throws {
        let folder = try StateFolder()
        let store = try BlobStore(directory: folder.path)
        let reader = try store.openForReading(store.put(Self.bytes))
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1000, alignment: 16)
        defer { buffer.deallocate() }
        try reader.read(offset: 2_999_000, into: buffer)
        #expect(Array(buffer) == Array(Self.bytes[2_999_000...]))
        for offset in [-1, 2_999_001, Int.max] {
            #expect(throws: LedgerError.self) { try reader.read(offset: offset, into: buffer) }
        }
    }
}
