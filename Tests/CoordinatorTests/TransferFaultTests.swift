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
}

extension BlobFailure {
    fileprivate var isWrong: Bool { if case .wrong = self { true } else { false } }
}
