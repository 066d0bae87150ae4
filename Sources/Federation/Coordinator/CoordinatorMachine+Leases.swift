// Leases: who works on what, who is late and who is asked instead.

extension CoordinatorMachine {
    /// A worker is idle and holds these snapshots.
    mutating func onReady(
        _ held: [Digest], session: SessionID, worker: String, at now: Double
    ) -> [CoordinatorAction] {
        sessions[session]?.ready = held
        if var lease = leases[worker], lease.progress == .working {
            // Its task and this message have crossed, or the task was lost on the way.
            guard now - lease.offeredAt >= plan.fleet.heartbeatSeconds else { return [] }
            guard let step = history.step, isOffered(lease.round) else {
                leases[worker] = nil
                return assignTasks(at: now)
            }
            lease.offeredAt = now
            leases[worker] = lease
            sessions[session]?.ready = nil
            return [.send(.task(offer(step, round: lease.round, worker: worker, held: held)), session)]
        }
        let actions = assignTasks(at: now)
        guard sessions[session]?.ready != nil else { return actions }
        return actions + [.send(.wait(reason: idleReason(worker, at: now)), session)]
    }

    /// Whether the task of a round is one that would be offered now.
    private func isOffered(_ round: Int) -> Bool {
        if case .collecting = phase { history.openRound?.number == round } else { false }
    }

    /// Why a worker that asked for work has none, for its log.
    private func idleReason(_ worker: String, at now: Double) -> String {
        guard case .collecting = phase, let round = history.openRound else { return "the next step is being computed" }
        if hasContributed(worker, to: round) { return "round \(round.number) waits for other workers" }
        if let setback = setbacks[worker], setback.count > 0 { return "an earlier attempt failed: \(setback.reason)" }
        return "round \(round.number) has enough workers"
    }

    func hasContributed(_ worker: String, to round: OpenRound) -> Bool {
        round.accepted.contains { $0.worker == worker && $0.round == round.number }
    }

    mutating func onHeartbeat(round: Int?, progress: Double, session: SessionID, worker: String, at now: Double) {
        guard let round else { return }
        if leases[worker] == nil, mayClaim(round, worker: worker, at: now) {
            // It kept working while we were away. Claiming again does not make a task younger.
            let since = claims[worker] ?? now
            claims[worker] = since
            var lease = Lease(session: session, round: round, at: since)
            lease.renewedAt = now
            leases[worker] = lease
        }
        guard var lease = leases[worker], lease.round == round else { return }
        lease.renewedAt = now
        // Counted in hundredths, so that nobody makes progress for ever.
        if progress >= lease.fraction + 0.01 {
            lease.fraction = progress
            lastProgressAt = now
        }
        leases[worker] = lease
    }

    /// Whether a worker may go on with a task that this process did not give it, or took from it.
    func mayClaim(_ round: Int, worker: String, at now: Double) -> Bool {
        isCountable(round) && history.acceptedRounds[worker, default: 0] <= round
            && offeredRounds[worker, default: 0] <= round && setbacks[worker] == nil && vacancies(at: now) > 0
    }

    /// Leases that the round still counts on.
    func timelyLeases(at now: Double) -> Int {
        leases.values.reduce(0) { $0 + (now - $1.assignedAt <= plan.fleet.deadlineSeconds || $1.isExamining ? 1 : 0) }
    }

    /// How many more workers may be asked now.
    func vacancies(at now: Double) -> Int {
        guard let step = history.step, let round = history.openRound else { return 0 }
        let atWork = timelyLeases(at: now)
        let asked = isAsynchronous(step) ? atWork : round.accepted.count + atWork
        return plan.fleet.workers + plan.fleet.overSelect - asked
    }

    /// Offers the open round's task to ready workers that may still contribute.
    mutating func assignTasks(at now: Double) -> [CoordinatorAction] {
        guard case .collecting = phase, let round = history.openRound, let step = history.step else { return [] }
        var actions: [CoordinatorAction] = []
        var free = vacancies(at: now)
        guard free > 0 else { return [] }
        // Who was asked least comes first, then who came first.
        let ready = sessions.keys.filter { sessions[$0]?.ready != nil }.sorted {
            (offers[sessions[$0]?.worker ?? "", default: 0], $0) < (offers[sessions[$1]?.worker ?? "", default: 0], $1)
        }
        for id in ready where free > 0 {
            guard let session = sessions[id], let held = session.ready else { continue }
            let worker = session.worker
            guard leases[worker] == nil, !hasContributed(worker, to: round), mayBeAsked(worker, at: now) else {
                continue
            }
            free -= 1
            leases[worker] = Lease(session: id, round: round.number, at: now)
            sessions[id]?.ready = nil
            // Only the first offer is progress: else an endless exchange of offers and declines would be.
            if offers[worker] == nil { lastProgressAt = now }
            offers[worker, default: 0] += 1
            offeredRounds[worker] = round.number
            actions.append(.send(.task(offer(step, round: round.number, worker: worker, held: held)), id))
            actions.append(
                .log(
                    LogEvent(
                        "task.assigned", level: .debug,
                        ["round": .int(round.number), "worker": .string(worker), "task": .string(round.task)])))
        }
        return actions
    }

    private func mayBeAsked(_ worker: String, at now: Double) -> Bool {
        guard let setback = setbacks[worker] else { return true }
        return setback.count < plan.limits.attempts && now >= setback.retryAt
    }

    /// Ends sessions and leases that have fallen silent.
    mutating func endSilent(at now: Double) -> [CoordinatorAction] {
        var actions: [CoordinatorAction] = []
        for id in sessions.keys.sorted() {
            guard let session = sessions[id], now - session.lastSeenAt > plan.fleet.leaseSeconds else { continue }
            sessions[id] = nil
            guard leases[session.worker] == nil else { continue }
            let reason = "silent for \(Int(now - session.lastSeenAt)) seconds"
            actions.append(left(session.worker, event: "worker.lost", reason: reason))
        }
        for (worker, lease) in leases.sorted(by: { $0.key < $1.key }) {
            let silence = now - lease.renewedAt
            guard silence > plan.fleet.leaseSeconds, case .working = lease.progress else { continue }
            leases[worker] = nil
            actions.append(
                left(worker, event: "worker.lost", reason: "its task was not heard of for \(Int(silence)) seconds"))
            if sessions[lease.session]?.worker == worker {
                let reason = "the task was not heard of for \(Int(silence)) seconds"
                actions.append(.send(.withdrawal(round: lease.round, reason: reason), lease.session))
            }
        }
        return actions
    }

    /// Takes their tasks from these workers and tells them.
    mutating func withdrawLeases(of workers: [String], reason: String) -> [CoordinatorAction] {
        workers.sorted().compactMap { worker in
            leases.removeValue(forKey: worker).map { .send(.withdrawal(round: $0.round, reason: reason), $0.session) }
        }
    }
}
