import Federation
import Monitor

extension Report {
    /// The closing figures of a run, from its history alone.
    public init(history: RunHistory) {
        let accuracy = history.accuracyBeforeAndAfter
        self.init(
            run: history.run ?? "", plan: history.plan.name, accuracyBefore: accuracy.before,
            accuracyAfter: accuracy.after, bytesBefore: history.model?.bytes ?? 0,
            bytesAfter: history.export?.byteCount ?? history.model?.bytes ?? 0,
            sparsity: history.snapshot?.sparsity ?? 0, wireBytesUp: history.traffic.wireBytesUp,
            wireBytesDown: history.traffic.wireBytesDown,
            wireBytesFloat32: history.traffic.float32BytesUp + history.traffic.float32BytesDown,
            rounds: history.roundsClosed, seconds: history.seconds, refused: history.contributionsRefused,
            stages: history.summaries.map(Stage.init))
        roundDetails = history.roundSummaries.suffix(RunHistory.roundSummaryLimit).map(Round.init)
        for index in stages.indices where history.plan.stages.indices.contains(index) {
            stages[index].settings = PlanExplanation.stage(index, of: history.plan)
        }
        state = history.export == nil ? "running" : "finished"
        stagesPlanned = history.plan.stages.count
        let totals = history.workerTotals.sorted { ($1.value.contributions, $0.key) < ($0.value.contributions, $1.key) }
        workers = totals.prefix(Self.workerLimit).map { Worker(name: $0.key, $0.value) }
        workersTotal = totals.count
        refusals = history.refusals.byKind.map { RunCourse.Refusals(kind: $0.kind, count: $0.count) }
        newestRefusals = history.refusals.newest.reversed()
    }

    /// The closing figures, and what was counted and timed when the export wrote its report: a finished run that is
    /// started again measures nothing anew.
    init(ofFinished history: RunHistory, directory: String) {
        self.init(history: history)
        guard let written = try? Report(contentsOf: Exporter.reportPath(directory)), written.run == run else { return }
        takeCosts(of: written)
    }

    var finishedEvent: LogEvent {
        let wire = wireBytesUp + wireBytesDown
        var event = LogEvent(
            "run.finished",
            [
                "bytesBefore": .int(bytesBefore), "bytesAfter": .int(bytesAfter), "wireBytes": .int(wire),
                "rounds": .int(rounds), "seconds": .double(seconds),
            ])
        if wire > 0 { event.fields.append(("ratio", .double(Double(wireBytesFloat32) / Double(wire)))) }
        if let accuracyBefore { event.fields.append(("accuracyBefore", .double(accuracyBefore))) }
        if let accuracyAfter { event.fields.append(("accuracyAfter", .double(accuracyAfter))) }
        return event
    }
}

extension Report.Round {
    init(_ summary: RoundSummary) {
        self.init(
            round: summary.number, stage: summary.stage, task: summary.task,
            wireBytesUp: summary.traffic.wireBytesUp, wireBytesDown: summary.traffic.wireBytesDown,
            parameters: summary.parameters, sparsity: summary.sparsity, density: summary.density)
        wireBytesFloat32 = summary.traffic.float32BytesUp + summary.traffic.float32BytesDown
        (seconds, loss, accuracy) = (summary.seconds, summary.loss, summary.accuracy)
        (contributions, refusals) = (summary.contributions, summary.refusals)
    }
}

extension Report.Worker {
    init(name: String, _ totals: WorkerTotals) {
        self.init(
            name: name, contributions: totals.contributions, refusals: totals.refusals, samples: totals.samples,
            bytes: totals.bytes, seconds: totals.seconds)
    }
}

extension Report.Stage {
    init(_ summary: StageSummary) {
        self.init(
            kind: summary.kind, accuracyBefore: summary.accuracyBefore, accuracyAfter: summary.accuracyAfter,
            bytesBefore: summary.bytesBefore, bytesAfter: summary.bytesAfter, sparsity: summary.sparsity,
            wireBytesUp: summary.traffic.wireBytesUp, wireBytesDown: summary.traffic.wireBytesDown,
            wireBytesFloat32: summary.traffic.float32BytesUp + summary.traffic.float32BytesDown, rounds: summary.rounds,
            seconds: summary.seconds)
        state = summary.finished ? "finished" : "running"
        (loss, contributions, refusals) = (summary.loss, summary.contributions, summary.refusals)
        facts = summary.words
    }
}
