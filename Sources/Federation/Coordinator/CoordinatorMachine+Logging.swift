// Log events that need more than a line (`protocols/log-events.md`).

extension CoordinatorMachine {
    /// - Parameter base: the snapshot that the round's tasks started from.
    func roundClosed(
        _ round: OpenRound, _ outcome: StepOutcome, base: SnapshotFacts?, traffic: StepTraffic, seconds: Double
    ) -> LogEvent {
        var event = LogEvent(
            "round.closed",
            [
                "round": .int(round.number), "stage": .int(round.stage),
                "kind": .string(plan.stages[round.stage].kind), "task": .string(round.task),
                "contributions": .int(round.accepted.count), "wireBytesUp": .int(traffic.wireBytesUp),
                "wireBytesDown": .int(traffic.wireBytesDown), "rawBytesUp": .int(traffic.float32BytesUp),
                "rawBytesDown": .int(traffic.float32BytesDown), "seconds": .double(seconds),
            ])
        if let parameters = base?.size.parameters {
            event.fields.append(("parameters", .int(parameters)))
        }
        if let base { event.fields.append(("sparsity", .double(base.sparsity))) }
        let wire = traffic.wireBytesUp + traffic.wireBytesDown
        let raw = traffic.float32BytesUp + traffic.float32BytesDown
        if raw > 0, wire > 0 { event.fields.append(("ratio", .double(Double(raw) / Double(wire)))) }
        for (key, value) in [
            ("density", outcome.density), ("bitsPerWeight", outcome.bitsPerWeight), ("loss", outcome.loss),
            ("accuracy", outcome.accuracy), ("residualNorm", outcome.residualNorm),
            ("foldSeconds", outcome.foldSeconds),
        ] {
            if let value { event.fields.append((key, .double(value))) }
        }
        return event
    }

    func snapshotPublished(_ facts: SnapshotFacts) -> LogEvent {
        LogEvent(
            "snapshot.published",
            [
                "version": .int(facts.version), "digest": .string(facts.snapshot.digest.hex),
                "bytes": .int(facts.snapshot.byteCount), "deltaBytes": .int(facts.delta?.blob.byteCount ?? 0),
                "maskEpoch": .int(Int(facts.maskEpoch)), "sparsity": .double(facts.sparsity),
            ])
    }

    func maskDecided(_ facts: SnapshotFacts, _ outcome: StepOutcome, by decision: MaskDecision) -> LogEvent {
        var event = LogEvent(
            "mask.decided",
            [
                "epoch": .int(Int(facts.maskEpoch)), "sparsity": .double(facts.sparsity),
                "criterion": .string("\(decision.rules.criterion)"),
                "granularity": .string(decision.rules.granularity.word),
                "parameters": .int(facts.size.parameters),
            ])
        if let macs = facts.size.macs { event.fields.append(("macs", .int(macs))) }
        if let units = outcome.units {
            event.fields.append(("removed", .int(units.removed)))
            event.fields.append(("units", .int(units.before)))
        }
        if let ratio = outcome.signalToNoise { event.fields.append(("signalToNoise", .double(ratio))) }
        return event
    }

    func layersFactorized(_ facts: FactorizationFacts) -> LogEvent {
        var event = LogEvent(
            "layers.factorized", level: facts.layers > 0 ? .info : .warning,
            [
                "layers": .int(facts.layers), "dataAware": .int(facts.dataAware),
                "parametersBefore": .int(facts.before.parameters), "parameters": .int(facts.after.parameters),
            ])
        if let before = facts.before.macs, let after = facts.after.macs {
            event.fields += [("macsBefore", .int(before)), ("macs", .int(after))]
        }
        event.fields.append(("ranks", .strings(facts.ranks)))
        if !facts.masked.isEmpty { event.fields.append(("masked", .strings(facts.masked))) }
        return event
    }

    func layersQuantized(_ facts: QuantizationFacts, retreats: Int) -> LogEvent {
        let isQuantized = facts.layers > 0 && facts.remarks.isEmpty
        var event = LogEvent(
            "layers.quantized", level: isQuantized ? .info : .warning,
            ["target": .string(facts.target), "layers": .int(facts.layers), "retreats": .int(retreats)])
        if let bits = facts.averageBits { event.fields.append(("averageBits", .double(bits))) }
        if let share = facts.integerShare { event.fields.append(("integerShare", .double(share))) }
        for (key, names) in [
            ("givenUp", facts.givenUp), ("floatNodes", facts.floatNodes), ("remarks", facts.remarks),
        ] where !names.isEmpty {
            event.fields.append((key, .strings(names)))
        }
        return event
    }

    /// Why the open round is not over yet: the answer to "why are we waiting?".
    func waiting(_ round: OpenRound, openedAt: Double, at now: Double) -> LogEvent {
        let missing = missingWorkers(round)
        return LogEvent(
            "round.waiting",
            [
                "round": .int(round.number), "contributions": .int(round.accepted.count),
                "workers": .int(wanted), "quorum": .int(needed),
                "ageSeconds": .double(now - openedAt), "deadlineSeconds": .double(plan.fleet.deadlineSeconds),
                "missing": .strings(missing),
                "missingSeconds": .numbers(missing.map { secondsSinceSeen($0, at: now) }),
                "late": .strings(lateWorkers(at: now)), "reason": .string(waitingReason(round, at: now)),
            ])
    }

    /// One sentence for people. It names no time: where lines cannot be redrawn, one that is repeated is told once.
    func waitingReason(_ round: OpenRound, at now: Double) -> String {
        if sessions.isEmpty { return "no worker is connected" }
        let missing = needed - round.accepted.count
        if leases.isEmpty, missing > 0 {
            let refused = setbacks.sorted { $0.key < $1.key }.first.map {
                "; \($0.key) was refused: \($0.value.reason)"
            }
            return "\(missing) more contributions are needed and no connected worker is free\(refused ?? "")"
        }
        let late = lateWorkers(at: now)
        let lateness = late.isEmpty ? "" : "; late: \(late.joined(separator: ", "))"
        let quorum = missing > 0 ? "" : "; the quorum is reached, the others have until the deadline"
        let atWork = leases.count == 1 ? "1 worker is at work" : "\(leases.count) workers are at work"
        return "\(atWork), \(round.accepted.count) of \(wanted) have contributed\(quorum)\(lateness)"
    }

    /// Names with a lease, or connected without having contributed; and those that took part before and are away without
    /// a goodbye, because the round may wait for their return.
    func missingWorkers(_ round: OpenRound) -> [String] {
        var names = Set(offers.keys).union(history.acceptedRounds.keys).subtracting(sentHome).union(leases.keys)
        for session in sessions.values { names.insert(session.worker) }
        for facts in round.accepted { names.remove(facts.worker) }
        for worker in setbacks.keys where leases[worker] == nil { names.remove(worker) }
        return names.sorted()
    }

    /// Names whose task is older than the deadline.
    func lateWorkers(at now: Double) -> [String] {
        leases.filter { now - $1.assignedAt > plan.fleet.deadlineSeconds }.keys.sorted()
    }

    func accepted(_ facts: ContributionFacts, lease: Lease, at now: Double) -> LogEvent {
        let metrics = facts.submission.metrics
        var event = LogEvent(
            "contribution.accepted",
            [
                "round": .int(facts.countedIn), "worker": .string(facts.worker),
                "bytes": .int(facts.submission.blob?.byteCount ?? 0), "samples": .int(metrics.samples),
                "seconds": .double(metrics.seconds), "fetchSeconds": .double(metrics.fetchSeconds),
                "uploadSeconds": .double(lease.arrivedAt - lease.submittedAt),
                "ageSeconds": .double(now - lease.assignedAt),
            ])
        if facts.countedIn != facts.round { event.fields.append(("staleness", .int(facts.countedIn - facts.round))) }
        if facts.width < 1 { event.fields.append(("width", .double(facts.width))) }
        if metrics.damaged > 0 {
            event.fields.append(("damaged", .int(metrics.damaged)))
            event.level = .warning
        }
        if metrics.measured > 0 {
            event.fields.append(("loss", .double(metrics.lossSum / Double(metrics.measured))))
        }
        if case .logits? = history.step { event.fields += member(facts) }
        return event
    }

    /// How good one model of an ensemble is, and which it is.
    private func member(_ facts: ContributionFacts) -> [(key: String, value: LogValue)] {
        let metrics = facts.submission.metrics
        var fields: [(key: String, value: LogValue)] = []
        if metrics.measured > 0 {
            fields.append(("accuracy", .double(Double(metrics.correct) / Double(metrics.measured))))
        }
        let own = studentParameters(of: facts.worker)
        return fields + [("parameters", .int(own > 0 ? own : history.snapshot?.size.parameters ?? 0))]
    }

    func refused(_ reason: String, round: Int, worker: String) -> LogEvent {
        LogEvent(
            "contribution.refused", level: .warning,
            ["round": .int(round), "worker": .string(worker), "reason": .string(reason)])
    }

    /// What `pleach status` and the status page show.
    public func status(at now: Double) -> RunStatus {
        var status = RunStatus(history: history)
        status.round?.workers = wanted
        status.round?.quorum = needed
        if case .ended = phase, !history.isFinished { status.state = "stopped" }
        if case .collecting(let openedAt) = phase, let round = history.openRound {
            status.round?.ageSeconds = now - openedAt
            status.round?.missing = missingWorkers(round)
            status.waitingFor = waitingReason(round, at: now)
            if sessions.isEmpty { status.state = "waiting" }
        }
        if let reason = otherWait(at: now) { status.waitingFor = reason }
        let connected = Dictionary(sessions.values.map { ($0.worker, $0) }, uniquingKeysWith: { a, _ in a })
        // Whoever took part is listed, also after a restart of the coordinator: it may be what the round waits for.
        let contributed = Set(history.openRound?.accepted.map(\.worker) ?? [])
        status.workers = Set(lastSeen.keys).union(history.acceptedRounds.keys).sorted().map { name in
            RunStatus.Worker(
                name: name,
                state: workerState(
                    name, connected: connected[name] != nil, contributed: contributed.contains(name), at: now),
                secondsSinceSeen: secondsSinceSeen(name, at: now), samples: connected[name]?.hello.trainingSamples,
                task: taskStatus(of: name), taskSeconds: leases[name].map { now - $0.assignedAt })
        }
        return status
    }

    private func workerState(_ name: String, connected: Bool, contributed: Bool, at now: Double) -> String {
        if let lease = leases[name] {
            return now - lease.assignedAt > plan.fleet.deadlineSeconds ? "late" : connected ? "working" : "lost"
        }
        if contributed { return "contributed" }
        if !connected { return sentHome.contains(name) ? "left" : "lost" }
        return "ready"
    }
}

extension RunStatus {
    /// What the ledger alone tells: no ages, no live workers.
    public init(history: RunHistory) {
        let plan = history.plan
        var round: Round?
        if let open = history.openRound {
            round = Round(
                number: open.number, stage: open.stage, kind: plan.stages[open.stage].kind, task: open.task,
                contributions: open.accepted.count, workers: plan.fleet.workers, quorum: plan.fleet.quorum,
                ageSeconds: nil, deadlineSeconds: plan.fleet.deadlineSeconds, missing: [])
        }
        self.init(
            run: history.run ?? "", plan: plan.name, state: history.isFinished ? "finished" : "running",
            stage: history.stageIndex, stages: plan.stages.map(\.kind), round: round,
            roundsCompleted: history.roundsClosed, roundsPlanned: history.roundsExpected,
            contributionsAccepted: history.contributionsAccepted, contributionsRefused: history.contributionsRefused,
            wireBytesUp: history.traffic.wireBytesUp, wireBytesDown: history.traffic.wireBytesDown,
            wireBytesFloat32: history.traffic.float32BytesUp + history.traffic.float32BytesDown,
            sparsity: history.snapshot?.sparsity ?? 0, accuracy: history.accuracy,
            snapshot: history.snapshot?.snapshot.digest.short, workers: [], waitingFor: nil)
    }
}
