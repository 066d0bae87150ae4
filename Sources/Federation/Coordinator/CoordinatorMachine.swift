// The coordinator's protocol as a pure value: no clock, no randomness, no IO. The shell feeds it events with the time
// of a monotonic clock and carries out the actions it returns, in order.
//
// Invariants:
// - a contribution is counted once: (round, worker) is accepted at most once, whatever is retried or duplicated;
// - every fact is committed before a message that depends on it is sent;
// - at most one step is in progress; its contributions are frozen when its computation starts;
// - nothing waits silently or for ever: `round.waiting` is logged at least every ten seconds while a round is open, a
//   lease that is not renewed ends, one that is late is no longer waited for, and what counts as progress is finite.
//
// Left out: numerics (the shell computes), transport, persistence.

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
    case exporting(startedAt: Double)
    /// The run is over; workers that took part and are away are told when they come, until a time.
    case lingering(until: Double)
    case ended
}

public struct CoordinatorMachine: Sendable {
    public internal(set) var history: RunHistory
    let plan: Plan
    var phase = CoordinatorPhase.starting
    var sessions: [SessionID: Session] = [:]
    /// By worker. Between asynchronous rounds they stay; else they belong to the open round.
    var leases: [String: Lease] = [:]
    /// What went wrong in the open round, by worker.
    var setbacks: [String: Setback] = [:]
    /// Workers that were asked in the open round, and how often.
    var offers: [String: Int] = [:]
    /// When workers first claimed a task in the open round that this process did not give them.
    var claims: [String: Double] = [:]
    /// The newest round of which each worker was offered a task: it has dropped what it had of earlier ones.
    var offeredRounds: [String: Int] = [:]
    /// Transfers that broke in the open round, by worker.
    var transferFailures: [String: Int] = [:]
    var lastProgressAt = 0.0
    var lastWaitingLogAt = 0.0
    var lastTickAt: Double?
    /// The last tick came after a pause of this process.
    var isCatchingUp = false
    /// Names that said goodbye, or were told that the run is over.
    var sentHome: Set<String> = []
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
        switch phase {
        case .ended: return []
        case .lingering: return linger(event, at: now)
        case .starting, .collecting, .computing, .exporting: break
        }
        switch event {
        case .started: return start(at: now)
        case .received(let message, let session, let worker):
            return onMessage(message, session: session, worker: worker, at: now)
        case .malformed(let reason, let session, let worker):
            return [
                .log(
                    LogEvent(
                        "diagnostic", level: .warning,
                        ["worker": .string(worker), "message": .string("it sent what is no message: \(reason)")])),
                .send(.refusal(.malformed, reason: reason), session),
            ]
        case .departed(let session): return onDeparted(session, at: now)
        case .blobArrived(let digest, let session): return onBlobArrived(digest, session: session, at: now)
        case .blobProgressed(let digest, let session, let received):
            return onBlobProgressed(digest, received: received, session: session, at: now)
        case .blobFailed(let digest, let session, let fault):
            return onBlobFailed(digest, session: session, fault, at: now)
        case .examined(let examination, let round, let worker):
            return onExamined(examination, round: round, worker: worker, at: now)
        case .stepComputed(let step, let up, let down):
            return onStepComputed(step, wireBytesUp: up, wireBytesDown: down, at: now)
        case .failed(let reason, let failure): return end(succeeded: false, reason: reason, failure)
        case .exported(let facts): return onExported(facts, at: now)
        case .ticked: return onTick(at: now)
        case .stopRequested:
            return end(
                succeeded: false, reason: "asked to stop; the same command with the same --state goes on", .stopped)
        }
    }

    /// Whether the step takes contributions that were made for an older snapshot.
    func isAsynchronous(_ step: Step) -> Bool {
        // Statistics that are measured anew are no steps that others' could be added to.
        if case .train(let recipe, _, _) = step, recipe.statistics != .reestimated {
            plan.fleet.rounds == .asynchronous
        } else {
            false
        }
    }

    /// Contributions that complete the open round.
    var wanted: Int {
        if let step = history.step, isAsynchronous(step) { plan.fleet.buffer } else { plan.fleet.workers }
    }

    /// Contributions without which the open round does not close.
    var needed: Int {
        // A buffer is flushed at the deadline with whatever is in it.
        if let step = history.step, isAsynchronous(step) { 1 } else { plan.fleet.quorum }
    }

    /// Commits records: into the history now, into the ledger by the returned action.
    mutating func commit(_ records: [LedgerRecord]) -> CoordinatorAction {
        for record in records { history.apply(record) }
        return .commit(records)
    }

    /// Ends the run for this process. A stopped coordinator comes back: its workers stay and reconnect.
    mutating func end(succeeded: Bool, reason: String, _ failure: RunFailure?) -> [CoordinatorAction] {
        phase = .ended
        var actions: [CoordinatorAction] = []
        if failure == .stopped {
            actions.append(.log(LogEvent("run.stopped", ["reason": .string(reason)])))
        } else if !succeeded {
            actions.append(.log(LogEvent("run.failed", level: .error, ["reason": .string(reason)])))
        }
        actions.append(.finish(succeeded: succeeded, reason: reason, failure))
        return actions
    }
}
