import Tensors

extension Graph {
    /// The graph with weights as integers that are scaled back to float32: small files, float arithmetic.
    ///
    /// Matrices come through DequantizeLinear, of which ONNX Runtime makes MatMulNBits where the matrix is not transposed;
    /// so that of a Gemm is stored in that order. A Gemm before an activation is written as MatMul and Sub, because the runtime
    /// would fuse the two in float32 first, and scale the weights at every run. Other weights are float arithmetic on codes, computed at load time.
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
            if let name = layout.weightOfNode[index]?.name, weights[name] != nil, node.operatorType == "Gemm",
                node.int("transB") ?? 0 == 0, fusesWithActivation(node, readers)
            {
                draft.addProductAndBias(node)
                continue
            }
            draft.nodes.append(node)
        }
        return draft.finished()
    }

    /// Whether ONNX Runtime's GemmActivationFusion takes the node.
    func fusesWithActivation(_ gemm: Node, _ readers: [String: [(node: Int, input: Int)]]) -> Bool {
        let outputs = outputNames
        guard gemm.outputs.count == 1, !outputs.contains(gemm.outputs[0]),
            let sole = readers[gemm.outputs[0]], sole.count == 1
        else { return false }
        let activation = nodes[sole[0].node]
        return activation.domain.isEmpty && IntegerOperators.fusedActivations.contains(activation.operatorType)
            && !activation.outputs.contains(where: outputs.contains)
    }
}

extension GraphDraft {
    /// A Gemm as MatMul less the negated bias: the same numbers, and no pattern that becomes a Gemm again.
    fileprivate mutating func addProductAndBias(_ gemm: Node) {
        var product = Node(
            name: gemm.name, operatorType: "MatMul", inputs: Array(gemm.inputs.prefix(2)), outputs: gemm.outputs)
        guard gemm.inputs.count > 2, let bias = initializers[gemm.inputs[2]], bias.elementType == .float32 else {
            nodes.append(product)
            return
        }
        let negated = sharing("\(gemm.inputs[2]).negated") { Tensor(bias.floats.map { -$0 }, shape: bias.shape) }
        product.outputs = [newName("\(gemm.outputs[0]).product")]
        nodes.append(product)
        nodes.append(
            Node(
                name: "\(gemm.name).bias", operatorType: "Sub", inputs: [product.outputs[0], negated],
                outputs: gemm.outputs))
    }
}
