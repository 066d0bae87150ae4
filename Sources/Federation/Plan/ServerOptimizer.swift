/// What the coordinator does with the mean of a round's updates before it adds it to the snapshot: the mean is taken for
/// a negative gradient (Reddi et al. 2021, "Adaptive Federated Optimization", algorithms 1 and 2).
public struct ServerOptimizer: Sendable, Equatable {
    public enum Kind: String, Sendable, Equatable, CaseIterable {
        /// Nothing but the learning rate (FedAvg: McMahan et al. 2017).
        case average
        /// FedAvgM (Hsu et al. 2019, section 4.3).
        case momentum
        /// FedAdam.
        case adam
        /// FedYogi.
        case yogi

        /// Whether second moments are kept beside the first.
        public var isAdaptive: Bool { self == .adam || self == .yogi }
    }

    public var kind: Kind
    public var learningRate: Double
    /// Share of the earlier direction: beta of FedAvgM, beta 1 of the others.
    public var momentum: Double
    public var beta2: Double
    /// tau: the degree of adaptivity, added to the root of the second moment.
    public var epsilon: Double

    public init(
        kind: Kind = .average, learningRate: Double = 1, momentum: Double = 0.9, beta2: Double = 0.99,
        epsilon: Double = 0.001
    ) {
        self.kind = kind
        self.learningRate = learningRate
        self.momentum = momentum
        self.beta2 = beta2
        self.epsilon = epsilon
    }

    /// Whether the mean is added as it is.
    public var isPlain: Bool { kind == .average && learningRate == 1 }
}

/// The server optimizer's part in one round.
public struct ServerStep: Sendable, Equatable {
    public var optimizer: ServerOptimizer
    /// Whether the moments of the round before are taken up; a stage begins without.
    public var continues: Bool

    public init(optimizer: ServerOptimizer = ServerOptimizer(), continues: Bool = false) {
        self.optimizer = optimizer
        self.continues = continues
    }
}
