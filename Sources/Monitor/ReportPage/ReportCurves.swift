import Federation

/// A report's rounds as lines: neighbouring ones of a stage added up where there are many, as on the status page.
struct ReportCurves {
    let rounds: [RunCourse.Rounds]
    /// The accuracy that the run began with, where it was measured.
    private let accuracyBefore: Double?

    /// - Parameter stage: nil for all.
    init(_ report: Report, stage: Int? = nil) {
        let chosen = report.roundDetails.filter { stage == nil || $0.stage == stage }.map(RoundSummary.init)
        let size = max(1, (chosen.count + RunCourse.roundsLimit - 1) / RunCourse.roundsLimit)
        rounds = RunCourse.grouped(chosen[...], by: size)
        accuracyBefore = stage.flatMap { report.stages.indices.contains($0) ? report.stages[$0].accuracyBefore : nil }
    }

    /// Where stages begin.
    var edges: [Double] {
        zip(rounds, rounds.dropFirst()).filter { $0.stage != $1.stage }.map { Double($1.first) - 0.5 }
    }

    func points(_ figure: (RunCourse.Rounds) -> Double?) -> [(x: Double, y: Double?)] {
        rounds.map { (Double($0.last), figure($0)) }
    }

    /// Sums from the first round on.
    func sums(_ figure: (RunCourse.Rounds) -> Int) -> [(x: Double, y: Double?)] {
        var sum = 0.0
        return rounds.map {
            sum += Double(figure($0))
            return (Double($0.last), sum)
        }
    }

    func accuracy(_ id: String) -> LineChart {
        var measured = points(\.accuracy)
        if let accuracyBefore, let first = rounds.first {
            measured.insert((Double(first.first) - 1, accuracyBefore), at: 0)
        }
        return LineChart(
            id: id, title: "Test accuracy", series: [LineChart.Series("accuracy", measured)], format: Figures.percent,
            bounds: 0...1, edges: edges)
    }

    func loss(_ id: String) -> LineChart {
        LineChart(
            id: id, title: "Loss",
            series: [
                LineChart.Series("training loss", points(\.trainingLoss)),
                LineChart.Series("test loss", points(\.testLoss)),
            ], format: Figures.number, edges: edges)
    }

    /// - Parameter comparesFloat32: whether the report tells what averaging would have moved in each round.
    func bytes(_ id: String, comparesFloat32: Bool) -> LineChart {
        var series = [LineChart.Series("on the wire", sums { $0.wireBytesUp &+ $0.wireBytesDown })]
        if comparesFloat32 { series.append(LineChart.Series("float32 averaging", sums(\.float32Bytes))) }
        return LineChart(
            id: id, title: "Bytes so far, both directions", series: series,
            format: { Figures.bytes(Int(exactly: $0.rounded()) ?? .max) }, least: 0, edges: edges)
    }
}

extension RoundSummary {
    fileprivate init(_ round: Report.Round) {
        self.init(
            number: round.round, stage: round.stage, task: round.task,
            traffic: StepTraffic(
                wireBytesUp: round.wireBytesUp, wireBytesDown: round.wireBytesDown,
                float32BytesUp: round.wireBytesFloat32 ?? 0),
            parameters: round.parameters, sparsity: round.sparsity, density: round.density,
            seconds: round.seconds ?? 0, loss: round.loss, accuracy: round.accuracy,
            contributions: round.contributions ?? 0, refusals: round.refusals ?? 0)
    }
}
