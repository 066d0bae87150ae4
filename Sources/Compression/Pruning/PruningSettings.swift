import ModelGraph
import Tensors

/// What is pruned as one.
public enum PrunedUnit: Sendable, Equatable {
    case weights(WeightPattern)
    /// Of groups of one kind; nil stands for all.
    case channels(ChannelGroup.Kind?)
    /// Residual blocks.
    case blocks
}

/// How masks are decided, apart from how much is to be left.
public struct PruningSettings: Sendable, Equatable {
    public var unit: PrunedUnit
    public var criterion: PruningCriterion
    public var scope: PruningScope
    /// What is left of a width is a multiple of this; channels only.
    public var multiple: Int
    /// Whether groups are pruned too whose channels a normalisation takes its statistics over.
    public var normalized: Bool
    public var borders: BorderRule
    /// Weights, groups (by name or by a weight that makes their channels) or blocks that stay as they are.
    public var excluded: [String]

    public init(
        unit: PrunedUnit, criterion: PruningCriterion, scope: PruningScope = .global, multiple: Int = 16,
        normalized: Bool = false, borders: BorderRule = .absorb, excluded: [String] = []
    ) {
        self.unit = unit
        self.criterion = criterion
        self.scope = scope
        self.multiple = multiple
        self.normalized = normalized
        self.borders = borders
        self.excluded = excluded
    }
}

/// What is to be left of a model.
public enum PruningAmount: Sendable, Equatable {
    /// Share of prunable weights that are masked, 0 to below 1; for masks only.
    case sparsity(Double)
    /// Share of the channels, heads or blocks that stays, above 0, at most 1; for what is removed.
    case keep(Double)
    /// This many channels, heads or blocks go, as far as there are any; for what is removed.
    case remove(Int)
    /// Numbers that training changes, multiply-accumulates of a sample, or bytes of the float32 file at most;
    /// for what is removed.
    case weights(Int)
    case macs(Int)
    case bytes(Int)
}

extension PruningAmount {
    /// A share of a graph's weights.
    public static func weights(share: Double, of graph: Graph) -> PruningAmount {
        .weights(count(share, of: graph.trainableElementCount))
    }

    /// A share of a graph's multiply-accumulates.
    public static func macs(share: Double, of graph: Graph) throws(ModelError) -> PruningAmount {
        .macs(count(share, of: try graph.multiplyAccumulates()))
    }

    private static func count(_ share: Double, of whole: Int) -> Int { Int((share * Double(whole)).rounded(.up)) }
}

/// What a mask is decided by, beside the weights.
public enum PruningEvidence: Sendable {
    case weights
    /// What the criterion's statistic calls for, folded over the fleet or a worker's own.
    case statistics(NamedTensors)
    /// The share of the fleet that keeps each weight or channel.
    case votes(NamedTensors, VoteRule)
}
