/// What one step of a `prune` stage decides: everything but the model and the scores.
public struct MaskDecision: Sendable, Equatable {
    /// How much is left afterwards.
    public enum Amount: Sendable, Equatable {
        /// Share of prunable weights that are masked, 0 to below 1.
        case sparsity(Double)
        /// Share of the channels, heads or layers there are now that stay, above 0, at most 1.
        case keep(Double)
        /// This many channels, heads or layers go, as far as there are any.
        case remove(Int)
        /// Parameters (`ModelSize`), multiply-accumulates or bytes (float32 file) at most.
        case weights(Int)
        case macs(Int)
        case bytes(Int)
        /// `share` of the way from what the model takes now to `target`, in milliseconds.
        case milliseconds(target: Double, share: Double)
    }

    public var rules: MaskRules
    public var amount: Amount
    /// Share of the alive weights that die so that as many others revive.
    public var regrow: Double

    public init(rules: MaskRules, amount: Amount, regrow: Double = 0) {
        self.rules = rules
        self.amount = amount
        self.regrow = regrow
    }
}

/// Channels, heads or layers of a stage, before and after a decision.
public struct PrunedUnits: Sendable, Equatable, Codable {
    /// What could have gone.
    public var before: Int
    public var removed: Int
    /// What can still go: a group of one channel is none any more.
    public var prunable: Int

    public init(before: Int, removed: Int, prunable: Int) {
        self.before = before
        self.removed = removed
        self.prunable = prunable
    }
}

/// What scoring asks of a worker.
public struct ScoreRequest: Sendable, Equatable {
    public var samples: Int
    public var batch: Int
    /// Of the local steps of `movement`.
    public var learningRate: Double
    /// nil is as the data are.
    public var loss: LossKind?

    public init(samples: Int, batch: Int, learningRate: Double = 0.01, loss: LossKind? = nil) {
        self.samples = samples
        self.batch = batch
        self.learningRate = learningRate
        self.loss = loss
    }
}

/// How large a model is.
public struct ModelSize: Sendable, Equatable, Codable {
    /// Numbers that training changes, dead ones included; running statistics are none.
    public var parameters: Int
    /// Multiply-accumulates for one sample; nil where its shapes are not known without data.
    public var macs: Int?
    /// Of the float32 ONNX file.
    public var bytes: Int

    public init(parameters: Int, macs: Int?, bytes: Int) {
        self.parameters = parameters
        self.macs = macs
        self.bytes = bytes
    }
}
