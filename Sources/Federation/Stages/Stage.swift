// Stages: each is a small pure state machine that emits steps (rounds and transforms) and is told how each ended.
// Invariant: what a stage emits depends only on its plan and on the outcomes it has received, so a restarted
// coordinator that replays the outcomes continues exactly where it was. Numerics live elsewhere: a step only names them.

/// What the coordinator does with the accepted contributions of a round.
public enum FoldRule: Sendable, Equatable {
    /// Weighted mean of weight updates (McMahan et al. 2017), which the server's optimizer adds to the snapshot.
    case average(ServerStep = ServerStep())
    /// Mean of w·g per weight; the smallest |mean| are masked until `sparsity` is reached.
    case maskByScores(sparsity: Double)
    /// Exact sum of activation histograms; yields the compact model.
    case calibration(method: CalibrationMethodKind, percentile: Double)
    /// Sums of loss and correct predictions.
    case metrics
}

/// Which teacher a training step uses.
public struct TeacherPlan: Sendable, Equatable {
    public var source: TeacherSource
    public var temperature: Double
    public var alpha: Double

    public init(source: TeacherSource, temperature: Double, alpha: Double) {
        self.source = source
        self.temperature = temperature
        self.alpha = alpha
    }
}

/// One thing a stage wants done.
public enum Step: Sendable, Equatable {
    case train(TrainingRecipe, teacher: TeacherPlan?, server: ServerStep = ServerStep())
    case score(samples: Int, batch: Int, sparsity: Double)
    case calibrate(samples: Int, method: CalibrationMethodKind, percentile: Double)
    case evaluate(samples: Int?)
    /// Done by the coordinator alone: mask the smallest magnitudes.
    case maskByMagnitude(sparsity: Double)

    /// The word in logs; nil for steps without a round.
    public var task: String? {
        switch self {
        case .train: "train"
        case .score: "score"
        case .calibrate: "calibrate"
        case .evaluate: "evaluate"
        case .maskByMagnitude: nil
        }
    }

    /// What folding the round's contributions means; nil for steps without a round.
    public var fold: FoldRule? {
        switch self {
        case .train(_, _, let server): .average(server)
        case .score(_, _, let sparsity): .maskByScores(sparsity: sparsity)
        case .calibrate(_, let method, let percentile): .calibration(method: method, percentile: percentile)
        case .evaluate: .metrics
        case .maskByMagnitude: nil
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
    /// The stage that carries this plan out on a model that is `sparsity` sparse already.
    public func makeStage(sparsity: Double) -> any Stage {
        switch self {
        case .train(let plan): TrainStage(rounds: plan.rounds, recipe: plan.recipe, teacher: nil, server: plan.server)
        case .distill(let plan):
            TrainStage(
                rounds: plan.rounds, recipe: plan.recipe,
                teacher: TeacherPlan(source: plan.teacher, temperature: plan.temperature, alpha: plan.alpha),
                server: plan.server)
        case .prune(let plan): PruneStage(plan, initialSparsity: sparsity)
        case .quantize(let plan): QuantizeStage(plan)
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

/// `prune`: per step a mask (with a scoring round before it where the criterion needs gradients) and recovery rounds.
public struct PruneStage: Stage {
    private enum Position: Equatable {
        case mask(step: Int)
        case recover(step: Int, round: Int)
        case evaluate
        case over
    }

    private let plan: PrunePlan
    private var position = Position.mask(step: 1)
    /// Share of prunable weights masked when the stage began; the schedule starts there.
    private let initialSparsity: Double

    public init(_ plan: PrunePlan, initialSparsity: Double) {
        self.plan = plan
        self.initialSparsity = initialSparsity
    }

    public mutating func next() -> Step? {
        switch position {
        case .mask(let step):
            let sparsity = plan.schedule.sparsity(step: step, of: steps, from: initialSparsity, to: plan.sparsity)
            return switch plan.criterion {
            case .magnitude: .maskByMagnitude(sparsity: sparsity)
            case .taylor: .score(samples: plan.scoreSamples, batch: plan.recipe.batch, sparsity: sparsity)
            }
        case .recover(let step, let round):
            let index = (step - 1) * plan.roundsPerStep + round
            return .train(
                plan.recipe.atRound(index, of: steps * plan.roundsPerStep), teacher: nil,
                server: ServerStep(optimizer: plan.server, continues: index > 0))
        case .evaluate: return .evaluate(samples: nil)
        case .over: return nil
        }
    }

    public mutating func stepFinished(_ outcome: StepOutcome) {
        switch position {
        case .mask(let step):
            position = plan.roundsPerStep > 0 ? .recover(step: step, round: 0) : after(step: step)
        case .recover(let step, let round):
            position = round + 1 < plan.roundsPerStep ? .recover(step: step, round: round + 1) : after(step: step)
        case .evaluate: position = .over
        case .over: preconditionFailure("a finished prune stage was told of another step")
        }
    }

    private var steps: Int { plan.schedule == .oneShot ? 1 : plan.steps }

    private func after(step: Int) -> Position { step < steps ? .mask(step: step + 1) : .evaluate }
}

/// `quantize`: one calibration round, then an evaluation of the compact model.
public struct QuantizeStage: Stage {
    private let plan: QuantizePlan
    private var finished = 0

    public init(_ plan: QuantizePlan) { self.plan = plan }

    public mutating func next() -> Step? {
        switch finished {
        case 0: .calibrate(samples: plan.samples, method: plan.method, percentile: plan.percentile)
        case 1: .evaluate(samples: nil)
        default: nil
        }
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
