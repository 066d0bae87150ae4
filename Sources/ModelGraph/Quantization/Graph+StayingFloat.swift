import Tensors

extension Graph {
    /// The nodes that compute in float32 when the model is quantized, with the reason; for a model that is quantized
    /// already, those that do. Looked at as `quantizedQDQ` would: normalisations folded, Dropout and Identity dropped.
    func nodesStayingFloat() -> [ModelSummary.NodeGroup] {
        if nodes.contains(where: { $0.operatorType == "DequantizeLinear" }) { return floatNodesOfQuantized() }
        let graph = foldingBatchNormalization()
        let layout = QuantizationLayout(graph)
        let variable = graph.variableFloats()
        return graph.grouped { index, node in
            guard node.inputs.contains(where: variable.contains), !Self.shapeless.contains(node.operatorType) else {
                return nil
            }
            return layout.reasonForFloat(index, node, graph)
        }
    }

    /// Operators that read a value without computing with it.
    private static let shapeless: Set<String> = ["Shape", "Size"]

    /// Values computed from the inputs that hold float numbers.
    private func variableFloats() -> Set<String> {
        var values = Set(inputs.filter { $0.elementType.isFloatingPoint }.map(\.name))
        var variable = Set(inputs.map(\.name))
        for node in nodes where node.inputs.contains(where: variable.contains) {
            variable.formUnion(node.outputs)
            let readsFloat = node.inputs.contains {
                values.contains($0) || initializers[$0]?.elementType.isFloatingPoint == true
            }
            if readsFloat, !["Shape", "Size", "ArgMax", "Equal", "Less", "Greater"].contains(node.operatorType) {
                values.formUnion(node.outputs)
            }
        }
        return values
    }

    /// A node is an integer kernel when what it reads was dequantized just before it, or only moves such values.
    private func floatNodesOfQuantized() -> [ModelSummary.NodeGroup] {
        let producers = self.producers
        let variable = variableFloats()
        func isDequantized(_ value: String) -> Bool {
            guard let producer = producers[value] else { return false }
            return nodes[producer].operatorType == "DequantizeLinear"
        }
        return grouped { _, node in
            guard !["QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"].contains(node.operatorType),
                !Self.shapeless.contains(node.operatorType), node.inputs.contains(where: variable.contains),
                !node.inputs.contains(where: isDequantized), !fusesBehindKernel(node, producers, isDequantized)
            else { return nil }
            return "nothing that it reads is quantized"
        }
    }

    /// Whether the node is a Relu or Clip directly behind an integer kernel.
    private func fusesBehindKernel(
        _ node: Node, _ producers: [String: Int], _ isDequantized: (String) -> Bool
    ) -> Bool {
        guard ["Relu", "Clip"].contains(node.operatorType), let input = node.inputs.first,
            let producer = producers[input]
        else { return false }
        return nodes[producer].inputs.contains(where: isDequantized)
    }
}

extension QuantizationLayout {
    /// Why a node of the folded graph computes in float32, or nil where an integer kernel runs it.
    fileprivate func reasonForFloat(_ index: Int, _ node: Node, _ graph: Graph) -> String? {
        let isPoint = { (value: String) in pointOf[value] != nil }
        switch node.operatorType {
        case "Conv", "Gemm":
            if weightOfNode[index] != nil { return nil }
            let weight = node.inputs.count > 1 ? graph.initializers[node.inputs[1]] : nil
            return weight == nil
                ? "its weight is computed, not stored" : "its attributes or bias have no integer kernel"
        case "MatMul":
            if weightOfNode[index] != nil { return nil }
            return node.inputs.allSatisfy(isPoint) ? nil : "it multiplies by what is neither a matrix nor quantized"
        case "AveragePool", "GlobalAveragePool": return nil
        case "Add":
            return node.inputs.allSatisfy(isPoint) ? nil : "it adds a constant, which integer kernels do not"
        case "Relu", "Clip", "MaxPool", "Flatten", "Reshape", "Transpose", "Squeeze", "Unsqueeze":
            let isQuantized = node.inputs.first.map(isPoint) == true || node.outputs.contains(where: isPoint)
            return isQuantized ? nil : "what it reads is not quantized"
        default: return "there is no integer kernel for it"
        }
    }
}
