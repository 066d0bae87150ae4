/// What a worker does with its shard in one training round.
public struct TrainingRecipe: Sendable, Equatable {
    /// Passes over the shard per round; fractions are allowed (0.5 is every other batch of a shuffled pass).
    public var epochs: Double
    /// Samples whose gradients are computed at once.
    public var batch: Int
    /// Batches whose gradients make one step of the optimizer.
    public var accumulate: Int
    public var optimizer: OptimizerKind
    /// The highest rate of the schedule.
    public var learningRate: Double
    public var schedule: RateSchedule
    /// The part of the stage that this round is, 0 to 1: the schedule runs on through the rounds of a stage.
    public var part: ClosedRange<Double>
    /// Of `sgd`.
    public var momentum: Double
    public var nesterov: Bool
    public var weightDecay: Double
    public var decay: DecayScope
    /// nil lets the data decide: classes, tokens or values.
    public var loss: LossKind?
    /// Share of a label that is spread over all classes (Szegedy et al. 2016, section 7), 0 to below 1.
    public var labelSmoothing: Double
    /// L2 norm over all gradients to which a step's gradients are scaled down; nil for no limit.
    public var clipNorm: Double?
    /// Magnitude to which each element of a gradient is clipped instead; nil for no limit.
    public var clipValue: Double?
    public var precision: PrecisionKind
    /// mu of FedProx (Li et al. 2020, equation 2): gradients get mu (w - w of the round's snapshot).
    public var proximal: Double
    public var correction: CorrectionKind
    /// Of a stage with an ensemble: how to learn from what the fleet says of the public set.
    public var ensemble: EnsembleLesson?
    /// What becomes of batch norms' running statistics.
    public var statistics: StatisticsMode

    public init(
        epochs: Double = 1, batch: Int = 64, accumulate: Int = 1, optimizer: OptimizerKind = .sgd,
        learningRate: Double = 0.05, schedule: RateSchedule = .constant, part: ClosedRange<Double> = 0...1,
        momentum: Double = 0.9, nesterov: Bool = false, weightDecay: Double = 0, decay: DecayScope = .all,
        loss: LossKind? = nil, labelSmoothing: Double = 0, clipNorm: Double? = nil, clipValue: Double? = nil,
        precision: PrecisionKind = .float32, proximal: Double = 0, correction: CorrectionKind = .none,
        ensemble: EnsembleLesson? = nil, statistics: StatisticsMode = .learned
    ) {
        self.epochs = epochs
        self.batch = batch
        self.accumulate = accumulate
        self.optimizer = optimizer
        self.learningRate = learningRate
        self.schedule = schedule
        self.part = part
        self.momentum = momentum
        self.nesterov = nesterov
        self.weightDecay = weightDecay
        self.decay = decay
        self.loss = loss
        self.labelSmoothing = labelSmoothing
        self.clipNorm = clipNorm
        self.clipValue = clipValue
        self.precision = precision
        self.proximal = proximal
        self.correction = correction
        self.ensemble = ensemble
        self.statistics = statistics
    }
}

// Raw values of these words are on the wire; never renumber them.

public enum OptimizerKind: UInt8, Sendable, Equatable, CaseIterable {
    case sgd = 0
    /// Loshchilov & Hutter 2019.
    case adamw = 1
    /// You et al. 2020.
    case lamb = 2
}

/// What becomes of the running statistics of batch norms.
public enum StatisticsMode: UInt8, Sendable, Equatable, CaseIterable {
    /// Batches normalise by their own and leave a trace in the running ones.
    case learned = 0
    /// Batches normalise by the running ones, which stay.
    case frozen = 1
    /// No step is taken: a pass over at most `epochs` of the shard measures them anew.
    case reestimated = 2
}

/// Which parameters weight decay shrinks.
public enum DecayScope: UInt8, Sendable, Equatable, CaseIterable {
    case all = 0
    /// None of the norms' parameters and the biases.
    case weights = 1
}

/// What a worker minimises.
public enum LossKind: UInt8, Sendable, Equatable, CaseIterable {
    case crossEntropy = 1
    case meanSquared = 2
    /// Binary cross-entropy with logits.
    case binary = 3
    case cosine = 4
    case nextToken = 5
    case maskedToken = 6

    /// Whether a share of a label can be spread over all classes.
    var smoothsLabels: Bool { self == .crossEntropy }
}

/// In what a forward and backward pass are computed; weights and optimizer stay float32.
public enum PrecisionKind: UInt8, Sendable, Equatable, CaseIterable {
    case float32 = 0
    case bfloat16 = 1
}

/// How workers' drift on unlike data is held back.
public enum CorrectionKind: UInt8, Sendable, Equatable, CaseIterable {
    case none = 0
    /// Control variates (SCAFFOLD: Karimireddy et al. 2020, algorithm 1, option II).
    case scaffold = 1
}
