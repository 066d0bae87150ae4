import Federation

/// How workers train in a stage's rounds.
struct TrainingWords {
    let sentences: [String]

    init(_ recipe: TrainingRecipe, of stage: StagePlan) {
        var first =
            "A round is \(Self.passes(recipe.epochs)) over the shard in batches of \(recipe.batch)"
            + (recipe.accumulate > 1 ? ", \(recipe.accumulate) of them a step" : "")
        first +=
            ", \(Self.optimizer(recipe)), learning rate \(Figures.number(recipe.learningRate)) \(Self.schedule(recipe.schedule))"
        if recipe.weightDecay > 0 {
            first +=
                ", weight decay \(Figures.number(recipe.weightDecay))"
                + (recipe.decay == .weights ? " on weights alone" : "")
        }
        var sentences = [first + "."]
        if !Self.keepsItsOwnLoss(stage) {
            let smoothing =
                recipe.labelSmoothing > 0 ? " with label smoothing \(Figures.number(recipe.labelSmoothing))" : ""
            sentences.append(
                "The loss is \(recipe.loss.map { "\($0)" } ?? "what suits the data (classes, tokens or values)")\(smoothing)."
            )
        }
        var more: [String] = []
        if let norm = recipe.clipNorm { more.append("gradients are clipped to a norm of \(Figures.number(norm))") }
        if let value = recipe.clipValue {
            more.append("each element of a gradient is clipped to \(Figures.number(value))")
        }
        if recipe.precision == .bfloat16 { more.append("convolutions and matrix products are computed in bfloat16") }
        if recipe.proximal > 0 {
            more.append("weights are pulled back to the round's start (FedProx, mu \(Figures.number(recipe.proximal)))")
        }
        if recipe.correction == .scaffold {
            more.append("steps are corrected by how the worker differs from the fleet (SCAFFOLD)")
        }
        if let words = more.first {
            sentences.append(
                words.prefix(1).uppercased() + ([words] + more.dropFirst()).joined(separator: ", ").dropFirst() + ".")
        }
        self.sentences = [sentences.joined(separator: " ")]
    }

    /// `distill` has no key `loss`: what it learns from says it.
    private static func keepsItsOwnLoss(_ stage: StagePlan) -> Bool {
        if case .distill = stage { true } else { false }
    }

    static func passes(_ epochs: Double) -> String {
        epochs == 1 ? "one pass" : epochs == 0.5 ? "half a pass" : "\(Figures.number(epochs)) passes"
    }

    private static func optimizer(_ recipe: TrainingRecipe) -> String {
        guard recipe.optimizer == .sgd else { return "\(recipe.optimizer)" }
        guard recipe.momentum > 0 else { return "sgd without momentum" }
        return "sgd with \(recipe.nesterov ? "Nesterov " : "")momentum \(Figures.number(recipe.momentum))"
    }

    private static func schedule(_ schedule: RateSchedule) -> String {
        let warmUp = schedule.warmup > 0 ? " after a warm-up over \(Figures.percent(schedule.warmup)) of the stage" : ""
        switch schedule.kind {
        case .constant: return "throughout" + warmUp
        case .cosine: return "falling as a cosine over the stage" + warmUp
        case .oneCycle: return "in one cycle over the stage" + warmUp
        case .step:
            return
                "times \(Figures.number(schedule.stepFactor)) after every \(Figures.percent(schedule.stepEvery)) of the stage"
                + warmUp
        }
    }
}

/// What the coordinator makes of the workers' mean.
struct ServerWords {
    let text: String

    init(_ server: ServerOptimizer) {
        let rate = Figures.number(server.learningRate)
        switch server.kind {
        case .average where server.isPlain:
            text = "the mean of their updates, weighted by samples, is added to the model"
        case .average: text = "\(rate) times the mean of their updates is added to the model"
        case .momentum:
            text =
                "the server takes steps of \(rate) along their mean, with momentum \(Figures.number(server.momentum)) (FedAvgM)"
        case .adam, .yogi:
            text =
                "the server takes their mean for a gradient (Fed\(server.kind == .adam ? "Adam" : "Yogi"), rate \(rate), momentum "
                + "\(Figures.number(server.momentum)), beta2 \(Figures.number(server.beta2)), epsilon \(Figures.number(server.epsilon)))"
        }
    }
}

/// Whom workers learn from beside the labels.
enum TeacherWords {
    /// None where there is no teacher.
    static func sentences(_ teacher: TeacherPlan?) -> [String] {
        guard let teacher else { return [] }
        let members = teacher.members.map { member in
            let name =
                switch member.source {
                case .stage(let stage): "the model at the end of stage \(stage + 1) (workers hold it, so it is free)"
                case .file(let path): "\(path), which each worker fetches once"
                case .own: "each worker's own file, which stays with it"
                }
            let weight = teacher.members.count > 1 ? ", weight \(Figures.number(member.weight))" : ""
            return name + weight + (member.resize.map { ", samples brought to its size (\($0))" } ?? "")
        }
        var text =
            (members.count == 1 ? "The teacher: " : "The teachers, whose logits are averaged: ")
            + members.joined(separator: "; ")
            + ". Temperature \(Figures.number(teacher.temperature)), alpha \(Figures.number(teacher.alpha)) (its share of the loss)."
        for term in teacher.features {
            let pairs = term.pairs.isEmpty ? "pairs by place" : Figures.counted(term.pairs.count, "named pair")
            text += " \(term.measure) inside are compared too, weight \(Figures.number(term.weight)), \(pairs)."
        }
        return [text]
    }
}
