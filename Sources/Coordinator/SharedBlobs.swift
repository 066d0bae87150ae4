import Federation
import Foundation
import Ledger
import Synchronization
import Transport

/// What workers may read from the coordinator's store: published snapshots, graphs, deltas, teachers and the compact
/// model. Other workers' updates are not among them.
final class SharedBlobs: Sendable {
    private let blobs: BlobStore
    private let readable = Mutex<Set<Digest>>([])

    init(blobs: BlobStore) { self.blobs = blobs }

    /// Makes everything the history has published readable.
    func publish(_ history: RunHistory) {
        var digests = Set<Digest>()
        for facts in history.snapshots {
            digests.insert(facts.snapshot.digest)
            digests.insert(facts.graph.digest)
            if let delta = facts.delta { digests.insert(delta.blob.digest) }
        }
        for teacher in history.teachers.values { digests.insert(teacher.digest) }
        if let compact = history.compact {
            digests.insert(compact.calibration.digest)
            digests.insert(compact.compact.digest)
        }
        readable.withLock { $0 = digests }
    }

    var access: BlobAccess {
        BlobAccess(
            open: { [self] bytes in
                guard let digest = Digest(bytes: bytes), readable.withLock({ $0.contains(digest) }) else { return nil }
                return try? blobs.openForReading(digest).source
            },
            receive: { [blobs] bytes, byteCount throws(BlobFailure) in
                guard let digest = Digest(bytes: bytes) else { throw .wrong(reason: "a digest has 32 bytes") }
                if let size = try? blobs.size(of: digest), size == byteCount {
                    // Here already, verified: a retry needs no second transfer.
                    return BlobSink(offset: byteCount, append: { _ in }, finish: {}, abandon: {})
                }
                do throws(LedgerError) {
                    return try blobs.receive(digest, byteCount: byteCount).sink
                } catch {
                    throw BlobFailure(error)
                }
            })
    }
}
