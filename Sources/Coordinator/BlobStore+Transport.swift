import Ledger
import Transport

extension BlobReader {
    /// How the transport reads this blob.
    var source: BlobSource {
        BlobSource(byteCount: byteCount) { try self.read(offset: $0, into: $1) }
    }
}

extension IncomingBlob {
    /// How the transport writes this blob.
    var sink: BlobSink {
        BlobSink(
            offset: offset, append: { try self.append($0) }, finish: { try self.finish() }, abandon: { self.abandon() })
    }
}
