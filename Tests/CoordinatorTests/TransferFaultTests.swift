import Federation
import Foundation
import Ledger
import Testing
import Transport

@testable import Coordinator

/// Whose fault it is when a result does not come.
@Suite struct TransferFaultTests {
    @Test func theStoreTellsWrongBytesFromAFailingDisk() {
        #expect(BlobFailure(.wrongBlob(expected: "a", found: "b")).isWrong)
        #expect(BlobFailure(.blobTooLong(digest: "a", declared: 1)).isWrong)
        let full = LedgerError.diskFull(path: "/x")
        #expect(BlobFailure(full) == .storage(reason: "\(full)", isDiskFull: true))
        let broken = LedgerError.file(path: "/x", reason: "Input/output error")
        #expect(BlobFailure(broken) == .storage(reason: "\(broken)", isDiskFull: false))
    }

    @Test func onlyWrongBytesAreHeldAgainstTheWorker() {
        #expect(BlobFault(.wrong(reason: "a")) == .wrong(reason: "a"))
        #expect(BlobFault(.broken(reason: "a")) == .broken(reason: "a"))
    }

    private func append(_ bytes: [UInt8], to sink: BlobSink) throws {
        try bytes.withUnsafeBytes { (bytes: UnsafeRawBufferPointer) throws -> Void in try sink.append(bytes) }
    }

    @Test func wrongBytesLeaveNothingInTheSharedStore() throws {
        let folder = NSTemporaryDirectory() + "pleach-faults-" + UUID().uuidString
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let blobs = try BlobStore(directory: folder, mend: "it is sent again")
        let digest = try blobs.put([1, 2, 3])
        try blobs.remove(digest)
        let sink = try SharedBlobs(blobs: blobs).access.receive(digest.bytes, 3)
        try append([1, 2, 4], to: sink)
        let failure = #expect(throws: BlobFailure.self) { try sink.finish() }
        #expect(failure?.isWrong == true)
        #expect(!blobs.contains(digest))
        #expect(try SharedBlobs(blobs: blobs).access.receive(digest.bytes, 3).offset == 0)
        #expect(throws: BlobFailure.self) { try SharedBlobs(blobs: blobs).access.receive([1], 3) }
    }
}

extension BlobFailure {
    fileprivate var isWrong: Bool { if case .wrong = self { true } else { false } }
}
