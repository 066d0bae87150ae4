// What coordinator and worker have in common as shells: how plans' words name the numerics, and how stored
// graphs are read and stored blobs travel.
import Ledger
import Transport

extension BlobReader {
    /// How the transport reads this blob.
    package var source: BlobSource {
        BlobSource(byteCount: byteCount) { try self.read(offset: $0, into: $1) }
    }
}

extension IncomingBlob {
    /// How the transport writes this blob.
    package var sink: BlobSink {
        BlobSink(
            offset: offset,
            append: { bytes throws(BlobFailure) in
                do throws(LedgerError) { try self.append(bytes) } catch { throw BlobFailure(error) }
            },
            finish: { () throws(BlobFailure) in
                do throws(LedgerError) { try self.finish() } catch { throw BlobFailure(error) }
            },
            abandon: { self.abandon() })
    }
}

extension BlobFailure {
    /// Whose fault it is that a blob could not be stored.
    package init(_ error: LedgerError) {
        switch error {
        case .wrongBlob, .blobTooLong: self = .wrong(reason: "\(error)")
        default: self = .storage(reason: "\(error)", isDiskFull: error.isDiskFull)
        }
    }
}
