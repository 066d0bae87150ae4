import Federation
import Foundation
import Ledger
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
    /// Blobs that came to an end and are not what was declared, with the reason that the transport passes on.
    private let wrong = Mutex<[Digest: String]>([:])

    /// Told when an arriving blob finds no space: that is our failure, not its sender's.
    private let onDiskFull: @Sendable (LedgerError) -> Void

    init(onDiskFull: @escaping @Sendable (LedgerError) -> Void) { self.onDiskFull = onDiskFull }

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
        for teacher in history.teachers.values { digests.insert(teacher.digest) }
        if let compact = history.compact {
            digests.insert(compact.calibration.digest)
            digests.insert(compact.compact.digest)
        }
        readable.withLock { $0 = digests }
    }

    /// What the failure of a fetch says about its sender. Each failure is asked about once.
    func fault(_ digest: Digest, reason: String) -> BlobFault {
        let isWrong = wrong.withLock { wrong in
            guard wrong[digest] == reason else { return false }
            wrong[digest] = nil
            return true
        }
        return isWrong ? .wrong(reason: reason) : .broken(reason: reason)
    }

    var access: BlobAccess {
        BlobAccess(
            open: { [self] bytes in
                guard let blobs = store.wait(), let digest = Digest(bytes: bytes),
                    readable.withLock({ $0.contains(digest) })
                else { return nil }
                return try? blobs.openForReading(digest).source
            },
            receive: { [self] bytes, byteCount in
                guard let blobs = store.wait() else { throw CoordinatorError.state("the run cannot be opened") }
                guard let digest = Digest(bytes: bytes) else { throw CoordinatorError.state("a blob without a digest") }
                if let size = try? blobs.size(of: digest), size == byteCount {
                    // Here already, verified: a retry needs no second transfer.
                    return BlobSink(offset: byteCount, append: { _ in }, finish: {}, abandon: {})
                }
                let sink = try noticing { try blobs.receive(digest, byteCount: byteCount).sink }
                return BlobSink(
                    offset: sink.offset, append: { [self] part in try noticing { try sink.append(part) } },
                    finish: { [self] in
                        do {
                            try noticing { try sink.finish() }
                        } catch let error as LedgerError {
                            // Of a blob that goes on from an earlier attempt, some bytes may be another sender's, or torn.
                            if case .wrongBlob = error, sink.offset == 0 {
                                wrong.withLock { $0[digest] = "\(error)" }
                            }
                            throw error
                        }
                    }, abandon: sink.abandon)
            })
    }

    private func noticing<Result>(_ body: () throws -> Result) throws -> Result {
        do {
            return try body()
        } catch let error as LedgerError where error.isDiskFull {
            onDiskFull(error)
            throw error
        }
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
