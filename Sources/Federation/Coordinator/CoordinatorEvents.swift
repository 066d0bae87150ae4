/// One connection of a worker, numbered by the shell; a worker that reconnects gets a new number.
public struct SessionID: Hashable, Sendable, Comparable {
    public var value: UInt64

    public init(_ value: UInt64) { self.value = value }

    public static func < (a: SessionID, b: SessionID) -> Bool { a.value < b.value }
}

/// What the shell has made of a contribution: folded, or refused with a reason for the worker.
public enum Examination: Sendable, Equatable {
    case folded
    case refused(reason: String)
}

/// The result of closing a round or doing a transform.
public struct ComputedStep: Sendable, Equatable {
    public var outcome: StepOutcome
    /// Present when the shared model changed.
    public var snapshot: SnapshotFacts?

    public init(outcome: StepOutcome, snapshot: SnapshotFacts? = nil) {
        self.outcome = outcome
        self.snapshot = snapshot
    }
}

/// Why a blob that was asked of a worker did not come.
public enum BlobFault: Sendable, Equatable {
    /// The connection or the other process ended, or fell silent: says nothing about the bytes.
    case broken(reason: String)
    /// The bytes are not what was declared, or the worker does not have them.
    case wrong(reason: String)

    var reason: String {
        switch self {
        case .broken(let reason), .wrong(let reason): reason
        }
    }
}

/// What can happen to a coordinator.
public enum CoordinatorEvent: Sendable, Equatable {
    /// First event of every process, after the history was replayed.
    case started
    case received(WorkerMessage, session: SessionID, worker: String)
    case malformed(reason: String, session: SessionID, worker: String)
    case blobArrived(Digest, session: SessionID)
    case blobFailed(Digest, session: SessionID, BlobFault)
    /// Part of a blob has come; told at most a few dozen times for one blob.
    case blobProgressed(Digest, session: SessionID, received: Int = 0)
    /// The connection is gone.
    case departed(session: SessionID)
    case examined(Examination, round: Int, worker: String)
    /// Totals of payload bytes that this process has moved so far.
    case stepComputed(ComputedStep, wireBytesUp: Int, wireBytesDown: Int)
    /// Numerics or the disk failed: the run stops and can be resumed.
    case failed(reason: String, RunFailure)
    case exported(ExportFacts)
    case ticked
    case stopRequested
}

/// Why a run did not finish. Each has its own exit code (`README.md`).
public enum RunFailure: Sendable, Equatable {
    case noWorkers
    case diskFull
    case corruptState
    case network
    case numerics
    case stopped
}

/// An earlier snapshot, and what has left the model since.
public struct StepSource: Sendable, Equatable {
    public var snapshot: SnapshotFacts
    /// Structure changes from there to the current snapshot, in order.
    public var changes: [BlobReference]

    public init(snapshot: SnapshotFacts, changes: [BlobReference] = []) {
        self.snapshot = snapshot
        self.changes = changes
    }
}

/// How closing one step is computed. Contributions are in order of worker name.
public enum StepComputation: Sendable, Equatable {
    case fold(FoldRule, round: Int, contributions: [ContributionFacts], base: SnapshotFacts)
    /// `source` is what a step that puts weights back reads them from.
    case transform(Step, base: SnapshotFacts, source: StepSource? = nil)
}

/// What the shell must do. Durable actions come before the sends that depend on them; the shell works in order.
public enum CoordinatorAction: Sendable, Equatable {
    case commit([LedgerRecord])
    case send(CoordinatorMessage, SessionID)
    case fetch(BlobReference, SessionID)
    /// Starts an empty accumulator for a round and folds what was accepted before a restart. `widths` are those that
    /// contributions may have beside the whole model's.
    case openFold(
        FoldRule, round: Int, base: SnapshotFacts, restoring: [ContributionFacts], widths: [ModelWidth] = [])
    /// Decodes, checks and folds one contribution; answered by `examined`.
    case examine(ContributionFacts)
    /// Answered by `stepComputed` or `failed`.
    case compute(StepComputation)
    /// Writes the exported model and the report; answered by `exported` or `failed`.
    case export
    case log(LogEvent)
    case finish(succeeded: Bool, reason: String, RunFailure?)
}
