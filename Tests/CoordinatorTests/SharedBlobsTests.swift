import Federation
import Foundation
import Ledger
import Synchronization
import Testing
import Transport

@testable import Coordinator

/// What the coordinator's store lets in, and what it says of a sender.
struct SharedBlobsTests {
    private let folder: Folder
    private let shared = SharedBlobs()
    private let declared = Federation.Digest(hashing: [1, 2, 3])

    private final class Folder: Sendable {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("shared-\(UUID().uuidString)").path
        deinit { try? FileManager.default.removeItem(atPath: path) }
    }

    init() { folder = Folder() }

    private func append(_ bytes: [UInt8], _ sink: BlobSink) throws {
        try bytes.withUnsafeBytes { (bytes: UnsafeRawBufferPointer) throws -> Void in try sink.append(bytes) }
    }

    private func failure(_ sink: BlobSink) throws -> BlobFailure {
        try #require(throws: BlobFailure.self) { try sink.finish() }
    }

    @Test func aSenderOfWrongBytesIsBlamedAndNothingStays() throws {
        let blobs = try BlobStore(directory: folder.path)
        shared.open(blobs)
        let sink = try shared.access.receive(declared.bytes, 3)
        try append([1, 2, 4], sink)
        guard case .wrong = try failure(sink) else { return #expect(Bool(false), "not told as wrong") }
        #expect(!blobs.contains(declared))
        #expect(try shared.access.receive(declared.bytes, 3).offset == 0)
    }

    @Test func whoGoesOnWithAnothersBytesIsNotBlamedForThem() throws {
        shared.open(try BlobStore(directory: folder.path))
        let first = try shared.access.receive(declared.bytes, 3)
        try append([9], first)
        first.abandon()
        let second = try shared.access.receive(declared.bytes, 3)
        #expect(second.offset == 1)
        try append([2, 3], second)
        guard case .broken = try failure(second) else { return #expect(Bool(false), "blamed for another's bytes") }
        let third = try shared.access.receive(declared.bytes, 3)
        #expect(third.offset == 0)
        try append([1, 2, 3], third)
        try third.finish()
    }

    /// The socket is bound before the state is opened: who asks in between waits, and is not told that nothing is there.
    @Test func whoAsksBeforeTheStoreIsOpenWaitsForIt() async throws {
        let access = shared.access
        let digest = declared.bytes
        let hasAnswered = Mutex(false)
        let wasTooEarly = Mutex(false)
        let offset = try await withCheckedThrowingContinuation { answer in
            // Not on a thread of the pool: it waits.
            Thread.detachNewThread {
                answer.resume(
                    with: Result {
                        let sink = try access.receive(digest, 3)
                        hasAnswered.withLock { $0 = true }
                        return sink.offset
                    })
            }
            Thread.detachNewThread { [shared, folder] in
                Thread.sleep(forTimeInterval: 0.05)
                let isEarly = hasAnswered.withLock { $0 }
                wasTooEarly.withLock { $0 = isEarly }
                shared.open(try? BlobStore(directory: folder.path))
            }
        }
        #expect(offset == 0)
        #expect(wasTooEarly.withLock { !$0 })
    }

    @Test func whoAsksForAStoreThatDoesNotComeIsRefused() throws {
        shared.open(nil)
        #expect(throws: BlobFailure.self) { _ = try shared.access.receive(declared.bytes, 3) }
        if shared.access.open(declared.bytes) != nil { #expect(Bool(false), "a blob out of no store") }
    }
}
