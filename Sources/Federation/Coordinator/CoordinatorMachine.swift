// The coordinator's protocol as a pure value: no clock, no randomness, no IO. The shell feeds it events with the time
// of a monotonic clock and carries out the actions it returns, in order.
//
// Invariants:
// - a contribution is counted once: (round, worker) is accepted at most once, whatever is retried or duplicated;
// - every fact is committed before a message that depends on it is sent;
// - at most one step is in progress; its contributions are frozen when its computation starts;
// - nothing waits silently: `round.waiting` is logged at least every ten seconds while a round is open.
//
// Left out: numerics (the shell computes), transport, persistence. Over-selection and asynchronous folding.

/// A worker's right to one task.
struct Lease: Sendable, Equatable {
    var session: SessionID
    var assignedAt: Double
    /// What the worker offered and the shell is fetching or examining.
    var submission: Submission?
    var isExamined = false
}

/// One live connection.
struct Session: Sendable, Equatable {
    var worker: String
    var hello: Hello
    var lastSeenAt: Double
    /// Snapshots the worker holds, when it is idle and asked for work.
    var ready: [Digest]?
}

/// What the coordinator is doing.
enum CoordinatorPhase: Sendable, Equatable {
    case starting
    case collecting(openedAt: Double)
    case computing(startedAt: Double)
    case exporting
    case ended
}

public struct CoordinatorMachine: Sendable {
    public internal(set) var history: RunHistory
    let plan: Plan
    var phase = CoordinatorPhase.starting
    var sessions: [SessionID: Session] = [:]
    /// By worker: only meaningful while collecting.
    var leases: [String: Lease] = [:]
    /// Transfers that broke in the open round, by worker.
    var transferFailures: [String: Int] = [:]
    var lastProgressAt = 0.0
    var lastWaitingLogAt = 0.0
    /// Totals of this process that are in the ledger.
    public internal(set) var committedWireBytes = (up: 0, down: 0)
    /// Last time each worker was heard of, also after its session ended.
    var lastSeen: [String: Double] = [:]

    /// - Parameter history: the replayed ledger; it must hold `runStarted` and the first snapshot.
    public init(history: RunHistory) {
        precondition(history.run != nil && history.snapshot != nil, "a run begins with its model in the ledger")
        self.history = history
        plan = history.plan
    }

    /// Takes one event at a monotonic time in seconds and says what to do.
    public mutating func receive(_ event: CoordinatorEvent, at now: Double) -> [CoordinatorAction] {
        if phase == .ended { return [] }
        switch event {
        case .started: return start(at: now)
        case .received(let message, let session, let worker):
            return onMessage(message, session: session, worker: worker, at: now)
        case .malformed(let reason, let session, let worker):
            return [
                .log(
                    LogEvent(
                        "contribution.refused", level: .warning, ["worker": .string(worker), "reason": .string(reason)])
                ),
                .send(.refusal(.malformed, reason: reason), session),
            ]
        case .blobArrived(let digest, let session): return onBlobArrived(digest, session: session, at: now)
        case .blobFailed(let digest, let session, let reason):
            return onBlobFailed(digest, session: session, reason: reason, at: now)
        case .examined(let examination, let round, let worker):
            return onExamined(examination, round: round, worker: worker, at: now)
        case .stepComputed(let step, let up, let down):
            return onStepComputed(step, wireBytesUp: up, wireBytesDown: down, at: now)
        case .failed(let reason, let failure): return end(succeeded: false, reason: reason, failure)
        case .exported(let facts): return onExported(facts)
        case .ticked: return onTick(at: now)
        case .stopRequested:
            return end(
                succeeded: false, reason: "asked to stop; the same command with the same --state goes on", .stopped)
        }
    }

    /// Commits records: into the history now, into the ledger by the returned action.
    mutating func commit(_ records: [LedgerRecord]) -> CoordinatorAction {
        for record in records { history.apply(record) }
        return .commit(records)
    }

    /// Ends the run for this process and tells every worker.
    mutating func end(succeeded: Bool, reason: String, _ failure: RunFailure?) -> [CoordinatorAction] {
        phase = .ended
        var actions: [CoordinatorAction] = []
        if failure == .stopped {
            actions.append(.log(LogEvent("run.stopped", ["reason": .string(reason)])))
        } else if !succeeded {
            actions.append(.log(LogEvent("run.failed", level: .error, ["reason": .string(reason)])))
        }
        // A stopped coordinator comes back: its workers stay and reconnect. Only a finished run sends them home.
        if succeeded {
            for session in sessions.keys.sorted() {
                actions.append(.send(.finished(succeeded: true, reason: reason), session))
            }
        }
        actions.append(.finish(succeeded: succeeded, reason: reason, failure))
        return actions
    }
}
