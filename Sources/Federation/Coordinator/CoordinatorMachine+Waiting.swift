// What "why are we waiting?" needs besides the open round: last signs of life, and what the coordinator does alone.

extension CoordinatorMachine {
    /// Age of a worker's last sign of life, be it a message or bytes of its result; nil when it was not heard of since this
    /// process began.
    func secondsSinceSeen(_ worker: String, at now: Double) -> Double? {
        let session = leases[worker].flatMap { sessions[$0.session] }.flatMap { $0.worker == worker ? $0 : nil }
        return [lastSeen[worker], session?.lastSeenAt].compactMap { $0 }.max().map { max(0, now - $0) }
    }

    /// How far a worker's task has come; nil when it has none.
    func taskStatus(of worker: String) -> RunStatus.TaskProgress? {
        guard let lease = leases[worker] else { return nil }
        switch lease.progress {
        case .working:
            let isFetching = lease.fraction < WorkerMachine.fetchShare
            return RunStatus.TaskProgress(
                doing: isFetching ? "fetching" : "working",
                fraction: isFetching ? lease.fraction / WorkerMachine.fetchShare : lease.fraction)
        case .fetching(let submission):
            let total = submission.blob?.byteCount ?? 0
            let received = min(lease.receivedBytes, total)
            return RunStatus.TaskProgress(
                doing: "uploading", fraction: total > 0 ? Double(received) / Double(total) : 1, bytes: received,
                ofBytes: total)
        case .arrived, .examining: return RunStatus.TaskProgress(doing: "examined", fraction: 1)
        }
    }

    /// What the coordinator does while it asks nobody for anything, and for how long; nil while a round collects.
    func ownWork(at now: Double) -> (reason: String, ageSeconds: Double)? {
        switch phase {
        case .computing(let startedAt):
            let what = history.openRound.map { "what round \($0.number) comes to" } ?? "a step of its own"
            return ("the coordinator computes \(what)", now - startedAt)
        case .exporting(let startedAt): return ("the coordinator writes and checks the compact model", now - startedAt)
        case .starting, .collecting, .lingering, .ended: return nil
        }
    }

    /// Why nothing is asked of workers, in one sentence; nil while a round collects.
    func otherWait(at now: Double) -> String? {
        if let (reason, ageSeconds) = ownWork(at: now) {
            return "\(reason), for \(Int(min(max(0, ageSeconds), 1e9))) seconds now"
        }
        guard case .lingering = phase else { return nil }
        let away = history.acceptedRounds.keys.filter { !sentHome.contains($0) }.sorted()
        return "the run is over; still to be told: \(away.joined(separator: ", "))"
    }

    /// A decision about a large model can take minutes, in which no round is open.
    mutating func tellOwnWork(at now: Double) -> [CoordinatorAction] {
        guard let (reason, ageSeconds) = ownWork(at: now), min(ageSeconds, now - lastWaitingLogAt) >= 10 else {
            return []
        }
        lastWaitingLogAt = now
        var event = LogEvent("run.waiting", ["reason": .string(reason), "ageSeconds": .double(ageSeconds)])
        if let round = history.openRound { event.fields.append(("round", .int(round.number))) }
        return [.log(event)]
    }
}
