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
    public private(set) var memory: WorkerMemory
    let hello: Hello
    /// How long to try to reach a coordinator before giving up.
    let patienceSeconds: Double
    private(set) var phase = WorkerPhase.offline
    private var held: [Digest]
    private var heartbeatSeconds = 5.0
    private var lastHeartbeatAt = 0.0
    private var lastHeardAt: Double
    private var lastSubmittedAt = 0.0
    /// The pending result was refused, withdrawn or lost: it is not submitted again, but not forgotten before it is settled.
    private var isGivenUp = false
    private var isConnected = false
    private var fraction = 0.0
    /// When the task in progress was offered, and how long its inputs took to come.
    private var offeredAt = 0.0
    private var fetchSeconds = 0.0
    /// Messages of the coordinator that could not be read.
    private var unreadable = 0
    private var lastComplaint = "nobody answers"
    /// Whether the last complaint was about keys.
    private var isTurnedAway = false
    /// Deltas and blobs that failed to arrive, in a row.
    private var failures = 0

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

    private var currentRound: Int? {
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
    private mutating func settlePending(acceptedRounds: Int) -> [WorkerAction] {
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

    private var ready: WorkerAction { .send(.ready(held: Array(held.suffix(MessageLimits.heldSnapshots)))) }

    // MARK: Task

    private mutating func onOffer(_ offer: TaskOffer, at now: Double) -> [WorkerAction] {
        if let round = currentRound, round == offer.round { return [] }
        // Overtaken on the way by a newer one: what we have of that is about to be settled.
        guard offer.round >= max(currentRound ?? 0, memory.pending?.submission.round ?? 0) else { return [] }
        // A copy of a task that has counted: done again, with the residual of after, it would be another one.
        guard offer.round >= max(memory.settledRounds, offer.acceptedRounds) else {
            let reason =
                "a task of round \(offer.round) came after one of round \(memory.settledRounds - 1) was accepted: "
                + "was the coordinator's state restored from a copy?"
            return [.send(.decline(round: offer.round, reason: reason))]
        }
        var actions: [WorkerAction] = []
        if let round = currentRound { actions.append(.cancel(round: round)) }
        actions += settlePending(acceptedRounds: offer.acceptedRounds)
        if let pending = memory.pending {
            // Done already (the submission was lost on the way), or for a round that closed without us.
            if pending.submission.round == offer.round, !isGivenUp {
                phase = .submitting
                lastSubmittedAt = now
                return actions + [.send(.submission(pending.submission))]
            }
            // A result given up for this very round may yet turn out to have been accepted: doing it again gives the same
            // bytes, and until then the old one stands.
            if pending.submission.round != offer.round {
                memory.pending = nil
                isGivenUp = false
                actions.append(.remember(memory))
            }
        }
        phase = .preparing(offer, awaited: [])
        fraction = 0
        failures = 0
        offeredAt = now
        return actions + [.prepare(offer)]
    }

    private mutating func onMissing(round: Int, blobs: [BlobReference]) -> [WorkerAction] {
        guard case .preparing(let offer, _) = phase, offer.round == round else { return [] }
        phase = .preparing(offer, awaited: Set(blobs.map(\.digest)))
        return blobs.map { .fetch($0) }
    }

    private mutating func onBlobArrived(_ digest: Digest, at now: Double) -> [WorkerAction] {
        lastHeardAt = now
        guard case .preparing(let offer, var awaited) = phase, awaited.remove(digest) != nil else { return [] }
        failures = 0
        phase = .preparing(offer, awaited: awaited)
        return awaited.isEmpty ? [.prepare(offer)] : []
    }

    private mutating func onBlobFailed(_ digest: Digest, reason: String, at now: Double) -> [WorkerAction] {
        guard case .preparing(let offer, let awaited) = phase, awaited.contains(digest) else { return [] }
        failures += 1
        if failures > 5 { return onTaskFailed(round: offer.round, reason: "cannot fetch \(digest.short): \(reason)") }
        phase = .preparing(offer, awaited: [])
        return [.prepare(offer)]
    }

    private mutating func onPrepared(round: Int, snapshots: [Digest], at now: Double) -> [WorkerAction] {
        guard case .preparing(let offer, _) = phase, offer.round == round else { return [] }
        held = snapshots
        fetchSeconds = now - offeredAt
        fraction = Self.fetchShare
        phase = .running(offer)
        return [
            .log(
                LogEvent(
                    "task.started",
                    ["round": .int(round), "task": .string(offer.work.kind), "snapshot": .int(offer.snapshot.version)])),
            .run(offer, residual: memory.residual, member: memory.member),
        ]
    }

    private mutating func onTaskFinished(
        _ submission: Submission, residual: Digest?, member: MemberMemory?, at now: Double
    ) -> [WorkerAction] {
        guard case .running(let offer) = phase, offer.round == submission.round else { return [] }
        var submission = submission
        submission.metrics.fetchSeconds = fetchSeconds
        memory.pending = WorkerMemory.Pending(submission: submission, residual: residual, member: member)
        isGivenUp = false
        phase = .submitting
        lastSubmittedAt = now
        var event = LogEvent(
            "task.finished",
            [
                "round": .int(submission.round), "task": .string(offer.work.kind),
                "seconds": .double(submission.metrics.seconds), "bytes": .int(submission.blob?.byteCount ?? 0),
            ])
        if submission.metrics.measured > 0 {
            event.fields.append(("loss", .double(submission.metrics.lossSum / Double(submission.metrics.measured))))
        }
        return [.remember(memory), .send(.submission(submission)), .log(event)]
    }

    private mutating func onTaskFailed(round: Int, reason: String) -> [WorkerAction] {
        guard currentRound == round else { return [] }
        phase = .idle
        return [
            .log(
                LogEvent(
                    "task.finished", level: .error, ["round": .int(round), "error": .string(reason)])),
            .send(.decline(round: round, reason: reason)),
            ready,
        ]
    }

    private mutating func onVerdict(round: Int, accepted: Bool, reason: String) -> [WorkerAction] {
        guard let pending = memory.pending, pending.submission.round == round else { return [] }
        var actions: [WorkerAction] = []
        if accepted {
            memory.settle(pending)
            memory.pending = nil
            memory.settledRounds = max(memory.settledRounds, round + 1)
            actions.append(.remember(memory))
        } else {
            isGivenUp = true
            actions.append(
                .log(
                    LogEvent(
                        "contribution.refused", level: .warning, ["round": .int(round), "reason": .string(reason)])))
        }
        guard case .submitting = phase else { return actions }
        phase = .idle
        return actions + [ready]
    }

    private mutating func onWithdrawal(round: Int, reason: String) -> [WorkerAction] {
        if let pending = memory.pending, pending.submission.round == round {
            return onVerdict(round: round, accepted: false, reason: reason)
        }
        guard currentRound == round else { return [] }
        phase = .idle
        return [.cancel(round: round), ready]
    }

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
