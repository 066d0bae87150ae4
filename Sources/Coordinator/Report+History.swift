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
    }
}
