// What a stage was told to do, as people say it: reports show it, so that nobody must read the plan to follow them.

extension StagePlan {
    /// A phrase for each setting that matters, the most important first. Names of files stand in them as the plan has them.
    public var words: [String] {
        switch self {
        case .train(let plan): Self.rounds(plan.rounds) + plan.recipe.words + plan.server.words + plan.teacher.words
        case .distill(let plan):
            Self.rounds(plan.rounds) + plan.recipe.words + plan.server.words + plan.teacher.words
                + (plan.ensemble?.words ?? [])
        case .prune(let plan): plan.words + plan.recipe.words + plan.server.words + plan.teacher.words
        case .factorize(let plan):
            plan.words + Self.rounds(plan.rounds) + plan.recipe.words + plan.server.words + plan.teacher.words
        case .quantize(let plan): plan.words
        case .evaluate(let plan): [plan.samples.map { "at most \($0) samples a worker" } ?? "all test samples"]
        }
    }

    fileprivate static func rounds(_ count: Int) -> [String] { [count == 1 ? "1 round" : "\(count) rounds"] }
}

/// `0.05`, `8`: without the zero that a whole number does not need.
private func plain(_ value: Double) -> String {
    guard value.isFinite, value == value.rounded(), abs(value) < 1e15 else { return String(value) }
    return String(Int(value))
}

/// `56 %` of a share.
private func percent(_ share: Double) -> String { plain((share * 1e6).rounded() / 1e4) + " %" }

extension TrainingRecipe {
    fileprivate var words: [String] {
        var words = ["\(plain(epochs)) \(epochs == 1 ? "epoch" : "epochs") a round", "batches of \(batch)"]
        if accumulate > 1 { words.append("\(accumulate) batches a step") }
        words.append("\(optimizer), learning rate \(plain(learningRate))")
        if schedule.kind != .constant || schedule.warmup > 0 {
            words.append(
                "\(schedule.kind) schedule" + (schedule.warmup > 0 ? ", warm-up \(percent(schedule.warmup))" : ""))
        }
        if optimizer == .sgd, momentum > 0 {
            words.append((nesterov ? "Nesterov " : "") + "momentum \(plain(momentum))")
        }
        if weightDecay > 0 { words.append("weight decay \(plain(weightDecay))") }
        if let loss { words.append("loss \(loss)") }
        if labelSmoothing > 0 { words.append("label smoothing \(plain(labelSmoothing))") }
        if precision != .float32 { words.append("\(precision)") }
        if proximal > 0 { words.append("FedProx \(plain(proximal))") }
        if correction != .none { words.append("correction \(correction)") }
        return words
    }
}

extension ServerOptimizer {
    fileprivate var words: [String] { isPlain ? [] : ["server optimizer \(kind), rate \(plain(learningRate))"] }
}

extension TeacherPlan? {
    fileprivate var words: [String] {
        guard let teacher = self else { return [] }
        let sources = teacher.members.map { member in
            switch member.source {
            case .file(let path): "teacher \(path)"
            case .stage(let stage): "teacher: the model after stage \(stage + 1)"
            case .own: "each worker's own teacher"
            }
        }
        return sources + ["temperature \(plain(teacher.temperature)), alpha \(plain(teacher.alpha))"]
            + teacher.features.map { "\($0.measure), weight \(plain($0.weight))" }
    }
}

extension EnsemblePlan {
    fileprivate var words: [String] {
        [
            "learns from what the fleet says of the public set" + (isMutual ? ", each from the others alone" : ""),
            "ensemble temperature \(plain(temperature)), alpha \(plain(alpha))",
        ]
    }
}

extension PrunePlan {
    fileprivate var words: [String] {
        let amount =
            switch target {
            case .sparsity(let share): "\(percent(share)) of them go"
            case .weights(let share): "\(percent(share)) of the parameters are left"
            case .macs(let share): "\(percent(share)) of the multiply-accumulates are left"
            case .bytes(let bytes): "at most \(PlanSize.plain(bytes)) are left"
            case .milliseconds(let time): "at most \(plain(time)) ms are left"
            }
        var words = [
            "granularity \(rules.granularity.word): \(amount)", "criterion \(rules.criterion), \(rules.scope)",
        ]
        if rules.rule != .scores { words.append("rule \(rules.rule)") }
        words.append(
            "\(steps == 1 ? "1 step" : "\(steps) steps"), \(schedule), "
                + "\(roundsPerStep == 1 ? "1 round" : "\(roundsPerStep) rounds") each")
        if rules.criterion.readsData { words.append("\(scoreSamples) samples a worker scored") }
        return words
    }
}

extension FactorizePlan {
    fileprivate var words: [String] {
        let whose = rules.scope == .model ? "" : " of the layers"
        let amount =
            switch rules.amount {
            case .energy(let share): "ranks keep \(percent(share)) of each layer's energy"
            case .evbmf: "ranks by what stands out of noise (evbmf)"
            case .parameters(let share): "\(percent(share)) of the parameters\(whose) are left"
            case .macs(let share): "\(percent(share)) of the multiply-accumulates\(whose) are left"
            }
        let seen = samples > 0 ? "weighed by \(samples) samples a worker" : "from the weights alone"
        return [amount, "method \(rules.selection.method), \(seen)"]
    }
}

extension QuantizePlan {
    fileprivate var words: [String] {
        let bits =
            switch rules.amount {
            case .same: rules.weights.bits.map { "weights of \($0) bits" } ?? "weights of the target's bits"
            case .averageBits(let bits): "\(plain(bits)) bits on average"
            case .bytes(let bytes): "at most \(PlanSize.plain(bytes)) of weights"
            case .bitOperations(let count): "at most \(plain(count)) bit operations"
            case .milliseconds(let time): "at most \(plain(time)) ms"
            }
        var words = ["target \(rules.scope.target.rawValue)", bits, "rounding \(rules.rounding)"]
        if rules.weights.levels != .uniform { words.append("levels \(rules.weights.levels)") }
        if rules.scope.target.needsCalibration {
            let share = rules.method == .percentile ? " \(plain(rules.percentile))" : ""
            words.append("calibration \(rules.method)\(share), \(samples) samples a worker")
        }
        if rounds > 0 { words += StagePlan.rounds(rounds).map { $0 + " with rounding simulated" } + recipe.words }
        if reestimates { words.append("batch statistics measured anew") }
        if let maximumDrop { words.append("at most \(plain(maximumDrop)) points of accuracy may be lost") }
        return words + teacher.words
    }
}
