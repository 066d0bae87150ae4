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

    /// Told when an arriving blob finds no space: that is our failure, not its sender's.
    private let onDiskFull: @Sendable (LedgerError) -> Void

    init(blobs: BlobStore, onDiskFull: @escaping @Sendable (LedgerError) -> Void) {
        self.blobs = blobs
        self.onDiskFull = onDiskFull
    }

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
            receive: { [blobs, onDiskFull] bytes, byteCount in
                guard let digest = Digest(bytes: bytes) else { throw CoordinatorError.state("a blob without a digest") }
                @Sendable func noticing<Result>(_ body: () throws -> Result) throws -> Result {
                    do {
                        return try body()
                    } catch let error as LedgerError where error.isDiskFull {
                        onDiskFull(error)
                        throw error
                    }
                }
                if let size = try? blobs.size(of: digest), size == byteCount {
                    // Here already, verified: a retry needs no second transfer.
                    return BlobSink(offset: byteCount, append: { _ in }, finish: {}, abandon: {})
                }
                let sink = try noticing { try blobs.receive(digest, byteCount: byteCount).sink }
                return BlobSink(
                    offset: sink.offset, append: { part in try noticing { try sink.append(part) } },
                    finish: { try noticing { try sink.finish() } }, abandon: sink.abandon)
            })
    }
}
