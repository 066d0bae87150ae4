// The end of a run: who took part is told, also who is away at that moment.

extension CoordinatorMachine {
    private static let farewell = "the run finished"

    mutating func onExported(_ facts: ExportFacts, at now: Double) -> [CoordinatorAction] {
        guard case .exporting = phase else { preconditionFailure("an export ended in phase \(phase)") }
        let action = commit([.exported(facts), .runFinished(seconds: history.seconds)])
        return [
            action,
            .log(
                LogEvent(
                    "export.finished",
                    ["path": .string(facts.path), "bytes": .int(facts.byteCount), "target": .string(facts.target)])),
        ] + sayFarewell(at: now)
    }

    /// Sends everybody home and waits, for one lease, for those who took part and are away.
    mutating func sayFarewell(at now: Double) -> [CoordinatorAction] {
        phase = .lingering(until: now + min(plan.fleet.leaseSeconds, plan.fleet.waitSeconds))
        var actions: [CoordinatorAction] = []
        for id in sessions.keys.sorted() {
            if let worker = sessions[id]?.worker { sentHome.insert(worker) }
            actions.append(.send(.finished(succeeded: true, reason: Self.farewell), id))
        }
        return actions + endIfAllToldOff()
    }

    /// Everything that still matters once the run is over.
    mutating func linger(_ event: CoordinatorEvent, at now: Double) -> [CoordinatorAction] {
        guard case .lingering(let until) = phase else { return [] }
        switch event {
        case .received(.inquiry, let session, _):
            return [.send(.finished(succeeded: true, reason: Self.farewell), session)]
        case .received(_, let session, let worker):
            sentHome.insert(worker)
            return [.send(.finished(succeeded: true, reason: Self.farewell), session)] + endIfAllToldOff()
        case .ticked where now >= until, .stopRequested: return end(succeeded: true, reason: Self.farewell, nil)
        case .started, .malformed, .departed, .blobArrived, .blobProgressed, .blobFailed, .examined, .stepComputed,
            .failed, .exported, .ticked:
            return []
        }
    }

    private mutating func endIfAllToldOff() -> [CoordinatorAction] {
        guard history.acceptedRounds.keys.allSatisfy({ sentHome.contains($0) }) else { return [] }
        return end(succeeded: true, reason: Self.farewell, nil)
    }
}
