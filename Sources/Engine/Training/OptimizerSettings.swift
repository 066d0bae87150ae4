/// How gradients become changes of parameters.
public enum OptimizerMethod: String, Sendable, Equatable, CaseIterable {
    /// Stochastic gradient descent with momentum, as `torch.optim.SGD` without dampening.
    case sgd
    /// Loshchilov & Hutter 2019, as `torch.optim.AdamW` implements it.
    case adamw
    /// Layer-wise adaptive moments (You et al. 2020, algorithm 2, φ the identity): AdamW's direction plus the decay, scaled
    /// for each tensor by ‖w‖ / ‖direction‖, or by 1 where either is zero.
    case lamb
}

/// An optimizer's numbers.
public struct OptimizerSettings: Sendable, Equatable {
    public var kind: OptimizerMethod
    public var learningRate: Double
    /// SGD's.
    public var momentum: Double
    /// SGD adds it to the gradient, AdamW shrinks weights by rate x decay, LAMB adds it to the direction.
    public var weightDecay: Double
    /// SGD's (Sutskever et al. 2013, in PyTorch's form).
    public var nesterov: Bool
    /// AdamW's and LAMB's.
    public var beta1: Double
    public var beta2: Double
    public var epsilon: Double
    /// false, as in PyTorch: every trainable parameter decays. true: only those of `Graph.decayingNames`.
    public var noDecayOnNormsAndBiases: Bool

    public init(
        kind: OptimizerMethod = .sgd, learningRate: Double, momentum: Double = 0, weightDecay: Double = 0,
        nesterov: Bool = false, beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double? = nil,
        noDecayOnNormsAndBiases: Bool = false
    ) {
        self.kind = kind
        self.learningRate = learningRate
        self.momentum = momentum
        self.weightDecay = weightDecay
        self.nesterov = nesterov
        self.beta1 = beta1
        self.beta2 = beta2
        // LAMB's authors use 1e-6.
        self.epsilon = epsilon ?? (kind == .lamb ? 1e-6 : 1e-8)
        self.noDecayOnNormsAndBiases = noDecayOnNormsAndBiases
    }

    /// - Throws: `EngineError.badSetting` for a number outside its range.
    public func validate() throws(EngineError) {
        guard learningRate >= 0, learningRate.isFinite else {
            throw .badSetting("the learning rate is \(learningRate): give 0 or more")
        }
        guard (0..<1).contains(momentum) else { throw .badSetting("momentum is \(momentum): give 0 or more, below 1") }
        guard weightDecay >= 0, weightDecay.isFinite else {
            throw .badSetting("weight decay is \(weightDecay): give 0 or more")
        }
        guard (0..<1).contains(beta1), (0..<1).contains(beta2) else {
            throw .badSetting("betas are \(beta1) and \(beta2): give 0 or more, below 1")
        }
        guard epsilon > 0, epsilon.isFinite else { throw .badSetting("epsilon is \(epsilon): give a positive number") }
        if nesterov, momentum == 0 { throw .badSetting("Nesterov's method needs a momentum above 0") }
    }
}

/// A bound on gradients, before the optimizer sees them.
public enum GradientClipping: Sendable, Equatable {
    /// `torch.nn.utils.clip_grad_norm_(parameters, limit)`: all gradients are scaled by limit / (norm + 1e-6) where that is
    /// below 1, with the norm over all parameters together.
    case norm(Double)
    /// `torch.nn.utils.clip_grad_value_(parameters, limit)`: each element is brought to -limit...limit.
    case value(Double)

    /// - Throws: `EngineError.badSetting` for a limit that is not positive.
    public func validate() throws(EngineError) {
        switch self {
        case .norm(let limit), .value(let limit):
            guard limit > 0, limit.isFinite else {
                throw .badSetting("gradients are clipped to \(limit): give a positive number")
            }
        }
    }
}

/// The arithmetic of convolutions and matrix products.
public enum Precision: String, Sendable, Equatable, CaseIterable {
    case float32
    /// bfloat16 in convolutions and matrix products; parameters, their gradients, normalizations, softmax, losses and the
    /// optimizer stay float32 (Kalamkar et al. 2019).
    case bfloat16
}
