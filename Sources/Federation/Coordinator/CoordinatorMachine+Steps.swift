// Opening and closing steps: what happens between rounds.

extension CoordinatorMachine {
    mutating func start(at now: Double) -> [CoordinatorAction] {
        lastProgressAt = now
        // What was wrong then may be mended now (a disk, a cache); what still is wrong is refused again.
        history.forgetRefusals()
        var actions: [CoordinatorAction] = []
        if let round = history.openRound, let fold = history.step?.fold, let base = history.snapshot {
            phase = .collecting(openedAt: now)
            lastWaitingLogAt = now
            actions.append(
                .openFold(
                    fold, round: round.number, base: base, restoring: round.accepted.sorted { $0.worker < $1.worker }))
            return actions + closeIfComplete(at: now)
        }
        if history.stageIndex == 0, history.step != nil, history.roundsOpened == 0 {
            actions.append(stageStarted())
        }
        return actions + advance(at: now)
    }

    /// Starts whatever comes next: a round, a transform, the next stage, the export.
    mutating func advance(at now: Double) -> [CoordinatorAction] {
        var actions: [CoordinatorAction] = []
        while !history.allStagesFinished, history.step == nil {
            actions += finishStage(at: now)
        }
        guard let step = history.step, let base = history.snapshot else {
            phase = .exporting
            return actions + [.export]
        }
        guard let task = step.task, let fold = step.fold else {
            phase = .computing(startedAt: now)
            return actions + [.compute(.transform(step, base: base))]
        }
        let number = history.roundsOpened
        phase = .collecting(openedAt: now)
        leases = [:]
        transferFailures = [:]
        lastProgressAt = now
        lastWaitingLogAt = now
        actions.append(commit([.roundOpened(round: number, stage: history.stageIndex, task: task)]))
        actions.append(.openFold(fold, round: number, base: base, restoring: []))
        actions.append(
            .log(
                LogEvent(
                    "round.opened",
                    [
                        "round": .int(number), "stage": .int(history.stageIndex),
                        "kind": .string(plan.stages[history.stageIndex].kind), "task": .string(task),
                        "workers": .int(plan.fleet.workers), "quorum": .int(plan.fleet.quorum),
                        "deadlineSeconds": .double(plan.fleet.deadlineSeconds),
                        "snapshot": .string(base.snapshot.digest.short),
                    ])))
        return actions + assignTasks(at: now)
    }

    private mutating func finishStage(at now: Double) -> [CoordinatorAction] {
        let index = history.stageIndex
        let summary = history.summaries[index]
        var fields: KeyValuePairs<String, LogValue> {
            [
                "stage": .int(index), "kind": .string(summary.kind), "rounds": .int(summary.rounds),
                "seconds": .double(summary.seconds),
            ]
        }
        var actions = [commit([.stageFinished(stage: index, seconds: summary.seconds)])]
        var event = LogEvent("stage.finished", fields)
        if let accuracy = summary.accuracyAfter { event.fields.append(("accuracy", .double(accuracy))) }
        event.fields.append(("sparsity", .double(summary.sparsity)))
        actions.append(.log(event))
        if !history.allStagesFinished { actions.append(stageStarted()) }
        return actions
    }

    private func stageStarted() -> CoordinatorAction {
        .log(
            LogEvent(
                "stage.started",
                [
                    "stage": .int(history.stageIndex), "kind": .string(plan.stages[history.stageIndex].kind),
                    "stages": .int(plan.stages.count),
                ]))
    }

    /// Closes the round when no further contribution is awaited, or its deadline has passed with a quorum.
    mutating func closeIfComplete(at now: Double) -> [CoordinatorAction] {
        guard case .collecting(let openedAt) = phase, let round = history.openRound, let base = history.snapshot,
            let fold = history.step?.fold
        else { return [] }
        let accepted = round.accepted.count
        let settled = accepted + round.refused.count
        let underExamination = leases.values.contains { $0.isExamined }
        let everyone =
            accepted >= plan.fleet.workers || (settled >= plan.fleet.workers && accepted >= plan.fleet.quorum)
        let late = accepted >= plan.fleet.quorum && now - openedAt >= plan.fleet.deadlineSeconds
        // A contribution being folded right now belongs to the round: wait for its verdict, it is on its way.
        guard everyone || late, !underExamination else { return [] }
        var actions: [CoordinatorAction] = []
        for (worker, lease) in leases.sorted(by: { $0.key < $1.key })
        where !round.accepted.contains(where: { $0.worker == worker }) && round.refused[worker] == nil {
            actions.append(
                .send(.withdrawal(round: round.number, reason: "the round closed with its quorum"), lease.session))
        }
        leases = [:]
        phase = .computing(startedAt: openedAt)
        actions.append(
            .compute(
                .fold(
                    fold, round: round.number, contributions: round.accepted.sorted { $0.worker < $1.worker },
                    base: base)))
        return actions
    }

    mutating func onStepComputed(
        _ computed: ComputedStep, wireBytesUp: Int, wireBytesDown: Int, at now: Double
    ) -> [CoordinatorAction] {
        guard case .computing(let startedAt) = phase, let step = history.step else {
            preconditionFailure("a step was computed in phase \(phase)")
        }
        let round = history.openRound
        var traffic = StepTraffic(
            wireBytesUp: wireBytesUp - committedWireBytes.up, wireBytesDown: wireBytesDown - committedWireBytes.down)
        committedWireBytes = (wireBytesUp, wireBytesDown)
        if case .train = step, let parameters = history.model?.parameters, let round {
            traffic.float32BytesUp = round.accepted.count * parameters * 4
            traffic.float32BytesDown = traffic.float32BytesUp
        }
        let seconds = now - startedAt
        let stage = history.stageIndex
        let previous = history.snapshot
        var actions = [
            commit([
                .stepFinished(
                    round: round?.number, stage: stage, outcome: computed.outcome, snapshot: computed.snapshot,
                    traffic: traffic, seconds: seconds)
            ])
        ]
        if let round {
            actions.append(.log(roundClosed(round, computed.outcome, traffic: traffic, seconds: seconds)))
        }
        if let snapshot = computed.snapshot {
            if snapshot.maskEpoch != previous?.maskEpoch { actions.append(.log(maskDecided(snapshot, by: step))) }
            actions.append(.log(snapshotPublished(snapshot)))
        }
        return actions + advance(at: now)
    }

    mutating func onExported(_ facts: ExportFacts) -> [CoordinatorAction] {
        guard phase == .exporting else { preconditionFailure("an export ended in phase \(phase)") }
        let action = commit([.exported(facts), .runFinished(seconds: history.seconds)])
        return [
            action,
            .log(
                LogEvent(
                    "export.finished",
                    ["path": .string(facts.path), "bytes": .int(facts.byteCount), "target": .string(facts.target)])),
        ] + end(succeeded: true, reason: "the run finished", nil)
    }
}
