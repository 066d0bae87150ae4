// Opening and closing steps: what happens between rounds.

extension CoordinatorMachine {
    mutating func start(at now: Double) -> [CoordinatorAction] {
        lastProgressAt = now
        if history.isFinished { return sayFarewell(at: now) }
        var actions: [CoordinatorAction] = []
        if let round = history.openRound, let fold = history.step?.fold, let base = history.snapshot {
            phase = .collecting(openedAt: now)
            lastWaitingLogAt = now
            actions.append(
                .openFold(
                    fold, round: round.number, base: base, restoring: round.accepted.sorted(by: Self.inFoldOrder),
                    widths: history.widthsInUse))
            return actions + closeIfComplete(at: now)
        }
        if history.stageIndex == 0, history.step != nil, history.roundsOpened == 0 {
            actions.append(stageStarted())
        }
        return actions + advance(at: now)
    }

    /// Any order gives the same bytes; this one makes actions and logs repeatable.
    private static func inFoldOrder(_ a: ContributionFacts, _ b: ContributionFacts) -> Bool {
        (a.worker, a.round) < (b.worker, b.round)
    }

    /// Starts whatever comes next: a round, a transform, the next stage, the export.
    mutating func advance(at now: Double) -> [CoordinatorAction] {
        var actions: [CoordinatorAction] = []
        while !history.allStagesFinished, history.step == nil {
            actions += finishStage(at: now)
        }
        guard let step = history.step, let base = history.snapshot else {
            phase = .exporting(startedAt: now)
            return actions + withdrawLeases(of: Array(leases.keys), reason: "all rounds are over") + [.export]
        }
        guard let task = step.task, let fold = step.fold else {
            phase = .computing(startedAt: now)
            return actions + [.compute(.transform(step, base: base, source: source(of: step)))]
        }
        let number = history.roundsOpened
        phase = .collecting(openedAt: now)
        setbacks = [:]
        offers = [:]
        claims = [:]
        transferFailures = [:]
        lastProgressAt = now
        lastWaitingLogAt = now
        actions.append(commit([.roundOpened(round: number, stage: history.stageIndex, task: task)]))
        actions.append(
            .openFold(fold, round: number, base: base, restoring: [], widths: history.widthsInUse))
        actions.append(
            .log(
                LogEvent(
                    "round.opened",
                    [
                        "round": .int(number), "stage": .int(history.stageIndex),
                        "kind": .string(plan.stages[history.stageIndex].kind), "task": .string(task),
                        "workers": .int(wanted), "quorum": .int(needed),
                        "deadlineSeconds": .double(plan.fleet.deadlineSeconds),
                        "snapshot": .string(base.snapshot.digest.short),
                    ])))
        // Tasks of an asynchronous round before this one go on if their results will count.
        let over = leases.filter { staleness(of: $0.value.round) == nil }.map(\.key)
        actions += withdrawLeases(of: over, reason: "the round it was for is over")
        return actions + assignTasks(at: now) + examineArrived()
    }

    /// The snapshot that a step reads besides the current one.
    private func source(of step: Step) -> StepSource? {
        let version: Int
        switch step {
        case .rewind(let stage): version = stage.map { history.stageSnapshots[$0] } ?? 0
        // What is left when all else is given up.
        case .quantize(let decision) where decision.isSimulated: version = history.stageSnapshots.last ?? 0
        default: return nil
        }
        let changes = history.snapshots[(version + 1)...].compactMap(\.delta).filter { $0.kind == .structure }
        return StepSource(snapshot: history.snapshots[version], changes: changes.map(\.blob))
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
            let step = history.step, let fold = step.fold
        else { return [] }
        let accepted = round.accepted.count
        let failed = setbacks.keys.filter { leases[$0] == nil && !hasContributed($0, to: round) }.count
        let everyone = accepted >= wanted || (accepted >= needed && accepted + failed >= plan.fleet.workers)
        let late = accepted >= needed && now - openedAt >= plan.fleet.deadlineSeconds
        // A contribution being folded right now belongs to the round: wait for its verdict, it is on its way.
        guard everyone || late, !leases.values.contains(where: \.isExamining) else { return [] }
        var actions: [CoordinatorAction] = []
        if !isAsynchronous(step) {
            actions += withdrawLeases(of: Array(leases.keys), reason: "the round closed without it")
        }
        phase = .computing(startedAt: openedAt)
        actions += warningOfAStandstill(round, step)
        actions.append(
            .compute(
                .fold(
                    fold, round: round.number, contributions: round.accepted.sorted(by: Self.inFoldOrder), base: base)))
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
            // Who trained a student of its own would not have averaged.
            traffic.float32BytesUp = round.accepted.count { $0.submission.blob != nil } * parameters * 4
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
            actions.append(
                .log(roundClosed(round, computed.outcome, base: previous, traffic: traffic, seconds: seconds)))
        }
        if let snapshot = computed.snapshot {
            // Putting weights back begins an epoch too, but decides nothing.
            if let decision = step.decision, snapshot.maskEpoch != previous?.maskEpoch {
                actions.append(.log(maskDecided(snapshot, computed.outcome, by: decision)))
            }
            actions.append(.log(snapshotPublished(snapshot)))
        }
        if let facts = computed.outcome.factorization { actions.append(.log(layersFactorized(facts))) }
        if case .quantize(let decision) = step, let facts = computed.outcome.quantization {
            actions.append(.log(layersQuantized(facts, retreats: decision.retreats)))
        }
        return actions + advance(at: now)
    }
}
