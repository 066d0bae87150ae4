import Federation
import Foundation
import Ledger
import Shell
import Synchronization
import Transport

/// What workers may read from the coordinator's store: published snapshots, graphs, deltas, teachers and the compact
/// model. Other workers' updates are not among them.
///
/// The socket is bound before the state is opened, so that a port in use leaves no state behind. A worker that is back
/// by then and goes on with a transfer waits for the store, as it would for a coordinator that has not bound yet.
final class SharedBlobs: Sendable {
    private let store = StoreGate()
    private let readable = Mutex<Set<Digest>>([])

    /// Serves whoever waits, and all that come, from `blobs`; nil when there will be none.
    func open(_ blobs: BlobStore?) { store.open(blobs) }

    /// Makes everything the history has published readable.
    func publish(_ history: RunHistory) {
        var digests = Set<Digest>()
        for facts in history.snapshots {
            digests.insert(facts.snapshot.digest)
            digests.insert(facts.graph.digest)
            if let delta = facts.delta { digests.insert(delta.blob.digest) }
        }
        digests.formUnion(history.widthChanges)
        if let consensus = history.consensus { digests.insert(consensus.blob.digest) }
        for teacher in history.teachers.values { digests.insert(teacher.digest) }
        if let compact = history.compact { digests.insert(compact.digest) }
        readable.withLock { $0 = digests }
    }

    var access: BlobAccess {
        BlobAccess(
            open: { [self] bytes in
                guard let blobs = store.wait(), let digest = Digest(bytes: bytes),
                    readable.withLock({ $0.contains(digest) })
                else { return nil }
                return try? blobs.openForReading(digest).source
            },
            receive: { [self] bytes, byteCount throws(BlobFailure) in
                guard let blobs = store.wait() else { throw .broken(reason: "the run cannot be opened") }
                guard let digest = Digest(bytes: bytes) else { throw .wrong(reason: "a digest has 32 bytes") }
                if let size = try? blobs.size(of: digest), size == byteCount {
                    // Here already, verified: a retry needs no second transfer.
                    return BlobSink(offset: byteCount, append: { _ in }, finish: {}, abandon: {})
                }
                let sink: BlobSink
                do throws(LedgerError) {
                    sink = try blobs.receive(digest, byteCount: byteCount).sink
                } catch {
                    throw BlobFailure(error)
                }
                return BlobSink(
                    offset: sink.offset, append: sink.append,
                    finish: { () throws(BlobFailure) in
                        do throws(BlobFailure) {
                            try sink.finish()
                        } catch {
                            // Of a blob that goes on from an earlier attempt, some bytes may be another sender's, or torn.
                            if case .wrong(let reason) = error, sink.offset > 0 { throw .broken(reason: reason) }
                            throw error
                        }
                    }, abandon: sink.abandon)
            })
    }
}

/// Lets those who need the store wait until it is there, or is known not to come.
private final class StoreGate: @unchecked Sendable {
    private let condition = NSCondition()
    private var isOpen = false
    private var blobs: BlobStore?

    func open(_ blobs: BlobStore?) {
        condition.withLock {
            self.blobs = blobs
            isOpen = true
            condition.broadcast()
        }
    }

    func wait() -> BlobStore? {
        condition.withLock {
            while !isOpen { condition.wait() }
            return blobs
        }
    }
}
