// Time: deadlines, waiting that is told, and the end of patience.

extension CoordinatorMachine {
    mutating func onTick(at now: Double) -> [CoordinatorAction] {
        // After a pause of our own, what our workers said meanwhile is read before anybody is called silent.
        let wasAway = !isCatchingUp && lastTickAt.map { now - $0 > plan.fleet.leaseSeconds / 2 } == true
        isCatchingUp = wasAway
        lastTickAt = now
        var actions = wasAway ? [] : endSilent(at: now)
        guard case .collecting(let openedAt) = phase, let round = history.openRound else {
            return actions + tellOwnWork(at: now)
        }
        actions += closeIfComplete(at: now)
        guard case .collecting = phase else { return actions }
        actions += assignTasks(at: now)
        if now - lastWaitingLogAt >= 10 {
            lastWaitingLogAt = now
            actions.append(.log(waiting(round, openedAt: openedAt, at: now)))
        }
        // A task that is not late is progress, whatever its worker tells of it. After that only what moves counts.
        if timelyLeases(at: now) > 0 { lastProgressAt = now }
        if now - lastProgressAt > plan.fleet.waitSeconds {
            actions += end(succeeded: false, reason: giveUpReason(round), .noWorkers)
        }
        return actions
    }

    private func giveUpReason(_ round: OpenRound) -> String {
        let have = "\(round.accepted.count) of \(needed) contributions"
        let wait = "after waiting \(Int(plan.fleet.waitSeconds)) seconds"
        if let (worker, setback) = setbacks.sorted(by: { $0.key < $1.key }).first {
            return "round \(round.number) has \(have) \(wait); \(worker) was refused: \(setback.reason)"
        }
        if let (worker, lease) = leases.sorted(by: { $0.key < $1.key }).first {
            return "round \(round.number) has \(have) \(wait) without progress; \(worker) is still at "
                + "\(Int(lease.fraction * 100)) % of its task: raise fleet.deadline if that is its pace, else start "
                + "other workers, and run again with the same --state"
        }
        return "round \(round.number) has \(have) \(wait) and no worker is at work: "
            + "start workers (or raise fleet.wait) and run again with the same --state"
    }
}
