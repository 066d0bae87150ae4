import Federation

/// A `prune` stage in words.
struct PruneWords {
    let paragraphs: [String]

    init(_ stage: PrunePlan) {
        let steps = Figures.counted(stage.steps, "step")
        var first =
            "In \(steps) (\(Self.schedule(stage))) \(Self.units(stage.rules)) \(stage.rules.granularity.isStructural ? "leave the model" : "become zeros that stay") until "
            + "\(Self.target(stage))."
        first +=
            stage.rules.granularity.isStructural
            ? " What leaves makes the model smaller to compute and to send from that step on; what it still emitted goes into the biases behind it."
            : " Zeros cost nothing on the wire; ordinary runtimes compute with them all the same."
        paragraphs =
            [first, Self.decision(stage)] + Self.recovery(stage)
            + (stage.rules.excluded.isEmpty
                ? [] : ["These stay as they are: \(stage.rules.excluded.joined(separator: ", "))."])
    }

    private static func units(_ rules: MaskRules) -> String {
        switch rules.granularity {
        case .weight: return "single weights"
        case .block: return "blocks of \(rules.blockRows) outputs by \(rules.blockColumns) inputs"
        case .twoOfFour: return "two of every four neighbouring weights"
        case .channel:
            return "channels of coupled groups (what is left of a width is a multiple of \(rules.multiple)"
                + (rules.normalized ? ", groups that a normalisation takes statistics over too" : "")
                + (rules.keepsBorders ? ", those whose constant would meet a padded border stay" : "") + ")"
        case .head: return "attention heads"
        case .layer: return "residual blocks"
        }
    }

    private static func target(_ stage: PrunePlan) -> String {
        switch stage.target {
        case .sparsity(let share): return "\(Figures.percent(share)) of them are gone"
        case .weights(let share): return "\(Figures.percent(share)) of the weights that the stage begins with are left"
        case .macs(let share):
            return "\(Figures.percent(share)) of the multiply-accumulates that the stage begins with are left"
        case .bytes(let count): return "the float32 file takes at most \(Figures.bytes(count))"
        case .milliseconds(let time):
            return
                "one sample takes at most \(Figures.milliseconds(time)) ms in ONNX Runtime on one thread of the coordinator's "
                + "machine (measured there, so this run cannot be repeated to the byte)"
        }
    }

    private static func schedule(_ stage: PrunePlan) -> String {
        switch stage.schedule {
        case .oneShot: return "all at once"
        case .linear: return "equal steps"
        case .cubic: return "much at first, less and less later"
        case .lottery:
            let place = stage.rewindStage.map { "the end of stage \($0 + 1)" } ?? "the beginning of the run"
            return "the same share of what is left in each; survivors go back to their values at \(place)"
        case .dynamic:
            return
                "all at the first, then \(Figures.percent(stage.regrow)) of the alive, falling, die and as many revive"
        }
    }

    private static func decision(_ stage: PrunePlan) -> String {
        let rules = stage.rules
        let scope =
            switch rules.scope {
            case .local: "within the same tensor or group"
            case .global: "over the whole model"
            case .isomorphic: "among tensors or groups of the same structure"
            }
        guard (1...stage.steps).contains(where: stage.asksForScores) else {
            return "The coordinator decides alone, from the weights (criterion \(rules.criterion)), compared \(scope)."
        }
        let samples = Figures.counted(stage.scoreSamples, "sample")
        let start =
            "Before a step each worker looks at \(samples) (criterion \(rules.criterion), compared \(scope)) and sends "
        switch rules.rule {
        case .scores: return start + "scores; their mean decides."
        case .majority: return start + "a mask of its own; kept is what more than half of the fleet keeps."
        case .union: return start + "a mask of its own; kept is what anybody keeps."
        case .intersection: return start + "a mask of its own; kept is what all keep."
        case .threshold:
            return start + "a mask of its own; kept is what \(Figures.percent(rules.threshold)) of the fleet keep."
        }
    }

    private static func recovery(_ stage: PrunePlan) -> [String] {
        guard stage.roundsPerStep > 0 else { return ["No training follows a step."] }
        let rounds = Figures.counted(stage.roundsPerStep, "round")
        return [
            "Each step is followed by \(rounds) of training, so that what is left takes over; \(ServerWords(stage.server).text)."
        ] + TrainingWords(stage.recipe, of: .prune(stage)).sentences + TeacherWords.sentences(stage.teacher)
    }
}
