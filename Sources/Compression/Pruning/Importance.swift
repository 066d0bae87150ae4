import ModelGraph
import Tensors

/// Importance by one criterion, finite and at least 0: more is better kept. On the coordinator from folded statistics; on
/// a worker that votes, from its own.
public struct Importance: Sendable {
    public let criterion: PruningCriterion
    /// Trainable parameters, dead weights 0.
    let weights: NamedTensors
    /// Those that weight masks may touch, in the graph's order.
    let prunable: [String]
    /// The scales of normalisations, and of BatchNormalizations alone.
    let scales: Set<String>
    let batchScales: Set<String>
    let statistics: NamedTensors
    let masks: MaskSet

    /// - Parameters:
    ///   - graph: with the snapshot's values.
    ///   - statistics: what `criterion.statistic` calls for, as workers send it or as the mean of what they sent; nothing
    ///     for criteria of the weights alone.
    ///   - masks: dead weights have no importance.
    public init(
        graph: Graph, criterion: PruningCriterion, statistics: NamedTensors = NamedTensors(), masks: MaskSet = MaskSet()
    ) {
        var weights = NamedTensors(
            graph.trainableNames.compactMap { name in graph.initializers[name].map { (name, $0) } })
        masks.apply(to: &weights)
        self.criterion = criterion
        self.weights = weights
        prunable = graph.prunableNames
        // An exporter writes the scale of ones that GroupNormalization leaves to its InstanceNormalization as a constant.
        let (scales, batchScales) = Self.scales(of: graph)
        let trainable = Set(weights.names)
        (self.scales, self.batchScales) = (scales.intersection(trainable), batchScales.intersection(trainable))
        self.statistics = statistics
        self.masks = masks
    }

    /// Of single weights alone, where the graph is not at hand: `ofWeights` gives one tensor for each of `weights`.
    public init(
        weights: NamedTensors, criterion: PruningCriterion, statistics: NamedTensors = NamedTensors(),
        masks: MaskSet = MaskSet()
    ) {
        var weights = weights
        masks.apply(to: &weights)
        self.criterion = criterion
        self.weights = weights
        prunable = weights.names
        (scales, batchScales) = ([], [])
        self.statistics = statistics
        self.masks = masks
    }

    private static func scales(of graph: Graph) -> (all: Set<String>, batch: Set<String>) {
        var all: Set<String> = []
        var batch: Set<String> = []
        for node in graph.nodes where node.domain.isEmpty && node.inputs.count > 1 {
            switch node.operatorType {
            case "BatchNormalization":
                batch.insert(node.inputs[1])
                all.insert(node.inputs[1])
            case "LayerNormalization", "GroupNormalization", "InstanceNormalization", "RMSNormalization":
                all.insert(node.inputs[1])
            default: break
            }
        }
        return (all, batch)
    }

    /// The importance of each element of one parameter; for `movement` with its sign, so that the caller may choose where
    /// 0 lies. `lamp` counts as `l2` here.
    func ofElements(_ name: String) throws(CompressionError) -> [Float] {
        guard let weight = weights[name] else { throw .missingStatistic(name, criterion: criterion.rawValue) }
        var values: [Float]
        switch criterion {
        case .l1: values = weight.floats.map(abs)
        case .l2, .lamp, .bnScale, .fpgm, .gradientNorm:
            // A finite weight's square that overflows is only large.
            values = weight.floats.map { $0.isFinite ? min($0 * $0, .greatestFiniteMagnitude) : $0 }
        case .taylor: values = try statistic(name, shape: weight.shape).floats.map(abs)
        case .movement: values = try statistic(name, shape: weight.shape).floats
        case .stability:
            let moments = try self.moments(name, like: weight)
            values = zip(moments.means, moments.squares).map { mean, square in
                // Var[g] = E[g²] − E[g]², at least 0: the two moments are rounded on their own.
                let variance = max(0, square - mean * mean)
                return Float((mean * mean + variance).squareRoot())
            }
        case .fisher:
            let squares = try statistic(ScoreStatistic.squareName(name), shape: weight.shape).floats
            values = zip(weight.floats, squares).map { weight, square in
                Float(Double(weight) * Double(weight) * Double(max(0, square)) / Double(ScoreStatistic.squareScale))
            }
        }
        guard values.allSatisfy(\.isFinite) else { throw .scoresNotFinite(tensor: name) }
        if let bitmap = masks[name] { values.withUnsafeMutableBufferPointer { bitmap.apply(to: $0) } }
        return values
    }

    /// E[g] and E[g²] in double.
    func moments(_ name: String, like weight: Tensor) throws(CompressionError) -> (means: [Double], squares: [Double]) {
        let means = try statistic(name, shape: weight.shape).floats.map(Double.init)
        let squares = try statistic(ScoreStatistic.squareName(name), shape: weight.shape).floats.map {
            Double($0) / Double(ScoreStatistic.squareScale)
        }
        return (means, squares)
    }

    func statistic(_ name: String, shape: Shape) throws(CompressionError) -> Tensor {
        guard let tensor = statistics[name], tensor.elementType == .float32, tensor.shape == shape else {
            throw .missingStatistic(name, criterion: criterion.rawValue)
        }
        guard tensor.withElements(as: Float.self, { $0.allSatisfy(\.isFinite) }) else {
            throw .scoresNotFinite(tensor: name)
        }
        return tensor
    }
}
