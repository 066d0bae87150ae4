// The worker's side of the protocol as a pure value, the mirror of `CoordinatorMachine`.
//
// Invariants:
// - at most one task is in progress;
// - a finished task is remembered before it is submitted, and submitted until its verdict is known;
// - whatever is asked (Hello, Ready, Submission) is asked again until it is answered: any message may be lost;
// - the residual advances only when the coordinator says that the contribution was accepted, so it is never applied
//   twice nor lost, whoever dies when; a refusal or withdrawal may have crossed an acceptance, so only an acceptance or
//   the ledger's count in the next Welcome or Task settles a pending result.

public struct WorkerMachine: Sendable {
    public internal(set) var memory: WorkerMemory
    let hello: Hello
    /// How long to try to reach a coordinator before giving up.
    let patienceSeconds: Double
    var phase = WorkerPhase.offline
    var held: [Digest]
    private var heartbeatSeconds = 5.0
    private var lastHeartbeatAt = 0.0
    var lastHeardAt: Double
    var lastSubmittedAt = 0.0
    /// The pending result was refused, withdrawn or lost: it is not submitted again, but not forgotten before it is settled.
    var isGivenUp = false
    private var isConnected = false
    var fraction = 0.0
    /// When the task in progress was offered, and how long its inputs took to come.
    var offeredAt = 0.0
    var fetchSeconds = 0.0
    /// Messages of the coordinator that could not be read.
    private var unreadable = 0
    private var lastComplaint = "nobody answers"
    /// Whether the last complaint was about keys.
    private var isTurnedAway = false
    /// Deltas and blobs that failed to arrive, in a row.
    var failures = 0

    /// - Parameter canSubmit: false when the bytes of the pending result are lost: it may have counted all the same.
    public init(
        hello: Hello, memory: WorkerMemory, canSubmit: Bool = true, held: [Digest], patienceSeconds: Double,
        at now: Double
    ) {
        self.hello = hello
        self.memory = memory
        isGivenUp = !canSubmit && memory.pending != nil
        self.held = held
        self.patienceSeconds = patienceSeconds
        lastHeardAt = now
    }

    /// Takes one event at a monotonic time in seconds and says what to do.
    public mutating func receive(_ event: WorkerEvent, at now: Double) -> [WorkerAction] {
        if phase == .ended { return [] }
        switch event {
        case .connected: return onConnected(at: now)
        case .disconnected(let reason):
            isConnected = false
            isTurnedAway = false
            lastComplaint = reason
            return []
        case .turnedAway(let reason): return onTurnedAway(reason)
        case .received(let message):
            lastHeardAt = now
            return onMessage(message, at: now)
        case .malformed(let reason): return onMalformed(reason)
        case .blobArrived(let digest): return onBlobArrived(digest, at: now)
        case .blobFailed(let digest, let reason): return onBlobFailed(digest, reason: reason, at: now)
        case .blobProgressed(let share):
            if case .preparing = phase { fraction = max(fraction, Self.fetchShare * min(1, max(0, share))) }
            return []
        case .prepared(let round, let snapshots): return onPrepared(round: round, snapshots: snapshots, at: now)
        case .missing(let round, let blobs): return onMissing(round: round, blobs: blobs)
        case .taskFinished(let submission, let residual, let member):
            return onTaskFinished(submission, residual: residual, member: member, at: now)
        case .taskFailed(let round, let reason): return onTaskFailed(round: round, reason: reason)
        case .diskFull(let reason): return leave(.diskFull(reason: reason), saying: reason)
        case .progressed(let round, let fraction):
            if case .running(let offer) = phase, offer.round == round {
                self.fraction = Self.fetchShare + (1 - Self.fetchShare) * min(1, max(0, fraction))
            }
            return []
        case .ticked: return onTick(at: now)
        case .stopRequested: return leave(.stopped, saying: "stopped on request")
        }
    }

    /// The task in progress, and how far it has come.
    public var activity: (round: Int, task: String, progress: RunStatus.TaskProgress)? {
        switch phase {
        case .preparing(let offer, _):
            let progress = RunStatus.TaskProgress(doing: "fetching", fraction: min(1, fraction / Self.fetchShare))
            return (offer.round, offer.work.kind, progress)
        case .running(let offer):
            return (offer.round, offer.work.kind, RunStatus.TaskProgress(doing: "working", fraction: fraction))
        case .offline, .greeting, .idle, .submitting, .ended: return nil
        }
    }

    /// The part of a task's progress that stands for getting its inputs.
    static let fetchShare = 0.1

    /// Versions were agreed on, so what cannot be read will not be readable the next time either.
    private mutating func onMalformed(_ reason: String) -> [WorkerAction] {
        unreadable += 1
        guard unreadable <= 3 else {
            let complaint = "the coordinator sends what we cannot read (\(reason)): install matching versions"
            return leave(.refused(.malformed, reason: complaint), saying: complaint)
        }
        return [.log(LogEvent("diagnostic", level: .warning, ["message": .string("coordinator sent \(reason)")]))]
    }

    private mutating func leave(_ outcome: WorkerOutcome, saying reason: String) -> [WorkerAction] {
        (isConnected ? [.send(.goodbye(reason: reason))] : []) + end(outcome)
    }

    private mutating func end(_ outcome: WorkerOutcome) -> [WorkerAction] {
        var actions: [WorkerAction] = []
        if let round = currentRound { actions.append(.cancel(round: round)) }
        phase = .ended
        return actions + [.finish(outcome)]
    }

    var currentRound: Int? {
        switch phase {
        case .preparing(let offer, _), .running(let offer): offer.round
        case .offline, .greeting, .idle, .submitting, .ended: nil
        }
    }

    // MARK: Session

    /// The operator may yet allow our key: say so at once, and keep trying while patience lasts.
    private mutating func onTurnedAway(_ reason: String) -> [WorkerAction] {
        isConnected = false
        isTurnedAway = true
        lastComplaint = reason
        return [.log(LogEvent("worker.refused", level: .warning, ["reason": .string(reason)]))]
    }

    private mutating func onConnected(at now: Double) -> [WorkerAction] {
        isConnected = true
        isTurnedAway = false
        lastHeardAt = now
        lastHeartbeatAt = now
        if case .offline = phase { phase = .greeting }
        return [.send(.hello(hello))]
    }

    private mutating func onMessage(_ message: CoordinatorMessage, at now: Double) -> [WorkerAction] {
        switch message {
        case .welcome(let version, let run, let heartbeatSeconds, let acceptedRounds):
            guard supportedProtocolVersions.contains(version) else {
                return end(
                    .refused(.version, reason: "the coordinator chose protocol \(version), which we do not speak"))
            }
            self.heartbeatSeconds = heartbeatSeconds
            return onWelcome(run: run, acceptedRounds: acceptedRounds, at: now)
        case .refusal(.unknownSession, _): return [.send(.hello(hello))]
        case .refusal(.malformed, let reason):
            return [.log(LogEvent("diagnostic", level: .error, ["message": .string("coordinator says: \(reason)")]))]
        case .refusal(let code, let reason): return end(.refused(code, reason: reason))
        case .task(let offer): return onOffer(offer, at: now)
        case .wait(let reason):
            return [.log(LogEvent("diagnostic", level: .debug, ["message": .string("waiting: \(reason)")]))]
        case .verdict(let round, let accepted, let reason):
            return onVerdict(round: round, accepted: accepted, reason: reason)
        case .withdrawal(let round, let reason): return onWithdrawal(round: round, reason: reason)
        case .finished: return end(.runFinished)
        }
    }

    private mutating func onWelcome(run: String, acceptedRounds: Int, at now: Double) -> [WorkerAction] {
        var actions: [WorkerAction] = []
        if memory.run != run {
            // Another run: nothing we remember concerns it.
            if let round = currentRound { actions.append(.cancel(round: round)) }
            memory = WorkerMemory(run: run)
            held = []
            phase = .greeting
            actions.append(.remember(memory))
        }
        actions += settlePending(acceptedRounds: acceptedRounds)
        switch phase {
        case .preparing, .running: break  // A reconnect: the work goes on.
        case .offline, .greeting, .idle, .submitting: actions += submitOrAsk(at: now)
        case .ended: break
        }
        return actions
    }

    /// The coordinator's ledger decides whether a pending contribution counted.
    mutating func settlePending(acceptedRounds: Int) -> [WorkerAction] {
        guard acceptedRounds > memory.settledRounds else { return [] }
        memory.settledRounds = acceptedRounds
        if let pending = memory.pending, pending.submission.round < acceptedRounds {
            let counted = pending.submission.round + 1 == acceptedRounds
            if counted { memory.settle(pending) }
            memory.pending = nil
            isGivenUp = false
        }
        return [.remember(memory)]
    }

    private mutating func submitOrAsk(at now: Double) -> [WorkerAction] {
        if let pending = memory.pending, !isGivenUp {
            phase = .submitting
            lastSubmittedAt = now
            return [.send(.submission(pending.submission))]
        }
        phase = .idle
        return [ready]
    }

    var ready: WorkerAction { .send(.ready(held: Array(held.suffix(MessageLimits.heldSnapshots)))) }

    // MARK: Time

    private mutating func onTick(at now: Double) -> [WorkerAction] {
        let isRunning = if case .running = phase { true } else { false }
        let isAnswered = isConnected && phase != .greeting
        if !isAnswered, !isRunning, now - lastHeardAt > patienceSeconds {
            if isTurnedAway { return end(.turnedAway(reason: lastComplaint)) }
            return end(.unreachable(reason: "no coordinator for \(Int(now - lastHeardAt)) seconds: \(lastComplaint)"))
        }
        guard isConnected else { return [] }
        if case .submitting = phase, now - lastSubmittedAt > max(10, 2 * heartbeatSeconds), let pending = memory.pending
        {
            lastSubmittedAt = now
            return [.send(.submission(pending.submission))]
        }
        guard now - lastHeartbeatAt >= heartbeatSeconds else { return [] }
        lastHeartbeatAt = now
        switch phase {
        case .offline, .greeting: return [.send(.hello(hello))]
        case .idle: return [ready]
        case .preparing, .running: return [.send(.heartbeat(round: currentRound, progress: fraction))]
        case .submitting: return [.send(.heartbeat(round: memory.pending?.submission.round, progress: 1))]
        case .ended: return []
        }
    }
}
