import Tensors

extension Graph {
    /// The graph in QDQ form for x86 runtimes: uint8 asymmetric activations, int8 symmetric per-channel weights and int32
    /// biases of scale s_x s_w, so that each Conv, Gemm, MatMul, Add and pool stands between DequantizeLinear and
    /// QuantizeLinear and fuses into an integer kernel. Call on a BN-folded graph. A quantizable weight without an entry in
    /// `weights` stays float. Scales are raised where a bias would overflow int32 (METHODS "Export" 5).
    /// - Throws: `ModelError.invalidRequest` when a point lacks parameters or an entry does not fit, and as
    ///   `convertingOpset`.
    public func quantizedQDQ(
        activations: [String: ActivationQuantization], weights: [String: QuantizedWeight], opset: Int64
    ) throws(ModelError) -> Graph {
        let graph = try convertingOpset(to: opset)
        let layout = QuantizationLayout(graph)
        try graph.check(activations, weights, layout)
        var rewriter = QDQRewriter(graph: graph, layout: layout, activations: activations, weights: weights)
        return rewriter.rewrite()
    }

    private func check(
        _ activations: [String: ActivationQuantization], _ weights: [String: QuantizedWeight],
        _ layout: QuantizationLayout
    ) throws(ModelError) {
        for name in layout.points {
            guard let parameters = activations[name] else {
                throw .invalidRequest("activation '\(name)' has no quantization parameters; calibrate it first")
            }
            guard parameters.scale.isFinite, parameters.scale >= .leastNormalMagnitude else {
                throw .invalidRequest("activation '\(name)' has the impossible scale \(parameters.scale)")
            }
        }
        if let extra = activations.keys.sorted().first(where: { !layout.points.contains($0) }) {
            throw .invalidRequest("'\(extra)' is no activation that this model quantizes")
        }
        for (name, weight) in weights.sorted(by: { $0.key < $1.key }) {
            guard let axis = layout.weights.first(where: { $0.name == name })?.axis, let tensor = initializers[name]
            else {
                throw .invalidRequest("'\(name)' is no weight that this model quantizes")
            }
            guard weight.values.elementType == .int8, weight.values.shape == tensor.shape, weight.axis == axis,
                weight.scales.count == tensor.shape[axis]
            else {
                throw .invalidRequest(
                    "weight '\(name)' needs int8 values of shape \(tensor.shape) and one scale per index of axis \(axis)"
                )
            }
            guard weight.scales.allSatisfy({ $0.isFinite && $0 >= .leastNormalMagnitude }) else {
                throw .invalidRequest("weight '\(name)' has a scale that is not positive; give dead channels any scale")
            }
        }
    }
}
