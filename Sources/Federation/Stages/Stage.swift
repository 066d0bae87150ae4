// Stages: each is a small pure state machine that emits steps (rounds and transforms) and is told how each ended.
// Invariant: what a stage emits depends only on its plan and on the outcomes it has received, so a restarted
// coordinator that replays the outcomes continues exactly where it was. Numerics live elsewhere: a step only names them.

/// What the coordinator does with the accepted contributions of a round.
public enum FoldRule: Sendable, Equatable {
    /// Weighted mean of weight updates (McMahan et al. 2017), which the server's optimizer adds to the snapshot.
    case average(ServerStep = ServerStep())
    /// Means of what workers found out about each weight or channel, or of their votes; they decide a mask.
    case scores(MaskDecision)
    /// Mean of second moments of layers' data; decides a factorization.
    case moments(FactorizeRules)
    /// Exact sum of histograms of values.
    case calibration(QuantizationScope)
    /// Mean of second moments of what quantized layers multiply.
    case inputMoments(QuantizationScope)
    /// Mean of what each layer's bits cost.
    case sensitivity(SensitivityRequest)
    /// Sums of how layers' outputs differ between the float model and its file; they go into the explanation.
    case comparison(QuantizationScope, explanation: BlobReference)
    /// Sums of loss and correct predictions.
    case metrics
    /// Weighted mean of what workers' models say of the public set.
    case logits(LogitsRequest)
}

/// One thing a stage wants done.
public enum Step: Sendable, Equatable {
    case train(TrainingRecipe, teacher: TeacherPlan?, server: ServerStep = ServerStep())
    case score(ScoreRequest, MaskDecision)
    /// Second moments over so many samples a worker, and the factorization that they decide.
    case moments(samples: Int, FactorizeRules)
    /// Histograms of values over so many samples a worker.
    case calibrate(samples: Int, QuantizationScope)
    /// Second moments of what quantized layers multiply, over so many samples a worker.
    case inputMoments(samples: Int, QuantizationScope)
    /// What each layer's bits cost.
    case sensitivity(SensitivityRequest)
    /// How layers' outputs differ between the float model and the compact file.
    case compare(samples: Int, QuantizationScope, explanation: BlobReference)
    case evaluate(samples: Int?)
    /// What each worker's model says of the public set. A stage leaves the numbers to `RunHistory`.
    case logits(LogitsRequest)
    /// Done by the coordinator alone: a mask from the weights themselves.
    case decideMask(MaskDecision)
    /// Done by the coordinator alone: a factorization from the weights themselves.
    case factorize(FactorizeRules)
    /// Done by the coordinator alone: a training graph that rounds as the file will.
    case simulate(QuantizeDecision)
    /// Done by the coordinator alone: the compact file.
    case quantize(QuantizeDecision)
    /// Done by the coordinator alone: survivors take the values they had at the end of that stage (nil: when the run began).
    case rewind(toStage: Int?)
    /// Done by the coordinator alone: which channels each width below 1 has, for the training rounds that follow. No stage
    /// asks for it; `RunHistory` puts it before training rounds where it is needed.
    case nest(widths: [Double])

    /// The word in logs; nil for steps without a round.
    public var task: String? {
        switch self {
        case .train: "train"
        case .score: "score"
        case .moments: "moments"
        case .calibrate: "calibrate"
        case .inputMoments: "moments"
        case .sensitivity: "sensitivity"
        case .compare: "compare"
        case .evaluate: "evaluate"
        case .logits: "logits"
        case .decideMask, .factorize, .simulate, .quantize, .rewind, .nest: nil
        }
    }

    /// What folding the round's contributions means; nil for steps without a round.
    public var fold: FoldRule? {
        switch self {
        case .train(_, _, let server): .average(server)
        case .score(_, let decision): .scores(decision)
        case .calibrate(_, let scope): .calibration(scope)
        case .inputMoments(_, let scope): .inputMoments(scope)
        case .sensitivity(let request): .sensitivity(request)
        case .compare(_, let scope, let explanation): .comparison(scope, explanation: explanation)
        case .moments(_, let rules): .moments(rules)
        case .evaluate: .metrics
        case .logits(let request): .logits(request)
        case .decideMask, .factorize, .simulate, .quantize, .rewind, .nest: nil
        }
    }

    /// The mask that the step decides, if it does.
    public var decision: MaskDecision? {
        switch self {
        case .score(_, let decision), .decideMask(let decision): decision
        case .train, .moments, .calibrate, .inputMoments, .sensitivity, .compare, .evaluate, .logits: nil
        case .factorize, .simulate, .quantize, .rewind, .nest: nil
        }
    }
}

/// A stage in progress.
public protocol Stage: Sendable {
    /// The next step, or nil when the stage is over. Called once at the start and once after each finished step.
    mutating func next() -> Step?
    /// The step that `next` returned last is over.
    mutating func stepFinished(_ outcome: StepOutcome)
}

extension StagePlan {
    /// The stage that carries this plan out.
    /// - Parameters:
    ///   - sparsity: how sparse the model is already.
    ///   - size: how large it is.
    ///   - accuracy: what it was measured to have, if it was.
    public func makeStage(sparsity: Double, size: ModelSize, accuracy: Double? = nil) -> any Stage {
        switch self {
        case .train(let plan):
            TrainStage(rounds: plan.rounds, recipe: plan.recipe, teacher: plan.teacher, server: plan.server)
        case .distill(let plan) where plan.ensemble != nil: EnsembleStage(plan)
        case .distill(let plan):
            TrainStage(
                rounds: plan.rounds, recipe: plan.recipe,
                teacher: plan.teacher, server: plan.server)
        case .prune(let plan): PruneStage(plan, initialSparsity: sparsity, initialSize: size)
        case .factorize(let plan): FactorizeStage(plan)
        case .quantize(let plan): QuantizeStage(plan, accuracy: accuracy)
        case .evaluate(let plan): EvaluateStage(plan)
        }
    }
}

/// `train` and `distill`: rounds of federated averaging, then an evaluation.
public struct TrainStage: Stage {
    let rounds: Int
    let recipe: TrainingRecipe
    let teacher: TeacherPlan?
    let server: ServerOptimizer
    private var finished = 0

    public init(
        rounds: Int, recipe: TrainingRecipe, teacher: TeacherPlan?, server: ServerOptimizer = ServerOptimizer()
    ) {
        self.rounds = rounds
        self.recipe = recipe
        self.teacher = teacher
        self.server = server
    }

    public mutating func next() -> Step? {
        if finished < rounds {
            return .train(
                recipe.atRound(finished, of: rounds), teacher: teacher,
                server: ServerStep(optimizer: server, continues: finished > 0))
        }
        return finished == rounds ? .evaluate(samples: nil) : nil
    }

    public mutating func stepFinished(_ outcome: StepOutcome) { finished += 1 }
}

/// `evaluate`: one round.
public struct EvaluateStage: Stage {
    private let plan: EvaluatePlan
    private var finished = false

    public init(_ plan: EvaluatePlan) { self.plan = plan }

    public mutating func next() -> Step? { finished ? nil : .evaluate(samples: plan.samples) }
    public mutating func stepFinished(_ outcome: StepOutcome) { finished = true }
}
