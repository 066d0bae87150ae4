import Federation

// A plan in words: what will happen, with whom, over which wire, and what that is expected to cost. Invariant: every setting of a
// stage that decides its result is said, defaults too. Left out: keys of the plan file; protocols/plan.md has them.

/// What `pleach plan explain` says.
public struct PlanExplanation: Sendable, Equatable, Encodable {
    /// A heading and what is said under it, a paragraph each.
    public struct Section: Sendable, Equatable, Encodable {
        public var title: String
        public var paragraphs: [String]
    }

    public private(set) var sections: [Section]

    /// - Parameters:
    ///   - forecast: nil leaves figures out.
    ///   - duration: nil where nothing is known of the data's size.
    public init(_ plan: Plan, forecast: RunForecast? = nil, duration: RunDuration? = nil) {
        sections = [
            Section(title: "Run", paragraphs: Self.run(plan, forecast)),
            Section(title: "Fleet", paragraphs: Self.fleet(plan)),
            Section(title: "Data", paragraphs: Self.data(plan)),
            Section(title: "Wire", paragraphs: Self.wire(plan)),
        ]
        for (index, stage) in plan.stages.enumerated() {
            var paragraphs = StageWords(plan, number: index + 1).paragraphs
            if let forecast, forecast.stages.indices.contains(index) {
                paragraphs += EstimateWords.stage(forecast, index, duration)
            }
            sections.append(Section(title: "Stage \(index + 1): \(stage.kind)", paragraphs: paragraphs))
        }
        sections.append(Section(title: "Result", paragraphs: Self.result(plan)))
        if let forecast {
            sections.append(Section(title: "Estimates", paragraphs: EstimateWords.whole(plan, forecast, duration)))
        }
    }

    /// What one stage will do, a paragraph each: reports say it too, so that nobody must read the plan to follow them.
    /// - Parameter index: of the stage, from 0.
    public static func stage(_ index: Int, of plan: Plan) -> [String] { StageWords(plan, number: index + 1).paragraphs }

    /// For a terminal, wrapped to `width` columns.
    public func lines(width: Int = 100) -> [String] {
        var lines: [String] = []
        for section in sections {
            if !lines.isEmpty { lines.append("") }
            lines.append(escapedForTerminal(section.title, limit: 200))
            for paragraph in section.paragraphs {
                lines += Self.wrapped(escapedForTerminal(paragraph, limit: 4000), width: max(20, width - 2)).map {
                    "  " + $0
                }
            }
        }
        return lines
    }

    private static func wrapped(_ text: String, width: Int) -> [String] {
        var lines: [String] = []
        var line = ""
        for word in text.split(separator: " ") {
            if !line.isEmpty, line.count + 1 + word.count > width {
                lines.append(line)
                line = ""
            }
            line += (line.isEmpty ? "" : " ") + word
        }
        return line.isEmpty ? lines : lines + [line]
    }

    private static func run(_ plan: Plan, _ forecast: RunForecast?) -> [String] {
        var model: String
        switch plan.model {
        case .architecture(let name, let options):
            var settings: [String] = []
            if let shape = options.inputShape {
                settings.append("input " + shape.map(String.init).joined(separator: " x "))
            }
            if let classes = options.classes { settings.append("\(classes) classes") }
            if let width = options.width { settings.append("width \(width)") }
            model =
                "the bundled architecture \(name)" + (settings.isEmpty ? "" : " (\(settings.joined(separator: ", ")))")
                + ", which every worker builds from the seed"
        case .file(let path): model = "the file \(path), which every worker fetches once"
        }
        if let step = plan.keepEvery { model += "; of every \(step) layers in a row the first stays" }
        if let forecast {
            model += ". It has \(Figures.count(forecast.parameters)) parameters"
            if let macs = forecast.macs { model += ", \(Figures.amount(macs)) multiply-accumulates a sample" }
            model += " and takes \(Figures.bytes(forecast.modelBytes)) as a float32 file"
        }
        let stages = plan.stages.count == 1 ? "1 stage" : "\(plan.stages.count) stages"
        return [
            "Run '\(plan.name)' takes \(stages) and \(plan.roundsPlanned) rounds, more if workers drop out or a guard tries again. "
                + "Seed \(plan.seed) decides every random choice.",
            "The model: \(model).",
        ]
    }

    private static func fleet(_ plan: Plan) -> [String] {
        let fleet = plan.fleet
        let over = fleet.overSelect == 0 ? "" : ", \(fleet.overSelect) more are asked and the first enough win"
        var words = [
            "Each round wants \(Figures.counted(fleet.workers, "contribution"))\(over); "
                + (fleet.quorum == fleet.workers
                    ? "all of them are needed (quorum \(fleet.quorum))."
                    : "\(fleet.quorum) suffice at the deadline."),
            "A worker that is silent for \(Figures.seconds(fleet.leaseSeconds)) loses its task (it says that it is alive every "
                + "\(Figures.seconds(fleet.heartbeatSeconds))). A task older than \(Figures.seconds(fleet.deadlineSeconds)) is late: "
                + "it may be given to another worker too, and with its quorum the round closes without it.",
            "Where workers are missing, a round below its quorum waits; after \(Figures.seconds(fleet.waitSeconds)) in which nobody "
                + "has a timely task and nothing moves the run stops (exit code 7), and the same command goes on where it was.",
        ]
        if fleet.rounds == .asynchronous {
            words.append(
                "Training rounds are asynchronous: each closes with \(Figures.counted(fleet.buffer, "contribution")), whichever snapshot "
                    + "they were made for, up to \(fleet.maximumStaleness) snapshots behind; the staler, the less they count."
            )
        }
        if fleet.hasWidths {
            words.append(
                "Workers train the widest part of the model that their strength allows: "
                    + fleet.widths.map { Figures.number($0) }.joined(separator: ", ") + " of each group's channels.")
        }
        words.append("'pleach run' gives each worker \(Figures.counted(fleet.threads, "compute thread")).")
        return words
    }

    private static func data(_ plan: Plan) -> [String] {
        var words = [
            plan.data.map {
                "'pleach run' deals \($0) to its workers, a shard each; workers started by hand bring their own data."
            }
                ?? "Each worker brings its own data."
        ]
        if let set = plan.publicData { words.append("All workers have the public set \(set).") }
        words.append(
            "Samples never leave a worker. What does: " + PrivacyWords(plan).leaving.joined(separator: "; ") + ".")
        words += PrivacyWords(plan).cautions
        return words
    }

    private static func wire(_ plan: Plan) -> [String] {
        [
            "Up, from workers: " + SchemeWords(plan.wire.up).text + ".",
            "Down, to workers: " + SchemeWords(plan.wire.down).text + ".",
            "An update whose norm is more than \(Figures.number(plan.wire.maximumNormRatio)) times the model's is refused. Running "
                + "statistics travel as float32 beside all this.",
        ]
    }

    private static func result(_ plan: Plan) -> [String] {
        let export = plan.export
        var words = "When the last stage is over, out/compact.onnx is written"
        words += export.target.hasIntegerWeights ? " as the quantize stage made it" : ""
        words += " (target \(export.target.rawValue), opset \(export.opset)), read back and run before it counts"
        words += export.target.hasIntegerWeights ? ", with out/compact.safetensors beside it." : "."
        if export.strict { words += " A node that the target would compute in float32 fails the run." }
        words += " out/report.json and out/report.html say what was done and what it cost"
        words += export.measure ? ", with milliseconds in ONNX Runtime where a Python has it." : "; nothing is timed."
        return [words]
    }
}
