import Tensors

extension Graph {
    /// The graph as a target's runtime takes it (METHODS "Export"). Call on a graph for inference
    /// (`foldingBatchNormalization`). A quantizable weight without an entry in `weights` stays float, and nothing is quantized for
    /// its nodes' sake.
    ///
    /// What is changed beyond rounding, always the same way: a weight scale rises where its bias would overflow int32
    /// (METHODS "Export" 5); a range rises or falls to the bounds of the Relu or Clip that the runtime must drop to fuse
    /// (`clampingRanges(of:for:)`); what are powers of two stay such;
    /// a Relu between quantized values that no
    /// kernel takes in becomes a LeakyRelu of slope 0, which has one; constants of sums and products are quantized per tensor; levels of a codebook are rounded to int8; constants (not
    /// weights) beyond 65504 end there in float16.
    /// - Parameters:
    ///   - activations: one entry for each of `quantizationPoints(for:leavingFloat:)`, and more of those where all weights are
    ///     quantized.
    ///   - weights: entries for some of `quantizableWeights(for:)`.
    ///   - opset: of the file, at least the target's `leastOpset`.
    ///   - packsWeights: whether weights below 8 bits lie packed in the file; constant nodes unpack them at load time.
    ///     TensorRT wants plain weights and gets them.
    /// - Throws: an opset too low, a missing or unfit entry, a scheme that the target cannot
    ///   represent, a bias that no scale saves: `ModelError.invalidRequest` by name; and as `convertingOpset`.
    public func quantized(
        for target: DeploymentTarget, activations: [String: ActivationQuantization] = [:],
        weights: [String: QuantizedWeight] = [:], opset: Int64, packsWeights: Bool = true
    ) throws(ModelError) -> Graph {
        guard opset >= target.leastOpset else {
            throw .invalidRequest(
                "target '\(target.rawValue)' needs opset \(target.leastOpset) or newer, not \(opset); raise the opset")
        }
        let graph = try convertingOpset(to: opset)
        let left = QuantizationLayout(graph, target: target).weights.map(\.name).filter { weights[$0] == nil }
        let layout = QuantizationLayout(graph, target: target, float: Set(left))
        try QuantizationRequest(graph: graph, target: target, layout: layout).check(activations, weights)
        switch target {
        case .float32: return graph
        case .x86, .x86NoVNNI, .arm, .tensorrt:
            var rewriter = QDQRewriter(
                graph: graph, target: target, layout: layout, activations: activations, weights: weights,
                packs: packsWeights && target.packsWeights)
            return try rewriter.rewrite()
        case .int4, .int8Weights: return graph.withIntegerWeights(weights, layout, target, packs: packsWeights)
        case .dynamic: return graph.quantizingDynamically(weights, layout, packs: packsWeights)
        case .float16: return try graph.inHalfPrecision(.float16)
        case .bfloat16: return try graph.inHalfPrecision(.bfloat16)
        }
    }

    /// `quantized(for: .x86)` with weights as they are.
    public func quantizedQDQ(
        activations: [String: ActivationQuantization], weights: [String: QuantizedWeight], opset: Int64
    ) throws(ModelError) -> Graph {
        try quantized(for: .x86, activations: activations, weights: weights, opset: opset, packsWeights: false)
    }
}
