import Federation

/// A `quantize` stage in words.
struct QuantizationWords {
    let paragraphs: [String]

    init(_ stage: QuantizePlan) {
        let rules = stage.rules
        paragraphs =
            [
                "Weights become integers for target \(rules.scope.target.rawValue): \(Self.bits(rules)), \(Self.rounding(rules))"
                    + (rules.correctsBiases && !stage.isSimulated ? ", biases corrected" : "")
                    + (rules.scope.equalizes ? ", channels of neighbouring layers brought to one range first" : "")
                    + (rules.packs ? ", packed where they have fewer than 8." : ", a byte each."),
                Self.scales(stage), Self.measuring(stage),
            ] + Self.training(stage) + Self.file(stage)
            + (rules.scope.excluded.isEmpty
                ? [] : ["These stay float32: \(rules.scope.excluded.joined(separator: ", "))."])
    }

    private static func bits(_ rules: QuantizeRules) -> String {
        let candidates = rules.candidates.map(String.init).joined(separator: ", ")
        switch rules.amount {
        case .same:
            let levels = rules.weights.levels == .uniform ? "" : " (levels: \(rules.weights.levels))"
            let most = rules.weights.levels == .uniform ? rules.mostBits : min(4, rules.mostBits)
            return "\(rules.weights.bits ?? most) bits each\(levels)"
        case .averageBits(let bits):
            return "\(Figures.number(bits)) bits on average, of \(candidates), where they are needed"
        case .bytes(let count):
            return "\(Figures.bytes(count)) for all weights and scales, of \(candidates) bits, where they are needed"
        case .bitOperations(let count): return "\(Figures.number(count)) bit operations a sample, of \(candidates) bits"
        case .milliseconds(let time):
            return
                "one sample in at most \(Figures.milliseconds(time)) ms on the coordinator's machine (measured there, so this run cannot "
                + "be repeated to the byte); what costs more accuracy than it saves time stays float32"
        }
    }

    private static func rounding(_ rules: QuantizeRules) -> String {
        switch rules.rounding {
        case .nearest: "rounded to nearest"
        case .adaround: "rounded up or down as it costs least (AdaRound)"
        case .gptq: "rounded one after another, later ones taking back earlier errors (GPTQ)"
        }
    }

    private static func scales(_ stage: QuantizePlan) -> String {
        let rules = stage.rules.weights
        let sharing =
            switch rules.sharing {
            case .tensor: "A scale for each tensor"
            case .channel: "A scale for each channel"
            case .block(let size): "A scale for every \(Figures.counted(size, "input")) of a channel"
            case nil: "Scales are shared as suits the target"
            }
        let range =
            switch rules.range {
            case .minMax: ", so large that no weight is clipped"
            case .leastSquares: ", of least squared error"
            case nil: ", of least squared error below 8 bits and with a budget, else so large that no weight is clipped"
            }
        // Training finds its own, and levels that are fitted have none to choose.
        let hasRange = !stage.isSimulated && rules.levels == .uniform
        return sharing + (hasRange ? range : "") + (rules.isSymmetric ? "" : ", with zero points")
            + (rules.hasPowerOfTwoScales ? ", a power of two" : "") + "."
    }

    private static func measuring(_ stage: QuantizePlan) -> String {
        let rules = stage.rules
        let samples = Figures.counted(stage.samples, "sample")
        var parts: [String] = []
        if rules.scope.target.needsCalibration {
            let method =
                rules.method == .percentile ? "percentile \(Figures.number(rules.percentile))" : "\(rules.method)"
            parts.append("histograms of values over \(samples) a worker (ranges by \(method))")
        }
        if stage.needsMoments { parts.append("second moments over \(samples)") }
        if !stage.bitsOfBudget.isEmpty {
            parts.append(
                "what each layer costs with \(stage.bitsOfBudget.map(String.init).joined(separator: ", ")) bits, over "
                    + Figures.counted(stage.sensitivitySamples, "sample"))
        }
        return parts.isEmpty
            ? "Nothing is measured for it." : "The fleet measures first: " + parts.joined(separator: "; ") + "."
    }

    private static func training(_ stage: QuantizePlan) -> [String] {
        let again = "Batch norms' statistics are measured anew behind rounded weights, in a round of their own."
        guard stage.rounds > 0 else { return stage.reestimates ? [again] : [] }
        return [
            "\(Figures.counted(stage.rounds, "round")) of training with rounding simulated come before the file (learned steps; after "
                + "\(Figures.percent(stage.frozenStatistics)) of them batch norms keep their statistics); \(ServerWords(stage.server).text)."
        ] + TrainingWords(stage.recipe, of: .quantize(stage)).sentences + TeacherWords.sentences(stage.teacher)
            + (stage.reestimates ? [again] : [])
    }

    private static func file(_ stage: QuantizePlan) -> [String] {
        var words = "The coordinator makes the file, and workers fetch and evaluate the file itself."
        if let drop = stage.maximumDrop {
            words +=
                " While it is more than \(Figures.number(drop)) percentage points worse than the model before, layers get more bits, then stay "
                + "float32, and it is evaluated again."
        }
        if stage.comparedSamples > 0 {
            words +=
                " At last each worker compares its layers with the float model's on "
                + "\(Figures.counted(stage.comparedSamples, "sample")), for the report."
        }
        return [words]
    }
}
