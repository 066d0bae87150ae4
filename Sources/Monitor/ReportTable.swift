import Foundation

// The report as people read it at the end of a run: before and after, then stage by stage.

extension Report {
    /// The closing tables, at most 100 columns wide.
    public func table() -> String {
        ([summaryTable(), stageTable()] + notes() + [quantizationText()].compactMap(\.self)).joined(separator: "\n")
    }

    /// Accuracy, file, model and wire before and after, rounds, time.
    private func summaryTable() -> String {
        let wire = wireBytesUp + wireBytesDown
        return ClosingTable(rows: [
            ("accuracy", Self.shown(accuracyBefore, Figures.percent), Self.shown(accuracyAfter, Figures.percent)),
            ("model file", Figures.bytes(bytesBefore), Figures.bytes(bytesAfter)),
            ("  after / before", "", Self.share(bytesAfter, of: bytesBefore)),
            ("parameters", Self.shown(parametersBefore, Figures.count), Self.shown(parametersAfter, Figures.count)),
            ("multiply-accumulates", Self.shown(macsBefore, Figures.amount), Self.shown(macsAfter, Figures.amount)),
            (
                "ms in ONNX Runtime, one thread", Self.shown(millisecondsBefore, Figures.milliseconds),
                Self.shown(millisecondsAfter, Figures.milliseconds)
            ),
            ("  faster", "", speedup ?? "-"),
            ("masked weights", "", Figures.percent(sparsity)),
            ("wire (before: float32 averaging)", Figures.bytes(wireBytesFloat32), Figures.bytes(wire)),
            (
                "  fewer bytes", "",
                wire > 0 && wireBytesFloat32 > 0 ? Figures.factor(Double(wireBytesFloat32) / Double(wire)) : "-"
            ),
            ("rounds", "", Figures.count(rounds)),
            ("time", "", Figures.seconds(seconds)),
        ]).text()
    }

    /// Most rows of the table of stages: of more, the first and the last are shown.
    private static let stageRowLimit = 40

    /// The model as each stage left it, and what its rounds moved.
    private func stageTable() -> String {
        var rows = [["stage", "parameters", "MACs", "file", "ms", "accuracy", "masked", "up/round", "down/round"]]
        rows.append([
            "start", Self.count(parametersBefore), Self.shown(macsBefore, Figures.amount), Figures.bytes(bytesBefore),
            Self.shown(millisecondsBefore, Figures.milliseconds),
            Self.shown(stages.first?.accuracyBefore, Figures.percent), Figures.percent(0), "-", "-",
        ])
        let half = Self.stageRowLimit / 2
        for (index, stage) in stages.enumerated() {
            if stages.count > Self.stageRowLimit, (half..<stages.count - half).contains(index) {
                if index == half { rows.append(["…"] + Array(repeating: "", count: 8)) }
            } else {
                rows.append(stage.row(number: index + 1, bytes: bytesPerRound(of: index)))
            }
        }
        return TextTable(rows: rows).text()
    }

    /// Means over the stage's training rounds, which masks and smaller models make cheaper; over all where it has none.
    private func bytesPerRound(of stage: Int) -> (up: Int, down: Int)? {
        let training = roundDetails.filter { $0.stage == stage && $0.task == "train" }
        guard training.isEmpty else {
            let mean = { (bytes: (Round) -> Int) in
                let sum = training.reduce(0.0) { $0 + Double(bytes($1)) }
                return Int(exactly: (sum / Double(training.count)).rounded()) ?? .max
            }
            return (mean(\.wireBytesUp), mean(\.wireBytesDown))
        }
        let whole = stages[stage]
        return whole.rounds > 0 ? (whole.wireBytesUp / whole.rounds, whole.wireBytesDown / whole.rounds) : nil
    }

    private func notes() -> [String] {
        var notes = ["up/round, down/round: mean of the training rounds, or of all where a stage has none"]
        if let runtime, let runtimeVersion {
            notes.append(
                "ms: one sample in \(escapedForTerminal(runtime, limit: 40)) "
                    + "\(escapedForTerminal(runtimeVersion, limit: 40)), one thread, median")
        }
        if let notMeasured { notes.append("not measured: \(escapedForTerminal(notMeasured, limit: 300))") }
        return notes
    }

    private var speedup: String? {
        guard let before = millisecondsBefore, let after = millisecondsAfter, after > 0 else { return nil }
        return Figures.factor(before / after)
    }

    fileprivate static func shown<Value>(_ value: Value?, _ text: (Value) -> String) -> String {
        value.map(text) ?? "-"
    }

    /// Parameters: to the last one while a column can hold it.
    fileprivate static func count(_ value: Int?) -> String {
        shown(value) { $0 < 1_000_000_000 ? Figures.count($0) : Figures.amount($0) }
    }

    private static func share(_ part: Int, of whole: Int) -> String {
        whole > 0 ? String(format: "%.3f", Double(part) / Double(whole)) : "-"
    }
}

extension Report.Stage {
    fileprivate func row(number: Int, bytes: (up: Int, down: Int)?) -> [String] {
        [
            "\(number) \(escapedForTerminal(escapedForTerminal(kind), limit: 12))", Report.count(parametersAfter),
            Report.shown(macsAfter, Figures.amount), Figures.bytes(bytesAfter),
            Report.shown(millisecondsAfter, Figures.milliseconds), Report.shown(accuracyAfter, Figures.percent),
            Figures.percent(sparsity), Report.shown(bytes?.up, Figures.bytes), Report.shown(bytes?.down, Figures.bytes),
        ]
    }
}
