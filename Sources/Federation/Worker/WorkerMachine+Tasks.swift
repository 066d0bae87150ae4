// A task from its offer to its verdict.

extension WorkerMachine {
    mutating func onOffer(_ offer: TaskOffer, at now: Double) -> [WorkerAction] {
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

    mutating func onMissing(round: Int, blobs: [BlobReference]) -> [WorkerAction] {
        guard case .preparing(let offer, _) = phase, offer.round == round else { return [] }
        phase = .preparing(offer, awaited: Set(blobs.map(\.digest)))
        return blobs.map { .fetch($0) }
    }

    mutating func onBlobArrived(_ digest: Digest, at now: Double) -> [WorkerAction] {
        lastHeardAt = now
        guard case .preparing(let offer, var awaited) = phase, awaited.remove(digest) != nil else { return [] }
        failures = 0
        phase = .preparing(offer, awaited: awaited)
        return awaited.isEmpty ? [.prepare(offer)] : []
    }

    mutating func onBlobFailed(_ digest: Digest, reason: String, at now: Double) -> [WorkerAction] {
        guard case .preparing(let offer, let awaited) = phase, awaited.contains(digest) else { return [] }
        failures += 1
        if failures > 5 { return onTaskFailed(round: offer.round, reason: "cannot fetch \(digest.short): \(reason)") }
        phase = .preparing(offer, awaited: [])
        return [.prepare(offer)]
    }

    mutating func onPrepared(round: Int, snapshots: [Digest], at now: Double) -> [WorkerAction] {
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

    mutating func onTaskFinished(
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

    mutating func onTaskFailed(round: Int, reason: String) -> [WorkerAction] {
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

    mutating func onVerdict(round: Int, accepted: Bool, reason: String) -> [WorkerAction] {
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

    mutating func onWithdrawal(round: Int, reason: String) -> [WorkerAction] {
        if let pending = memory.pending, pending.submission.round == round {
            return onVerdict(round: round, accepted: false, reason: reason)
        }
        guard currentRound == round else { return [] }
        phase = .idle
        return [.cancel(round: round), ready]
    }
}
