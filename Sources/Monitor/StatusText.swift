import Federation

extension RunStatus {
    /// The status as lines for people: run, stage, round, k of n, who is late and why we wait. Names are escaped.
    public func text() -> String {
        var lines = ["run \(escapedForTerminal(run)) · plan \(escapedForTerminal(plan)) · \(escapedForTerminal(state))"]
        if stages.indices.contains(stage) {
            lines.append("stage \(stage + 1) of \(stages.count): \(escapedForTerminal(stages[stage]))")
        } else {
            lines.append("all \(stages.count) stages are done")
        }
        lines.append("rounds \(roundsCompleted) of \(roundsPlanned) done")
        if let round { lines.append(Self.text(of: round, workers: workers)) }
        if let waitingFor { lines.append("waiting: \(escapedForTerminal(waitingFor))") }
        lines.append(Self.text(up: wireBytesUp, down: wireBytesDown, float32: wireBytesFloat32))
        var model = "model: \(Figures.percent(sparsity)) masked"
        if let accuracy { model += " · test accuracy \(Figures.percent(accuracy))" }
        if let snapshot { model += " · snapshot \(escapedForTerminal(snapshot))" }
        lines.append(model)
        lines.append("contributions: \(contributionsAccepted) accepted, \(contributionsRefused) refused")
        if !workers.isEmpty {
            let width = workers.map { terminalWidth(escapedForTerminal($0.name, limit: 64)) }.max() ?? 0
            lines.append("workers:")
            lines += workers.map { Self.text(of: $0, width: width) }
        }
        return lines.joined(separator: "\n")
    }

    private static func text(of round: Round, workers: [Worker]) -> String {
        var text =
            "round \(round.number), \(escapedForTerminal(round.task)): "
            + "\(round.contributions) of \(round.workers) contributions, quorum \(round.quorum)"
        if let age = round.ageSeconds {
            text += ", open for \(Figures.seconds(age)) of at most \(Figures.seconds(round.deadlineSeconds))"
        }
        guard !round.missing.isEmpty else { return text }
        let known = Dictionary(workers.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        return text + "; missing " + round.missing.map { missing($0, known[$0]) }.joined(separator: ", ")
    }

    /// A name and its last sign of life, where there was one.
    private static func missing(_ name: String, _ worker: Worker?) -> String {
        let shown = escapedForTerminal(name, limit: 64)
        guard let worker else { return shown }
        return "\(shown) (\(worker.secondsSinceSeen.map { "heard \(Figures.seconds($0)) ago" } ?? "not heard of yet"))"
    }

    private static func text(up: Int, down: Int, float32: Int) -> String {
        // As floating point: a status may come from anywhere, and its integers may be any.
        let wire = Double(up) + Double(down)
        let factor = wire > 0 && float32 > 0 ? " (\(Figures.factor(Double(float32) / wire)) fewer)" : ""
        return
            "wire: \(Figures.bytes(up)) up, \(Figures.bytes(down)) down; float32 averaging: \(Figures.bytes(float32))"
            + factor
    }

    private static func text(of worker: Worker, width: Int) -> String {
        let name = escapedForTerminal(worker.name, limit: 64)
        var text =
            "  \(name)\(String(repeating: " ", count: width - terminalWidth(name)))  \(escapedForTerminal(worker.state))"
        if let samples = worker.samples { text += " · \(Figures.count(samples)) samples" }
        if let task = worker.task { text += " · \(escapedForTerminal(task.doing)) \(Figures.share(task.fraction))" }
        if let seconds = worker.secondsSinceSeen { text += " · heard \(Figures.seconds(seconds)) ago" }
        return text
    }
}
