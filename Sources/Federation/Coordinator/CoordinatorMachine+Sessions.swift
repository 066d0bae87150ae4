import Tensors

// Sessions, leases and contributions: what happens within a round.

extension CoordinatorMachine {
    mutating func onMessage(
        _ message: WorkerMessage, session: SessionID, worker: String, at now: Double
    ) -> [CoordinatorAction] {
        lastSeen[worker] = now
        if case .hello(let hello) = message { return onHello(hello, session: session, worker: worker, at: now) }
        guard sessions[session]?.worker == worker else {
            return [.send(.refusal(.unknownSession, reason: "say hello first"), session)]
        }
        sessions[session]?.lastSeenAt = now
        switch message {
        case .hello: preconditionFailure("handled above")
        case .ready(let held):
            sessions[session]?.ready = held
            // An idle worker has no task, whatever we believed (it restarted, or declined without our hearing).
            if let lease = leases[worker], lease.submission == nil { leases[worker] = nil }
            return assignTasks(at: now)
        case .heartbeat: return []
        case .submission(let submission): return onSubmission(submission, session: session, worker: worker, at: now)
        case .decline(let round, let reason):
            return onDecline(round: round, reason: reason, session: session, worker: worker, at: now)
        case .goodbye(let reason):
            return leave(session, event: "worker.left", reason: reason, at: now)
        }
    }

    private mutating func onHello(_ hello: Hello, session: SessionID, worker: String, at now: Double)
        -> [CoordinatorAction]
    {
        let spoken = max(hello.minimumVersion, supportedProtocolVersions.lowerBound)
        guard spoken <= min(hello.maximumVersion, supportedProtocolVersions.upperBound) else {
            let reason =
                "worker speaks protocol \(hello.minimumVersion) to \(hello.maximumVersion), this coordinator "
                + "\(supportedProtocolVersions.lowerBound) to \(supportedProtocolVersions.upperBound): install matching versions"
            return refuse(session, worker, .version, reason)
        }
        if let reason = mismatch(hello) { return refuse(session, worker, .data, reason) }
        // A worker has one session: a newer one replaces it, and its lease moves along.
        let isNew = !sessions.values.contains { $0.worker == worker }
        for (old, value) in sessions where value.worker == worker && old != session { sessions[old] = nil }
        leases[worker]?.session = session
        if let lease = leases[worker], lease.submission != nil, !lease.isExamined { leases[worker]?.submission = nil }
        sessions[session] = Session(worker: worker, hello: hello, lastSeenAt: now)
        lastProgressAt = now
        var actions: [CoordinatorAction] = []
        if isNew {
            actions.append(
                .log(
                    LogEvent(
                        "worker.joined",
                        [
                            "worker": .string(worker), "samples": .int(hello.trainingSamples),
                            "classes": .int(hello.classes), "threads": .int(hello.threads),
                            "version": .string(hello.software),
                        ])))
        }
        actions.append(
            .send(
                .welcome(
                    version: min(hello.maximumVersion, supportedProtocolVersions.upperBound), run: history.run ?? "",
                    heartbeatSeconds: plan.fleet.heartbeatSeconds, acceptedRounds: history.acceptedRounds[worker] ?? 0),
                session))
        return actions
    }

    private func refuse(
        _ session: SessionID, _ worker: String, _ code: RefusalCode, _ reason: String
    ) -> [CoordinatorAction] {
        [
            .log(LogEvent("worker.refused", level: .warning, ["worker": .string(worker), "reason": .string(reason)])),
            .send(.refusal(code, reason: reason), session),
        ]
    }

    /// Why a worker's data does not fit the model, or nil.
    private func mismatch(_ hello: Hello) -> String? {
        guard let model = history.model else { return nil }
        let expected = model.sampleShape
        let fits =
            expected.count == hello.sampleShape.count
            && zip(expected, hello.sampleShape).allSatisfy { $0 == nil || $0 == $1 }
        // A vector model takes images of as many elements.
        guard fits || expected.isEmpty else {
            let declared = expected.map { $0.map(String.init) ?? "?" }.joined(separator: "x")
            let found = hello.sampleShape.map(String.init).joined(separator: "x")
            return "the worker's samples are \(found) but the model takes \(declared): give the worker matching --data"
        }
        if let classes = model.classes, hello.classes > classes {
            return "the worker's labels have \(hello.classes) classes but the model has \(classes) outputs"
        }
        return nil
    }

    /// Offers the open round's task to ready workers that may still contribute.
    mutating func assignTasks(at now: Double) -> [CoordinatorAction] {
        guard case .collecting = phase, let round = history.openRound, let step = history.step else { return [] }
        var actions: [CoordinatorAction] = []
        for id in sessions.keys.sorted() {
            guard let session = sessions[id], let held = session.ready else { continue }
            let worker = session.worker
            let contributed = round.accepted.contains { $0.worker == worker } || round.refused[worker] != nil
            guard !contributed, leases[worker] == nil,
                round.accepted.count + leases.count < plan.fleet.workers
            else { continue }
            leases[worker] = Lease(session: id, assignedAt: now)
            sessions[id]?.ready = nil
            lastProgressAt = now
            actions.append(.send(.task(offer(step, round: round.number, worker: worker, held: held)), id))
            actions.append(
                .log(
                    LogEvent(
                        "task.assigned", level: .debug,
                        ["round": .int(round.number), "worker": .string(worker), "task": .string(round.task)])))
        }
        return actions
    }

    private mutating func onSubmission(
        _ submission: Submission, session: SessionID, worker: String, at now: Double
    ) -> [CoordinatorAction] {
        let round = submission.round
        // A result that was settled before (the verdict was lost): repeat the verdict.
        if round < (history.acceptedRounds[worker] ?? 0) {
            let wasAccepted = history.acceptedRounds[worker] == round + 1
            let reason = wasAccepted ? "" : "superseded by a later round"
            return [.send(.verdict(round: round, accepted: wasAccepted, reason: reason), session)]
        }
        guard case .collecting = phase, let open = history.openRound, open.number == round, let step = history.step
        else {
            return [.send(.verdict(round: round, accepted: false, reason: "round \(round) is not open"), session)]
        }
        if let reason = open.refused[worker] {
            return [.send(.verdict(round: round, accepted: false, reason: reason), session)]
        }
        if let lease = leases[worker], lease.submission != nil { return [] }
        // A worker that finished while we were away has no lease in this process; its result is as good as any.
        guard leases[worker] != nil || open.accepted.count + leases.count < plan.fleet.workers else {
            return [.send(.verdict(round: round, accepted: false, reason: "the round has enough workers"), session)]
        }
        leases[worker] = Lease(session: session, assignedAt: leases[worker]?.assignedAt ?? now, submission: submission)
        sessions[session]?.ready = nil
        lastProgressAt = now
        if let reason = objection(to: submission, step: step) {
            return onExamined(.refused(reason: reason), round: round, worker: worker, at: now)
        }
        guard let blob = submission.blob else { return examine(worker, submission) }
        return [.fetch(blob, session)]
    }

    /// What is wrong with a submission before its bytes are seen, or nil.
    private func objection(to submission: Submission, step: Step) -> String? {
        let needsBlob = if case .evaluate = step { false } else { true }
        if needsBlob != (submission.blob != nil) { return "the task's result is of the wrong kind" }
        if let blob = submission.blob, let base = history.snapshot {
            // A dense float32 update is about as large as the snapshot; histograms have their own bound.
            let limit = 2 * base.snapshot.byteCount + (8 << 20)
            if blob.byteCount > limit { return "the result declares \(blob.byteCount) bytes, more than \(limit)" }
        }
        if submission.metrics.samples < 1 { return "the result is weighted by no samples" }
        return nil
    }

    private mutating func examine(_ worker: String, _ submission: Submission) -> [CoordinatorAction] {
        leases[worker]?.isExamined = true
        return [
            .examine(
                ContributionFacts(
                    round: submission.round, worker: worker, submission: submission, weight: weight(submission)))
        ]
    }

    /// Samples, bounded so that no fold over the fleet can overflow (the codec's limit is 2^24 in total).
    private func weight(_ submission: Submission) -> UInt32 {
        let bound = max(1, (1 << 24) / max(1, plan.fleet.workers))
        return UInt32(min(submission.metrics.samples, bound))
    }

    mutating func onBlobArrived(_ digest: Digest, session: SessionID, at now: Double) -> [CoordinatorAction] {
        guard let worker = sessions[session]?.worker, let lease = leases[worker], let submission = lease.submission,
            submission.blob?.digest == digest, !lease.isExamined, case .collecting = phase
        else { return [] }
        sessions[session]?.lastSeenAt = now
        return examine(worker, submission)
    }

    mutating func onBlobFailed(
        _ digest: Digest, session: SessionID, reason: String, at now: Double
    ) -> [CoordinatorAction] {
        guard let worker = sessions[session]?.worker, let submission = leases[worker]?.submission,
            submission.blob?.digest == digest, leases[worker]?.isExamined == false
        else { return [] }
        // A broken transfer says nothing about the contribution: a worker that died or lost its connection submits again
        // when it is back. Only bytes that fail again and again are refused.
        let failures = (transferFailures[worker] ?? 0) + 1
        guard failures > Self.transferAttempts else {
            transferFailures[worker] = failures
            leases[worker]?.submission = nil
            return [
                .log(
                    LogEvent(
                        "diagnostic", level: .warning,
                        ["worker": .string(worker), "message": .string("its result could not be fetched: \(reason)")]))
            ]
        }
        return onExamined(
            .refused(reason: "its bytes could not be fetched: \(reason)"), round: submission.round, worker: worker,
            at: now)
    }

    private static var transferAttempts: Int { 20 }

    mutating func onExamined(_ examination: Examination, round: Int, worker: String, at now: Double)
        -> [CoordinatorAction]
    {
        guard case .collecting = phase, history.openRound?.number == round, let lease = leases[worker],
            let submission = lease.submission
        else { return [] }
        leases[worker] = nil
        lastProgressAt = now
        var actions: [CoordinatorAction]
        switch examination {
        case .folded:
            let facts = ContributionFacts(
                round: round, worker: worker, submission: submission, weight: weight(submission))
            actions = [
                commit([.contributionAccepted(facts)]),
                .send(.verdict(round: round, accepted: true, reason: ""), lease.session),
                .log(accepted(facts)),
            ]
        case .refused(let reason):
            actions = [
                commit([.contributionRefused(round: round, worker: worker, reason: reason)]),
                .send(.verdict(round: round, accepted: false, reason: reason), lease.session),
                .log(
                    LogEvent(
                        "contribution.refused", level: .warning,
                        ["round": .int(round), "worker": .string(worker), "reason": .string(reason)])),
            ]
        }
        return actions + closeIfComplete(at: now)
    }

    private func accepted(_ facts: ContributionFacts) -> LogEvent {
        let metrics = facts.submission.metrics
        var event = LogEvent(
            "contribution.accepted",
            [
                "round": .int(facts.round), "worker": .string(facts.worker),
                "bytes": .int(facts.submission.blob?.byteCount ?? 0), "samples": .int(metrics.samples),
                "seconds": .double(metrics.seconds),
            ])
        if metrics.measured > 0 {
            event.fields.append(("loss", .double(metrics.lossSum / Double(metrics.measured))))
        }
        return event
    }

    private mutating func onDecline(
        round: Int, reason: String, session: SessionID, worker: String, at now: Double
    ) -> [CoordinatorAction] {
        guard case .collecting = phase, history.openRound?.number == round, let lease = leases[worker],
            lease.submission == nil
        else { return [] }
        leases[worker] = nil
        var actions: [CoordinatorAction] = [
            commit([.contributionRefused(round: round, worker: worker, reason: "declined: \(reason)")]),
            .log(
                LogEvent(
                    "contribution.refused", level: .warning,
                    ["round": .int(round), "worker": .string(worker), "reason": .string("declined: \(reason)")])),
        ]
        actions += closeIfComplete(at: now)
        return actions + assignTasks(at: now)
    }

    private mutating func leave(
        _ session: SessionID, event: String, reason: String, at now: Double
    ) -> [CoordinatorAction] {
        guard let worker = sessions.removeValue(forKey: session)?.worker else { return [] }
        if leases[worker]?.isExamined != true { leases[worker] = nil }
        return [
            .log(LogEvent(event, level: .warning, ["worker": .string(worker), "reason": .string(reason)]))
        ] + assignTasks(at: now)
    }

    mutating func onTick(at now: Double) -> [CoordinatorAction] {
        var actions: [CoordinatorAction] = []
        for id in sessions.keys.sorted() {
            guard let session = sessions[id], now - session.lastSeenAt > plan.fleet.leaseSeconds else { continue }
            actions += leave(
                id, event: "worker.lost", reason: "silent for \(Int(now - session.lastSeenAt)) seconds", at: now)
        }
        guard case .collecting(let openedAt) = phase, let round = history.openRound else { return actions }
        actions += closeIfComplete(at: now)
        guard case .collecting = phase else { return actions }
        if now - lastWaitingLogAt >= 10 {
            lastWaitingLogAt = now
            actions.append(.log(waiting(round, openedAt: openedAt, at: now)))
        }
        // Somebody at work is progress: only a fleet that cannot reach the quorum any more exhausts our patience.
        if !leases.isEmpty { lastProgressAt = now }
        if now - lastProgressAt > plan.fleet.waitSeconds {
            actions += end(succeeded: false, reason: giveUpReason(round), .noWorkers)
        }
        return actions
    }

    private func giveUpReason(_ round: OpenRound) -> String {
        let have = "\(round.accepted.count) of \(plan.fleet.quorum) contributions"
        let wait = "after waiting \(Int(plan.fleet.waitSeconds)) seconds"
        if let (worker, reason) = round.refused.sorted(by: { $0.key < $1.key }).first {
            return "round \(round.number) has \(have) \(wait); \(worker) was refused: \(reason)"
        }
        return "round \(round.number) has \(have) \(wait) and no worker is at work: "
            + "start workers (or raise fleet.wait) and run again with the same --state"
    }
}
