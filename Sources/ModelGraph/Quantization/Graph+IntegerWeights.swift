import Tensors

extension Graph {
    /// The graph with weights as integers that are scaled back to float32: small files, float arithmetic.
    ///
    /// Matrices come through DequantizeLinear, of which ONNX Runtime makes MatMulNBits where the matrix is not transposed;
    /// so that of a Gemm is stored in that order. Other weights are float arithmetic on codes, computed at load time.
    func withIntegerWeights(
        _ weights: [String: QuantizedWeight], _ layout: QuantizationLayout, _ target: DeploymentTarget, packs: Bool
    ) -> Graph {
        var draft = GraphDraft(self)
        let readers = consumers
        let outputs = outputNames
        var untransposed = Set<String>()
        for (name, axis) in layout.weights {
            guard let weight = weights[name] else { continue }
            let stored = StoredWeight(weight, largestCode: target.largestWeightCode)
            let isFourBits = target == .int4
            if weight.values.shape.rank == 2, axis == 1 {
                draft.addDequantized(stored, name: name, packs: packs, asFourBits: isFourBits)
            } else if weight.values.shape.rank == 2, !outputs.contains(name),
                readers[name, default: []].allSatisfy({ layout.weightOfNode[$0.node]?.name == name && $0.input == 1 })
            {
                untransposed.insert(name)
                draft.addDequantized(stored.transposed(), name: name, packs: packs, asFourBits: isFourBits)
            } else if stored.blocks != nil {
                draft.addDequantized(stored, name: name, packs: packs, asFourBits: isFourBits)
            } else {
                draft.addUnfolded(stored, name: name, packs: packs, asFourBits: isFourBits)
            }
        }
        for (index, original) in nodes.enumerated() {
            var node = original
            if let name = layout.weightOfNode[index]?.name, untransposed.contains(name) {
                node.attributes["transB"] = nil
            }
            draft.nodes.append(node)
        }
        return draft.finished()
    }
}
