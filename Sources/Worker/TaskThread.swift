import Engine
import Federation
import Foundation
import Ledger
import ModelGraph
import Synchronization

/// Runs tasks one at a time on a thread of its own, so that training never blocks the protocol.
final class TaskThread: Sendable {
    private let queue = DispatchQueue(label: "pleach.task")
    private let report: @Sendable (WorkerEvent) -> Void
    private let log: @Sendable (LogEvent) -> Void
    private let cancelledRounds = Mutex<Set<Int>>([])
    // Touched on `queue` only, which is serial.
    private nonisolated(unsafe) let runner: TaskRunner
    private let blobs: BlobStore
    private let directory: String
    private let threads: Int

    init(
        blobs: BlobStore, directory: String, data: WorkerData, ownTeacher: OwnTeacher?, threads: Int, echoes: Bool,
        log: @escaping @Sendable (LogEvent) -> Void, report: @escaping @Sendable (WorkerEvent) -> Void
    ) {
        self.blobs = blobs
        self.directory = directory
        self.threads = threads
        self.log = log
        self.report = report
        EngineRuntime.keepFreedMemory()
        runner = TaskRunner(blobs: blobs, data: data, ownTeacher: ownTeacher, echoes: echoes, threads: threads)
    }

    /// Looks for the task's inputs; reports `missing`, `prepared` or `taskFailed`.
    func prepare(_ offer: TaskOffer, memory: WorkerMemory) {
        _ = cancelledRounds.withLock { $0.remove(offer.round) }
        queue.async { [self] in
            do {
                let missing = try runner.missing(for: offer, residual: memory.residual)
                if !missing.isEmpty {
                    report(.missing(round: offer.round, blobs: missing))
                    return
                }
                let held: [Digest]
                do {
                    held = try runner.settle(offer)
                } catch let error where !Self.isDiskFull(error) {
                    // What was on this disk is of no use (and was moved aside): ask for it anew, or build it from its recipe.
                    let missing = try runner.missing(for: offer, residual: memory.residual)
                    guard missing.isEmpty else {
                        report(.missing(round: offer.round, blobs: missing))
                        return
                    }
                    held = try runner.settle(offer)
                }
                try WorkerStore.saveHeld(held, directory: directory)
                try collectGarbage(offer, held: held, memory: memory)
                report(.prepared(round: offer.round, snapshots: held))
            } catch {
                report(Self.failure(error, round: offer.round))
            }
        }
    }

    /// Keeps what the task needs, what later tasks will name, and what is not settled yet.
    private func collectGarbage(_ offer: TaskOffer, held: [Digest], memory: WorkerMemory) throws {
        var keep = Set(held)
        keep.insert(offer.snapshot.graph.digest)
        for digest in [memory.residual, memory.pending?.residual, memory.pending?.submission.blob?.digest] {
            if let digest { keep.insert(digest) }
        }
        for member in [memory.member, memory.pending?.member] { keep.formUnion(member?.blobs ?? []) }
        for reference in offer.work.snapshots {
            keep.insert(reference.snapshot.digest)
            keep.insert(reference.graph.digest)
        }
        for blob in offer.work.blobs { keep.insert(blob.digest) }
        // A residual is adapted when the next task changes weights.
        let adaptation = ResidualAdaptation(
            memory.residual, changes: offer.changes, width: offer.work.width, blobs: blobs)
        for blob in adaptation.needed { keep.insert(blob.digest) }
        try blobs.garbageCollect(keeping: keep)
    }

    /// Runs the task; reports `taskFinished` or `taskFailed`, or nothing when cancelled.
    func run(_ offer: TaskOffer, residual: Digest?, member: MemberMemory? = nil) {
        queue.async { [self] in
            EngineRuntime.setThreads(threads)
            do {
                let (submission, next) = try runner.run(
                    offer, residual: residual.flatMap { isLost($0) ? nil : $0 },
                    member: member?.without { isLost($0, WorkerStore.lossOf(member: $0)) },
                    progress: { [report] in report(.progressed(round: offer.round, fraction: $0)) },
                    isCancelled: { self.isCancelled(offer.round) })
                if let warning = runner.damage.warning {
                    log(LogEvent("diagnostic", level: .warning, ["message": .string(warning)]))
                }
                report(.taskFinished(submission, residual: next, member: runner.nextMember))
            } catch is CancellationError {
                // The machine asked for it and has gone on.
            } catch {
                report(Self.failure(error, round: offer.round))
            }
        }
    }

    /// A residual that is lost while we work must not fail every task to come.
    private func isLost(_ kept: Digest, _ loss: String? = nil) -> Bool {
        do {
            guard try blobs.isLost(kept) else { return false }
        } catch {
            // Whatever else is wrong with the disk, the task will say.
            return false
        }
        log(LogEvent("diagnostic", level: .error, ["message": .string(loss ?? WorkerStore.lossOf(residual: kept))]))
        return true
    }

    private static func failure(_ error: any Error, round: Int) -> WorkerEvent {
        isDiskFull(error)
            ? .diskFull(reason: "\(error)") : .taskFailed(round: round, reason: "\(error)")
    }

    private static func isDiskFull(_ error: any Error) -> Bool { (error as? LedgerError)?.isDiskFull == true }

    func cancel(round: Int) { _ = cancelledRounds.withLock { $0.insert(round) } }

    private func isCancelled(_ round: Int) -> Bool {
        cancelledRounds.withLock { $0.contains(round) || $0.contains(-1) }
    }

    /// Waits for the task thread: a process must not end under a running libtorch.
    func wait() { queue.sync {} }

    /// Ends whatever runs; nothing is reported any more.
    func cancelAll() { _ = cancelledRounds.withLock { $0.insert(-1) } }
}
