/// One step's figures, before the update.
public struct StepResult: Sendable, Equatable {
    /// Mean over the counted targets; 0 when none counts.
    public var loss: Double
    /// Counted targets that the output's largest logit names (or, for binary targets, whose side it is on); 0 for losses
    /// without classes.
    public var correct: Int
    /// Rows of the batch.
    public var samples: Int
    /// Counted targets: the weight of `loss` in a mean over batches, and what `correct` is of. Samples for losses over whole
    /// rows, positions for tokens and maps, elements for binary targets.
    public var targets: Int
    /// The norm of all gradients before clipping, if gradients are clipped by it: of the whole group when several batches
    /// were accumulated.
    public var gradientNorm: Double?

    public init(loss: Double, correct: Int, samples: Int, targets: Int, gradientNorm: Double? = nil) {
        self.loss = loss
        self.correct = correct
        self.samples = samples
        self.targets = targets
        self.gradientNorm = gradientNorm
    }

    /// The loss summed over the counted targets: it folds by addition.
    public var lossSum: Double { loss * Double(targets) }
}

/// What a trainer has done since it was made; with the change of the parameters, all that SCAFFOLD's option II needs
/// (Karimireddy et al. 2020, algorithm 1, line 12): c_i+ = c_i − c + (x − y) / `rateSum`.
public struct TrainingProgress: Sendable, Equatable {
    /// Updates of the parameters: K.
    public var steps = 0
    /// The learning rates of those updates, added up: K x rate where the rate is constant.
    public var rateSum = 0.0

    public init() {}
}
