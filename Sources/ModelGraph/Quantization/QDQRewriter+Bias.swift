import Tensors

// Biases of integer kernels: int32 in steps of input scale times weight scale.
extension QDQRewriter {
    private struct BiasParts {
        let bias: Tensor
        let weightName: String
        let inputScale: Double
        let weight: QuantizedWeight
        /// Of the weight as it is written: a codebook's step is part of them.
        let scales: [Float]
    }

    /// What the bias of a node with an integer kernel is made of; nil when it has none or its weight stays float.
    private func biasParts(of node: Node, _ index: Int) -> BiasParts? {
        guard node.operatorType != "MatMul", node.inputs.count > 2, let bias = graph.initializers[node.inputs[2]],
            bias.elementType == .float32, let name = layout.weightOfNode[index]?.name, let weight = weights[name],
            bias.shape.dimensions == [weight.scales.count], let point = layout.pointOf[node.inputs[0]],
            let input = activations[point]
        else { return nil }
        let step = weight.codebook.map { IntegerLevels($0, largestCode: target.largestWeightCode).step } ?? 1
        return BiasParts(
            bias: bias, weightName: name, inputScale: Double(input.scale), weight: weight,
            scales: step == 1 ? weight.scales : weight.scales.map { $0 * step })
    }

    /// Raises weight scales until every bias fits: s_x s_w >= 2 |b| / (2^32 - 1).
    mutating func guardBiases() throws(ModelError) {
        for (index, node) in graph.nodes.enumerated() {
            guard let parts = biasParts(of: node, index) else { continue }
            var scales = parts.scales
            for (channel, value) in parts.bias.floats.enumerated() {
                let least = 2 * Double(value.magnitude) / 4_294_967_295 / parts.inputScale
                // Half of float32's range, as a power of two may have to be taken that is larger still.
                guard least.isFinite, Float(least).isFinite, least < 0x1p126 else {
                    throw overflow(node, "no scale of '\(parts.weightName)' can hold \(value)")
                }
                guard Double(scales[channel]) < least else { continue }
                guard parts.weight.codebook == nil else {
                    throw overflow(node, "give '\(parts.weightName)' uniform steps, whose scales can rise")
                }
                // The next float above the bound, so that rounding cannot fall below it.
                scales[channel] = Float(least).nextUp
            }
            if parts.weight.codebook == nil { weights[parts.weightName] = parts.weight.raisingScales(to: scales) }
        }
    }

    private func overflow(_ node: Node, _ mend: String) -> ModelError {
        .invalidRequest(
            "the bias '\(node.inputs[2])' of node '\(node.name)' overflows int32; \(mend), or leave that weight float")
    }

    /// Adds the node's bias in int32 and returns the name under which it is restored. A shared bias is added per reader,
    /// as its scale depends on the reader's input.
    mutating func addBias(of node: Node, _ index: Int) throws(ModelError) -> String? {
        guard let parts = biasParts(of: node, index) else { return nil }
        let scales = parts.scales.map { Float(parts.inputScale * Double($0)) }
        let limit = Double(Int32.max)
        var values: [Int32] = []
        for (channel, value) in parts.bias.floats.enumerated() {
            let steps = value == 0 ? 0 : (Double(value) / Double(scales[channel])).rounded(.toNearestOrEven)
            // Scales are rounded to float32, which can miss the last of 31 bits by some steps.
            guard abs(steps) <= limit * 1.000001 else {
                throw overflow(node, "its scale \(scales[channel]) is too small")
            }
            values.append(Int32(max(-limit, min(limit, steps))))
        }
        let base = node.inputs[2]
        let output = draft.newName("\(base).dequantized")
        let integers = draft.add(
            Tensor(elements: values, elementType: .int32, shape: parts.bias.shape), named: "\(base).quantized")
        draft.addDequantization(
            of: integers, scales: Tensor(scales, shape: parts.bias.shape),
            zeroPoints: Tensor(zeros: parts.bias.shape, elementType: .int32), axis: 0, base: base, output: output)
        return output
    }
}
