import ModelGraph
import Tensors

/// Chooses the channels of narrower versions of a model, each within the next wider one (HeteroFL: Diao et al. 2021, section 3;
/// there the first channels, here those of the largest norm).
public enum ChannelNesting {
    /// What each width has not.
    ///
    /// Every group of channels and of attention heads keeps the share of its channels with the largest L2 norms, at least one;
    /// groups that a normalisation takes its statistics over stay whole, since a part of them would be normalised to something
    /// else. Deterministic.
    /// - Parameters:
    ///   - graph: with the snapshot's values.
    ///   - masks: dead weights do not count.
    ///   - shares: of the channels, above 0, at most 1.
    /// - Throws: `ModelError` where groups cannot be found, `CompressionError.scoresNotFinite`.
    public static func changes(of graph: Graph, masks: MaskSet, shares: [Double]) throws -> [StructureChange] {
        let groups = try graph.channelGroups()
        let candidates = groups.groups.filter { !$0.isNormalizedOver }
        let scores = try Importance(graph: graph, criterion: .l2, masks: masks).ofChannels(candidates)
        return try shares.map { share in
            let kept = try ChannelSelection.select(
                groups, among: candidates, scores: scores, amount: .channels(share), scope: .local, minimumShare: 0,
                parameters: graph.parameters)
            return StructureChange(keeping: kept, of: candidates)
        }
    }
}

/// A narrower version of a model whose parameters are plain slices of the whole one's, so that what it learns belongs where
/// the slices are from. Other than with a model that shrinks for good, nothing of what leaves is absorbed: in the whole model
/// it is still there.
public struct NarrowModel: Sendable {
    /// Without values.
    public let skeleton: Graph
    public let slices: ParameterSlices
    private let wholeShapes: [String: Shape]

    /// - Parameter skeleton: of the whole model. Its zeros leave nothing to absorb, so both sides find the same structure
    ///   whatever the values are.
    /// - Throws: `ModelError` where the change does not fit the graph, or is none of channels alone.
    public init(_ change: StructureChange, of skeleton: Graph) throws(ModelError) {
        guard change.blocks.isEmpty else {
            throw .invalidRequest("a narrower model has all residual blocks, and this change removes some")
        }
        let skeleton = skeleton.isSkeleton ? skeleton : skeleton.skeleton()
        let pruned = try change.apply(to: skeleton)
        self.skeleton = pruned.graph
        slices = pruned.slices
        wholeShapes = Dictionary(uniqueKeysWithValues: skeleton.parameters.map { ($0.name, $0.shape) })
    }

    /// What its updates speak of: all parameters but running statistics, which are another model's than the whole one's.
    public var trainable: [(name: String, shape: Shape)] {
        skeleton.parameters.filter { $0.role == .trainable }.map { (name: $0.name, shape: $0.shape) }
    }

    /// The masks of its trainable parameters.
    public func masks(_ masks: MaskSet) -> MaskSet {
        var own = slices.apply(to: masks, shapes: wholeShapes)
        let names = Set(trainable.map(\.name))
        own.bitmaps = own.bitmaps.filter { names.contains($0.key) }
        return own
    }

    /// The model with values.
    /// - Parameter parameters: of the whole one.
    /// - Throws: `ModelError.invalidRequest` for parameters that do not fit.
    public func graph(_ parameters: NamedTensors) throws(ModelError) -> Graph {
        var own: [(String, Tensor)] = []
        for parameter in skeleton.parameters {
            guard let whole = parameters[parameter.name], whole.shape == wholeShapes[parameter.name] else {
                throw .invalidRequest("the whole model's parameter '\(parameter.name)' is missing or of another shape")
            }
            own.append((parameter.name, slices.apply(to: whole, named: parameter.name)))
        }
        return try skeleton.replacingParameters(NamedTensors(own))
    }
}
