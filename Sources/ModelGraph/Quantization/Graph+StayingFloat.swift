import Tensors

extension Graph {
    /// The nodes that compute in float32 when the model is quantized for x86, with the reason; for a model that is
    /// quantized already, those that do. Looked at as `quantized(for:)` would: normalisations folded, Dropout and Identity
    /// dropped.
    func nodesStayingFloat() -> [ModelSummary.NodeGroup] {
        if nodes.contains(where: { ["DequantizeLinear", "MatMulInteger"].contains($0.operatorType) }) {
            let audit = fusionAudit(for: .x86)
            var reasons: [String: String] = [:]
            for entry in audit.floatEntries { reasons[entry.name] = entry.reason }
            return grouped { _, node in reasons[node.name] }
        }
        let graph = foldingBatchNormalization()
        let layout = QuantizationLayout(graph)
        let floats = graph.floatActivations()
        return graph.grouped { index, node in
            guard node.inputs.contains(where: floats.contains),
                !IntegerOperators.shapeless.contains(node.operatorType)
            else { return nil }
            return layout.reasonForFloat(index, node, graph)
        }
    }
}

extension QuantizationLayout {
    /// Why a node of the folded graph computes in float32, or nil where an integer kernel runs it.
    fileprivate func reasonForFloat(_ index: Int, _ node: Node, _ graph: Graph) -> String? {
        let isPoint = { (value: String) in pointOf[value] != nil }
        let isKernel = node.inputs.enumerated().allSatisfy { position, value in
            isPoint(value) || constantReads.contains(Read(node: index, input: position))
        }
        switch node.operatorType {
        case "Conv", "Gemm":
            if weightOfNode[index] != nil { return nil }
            let weight = node.inputs.count > 1 ? graph.initializers[node.inputs[1]] : nil
            return weight == nil
                ? "its weight is computed, not stored" : "its attributes or bias have no integer kernel"
        case "MatMul":
            if weightOfNode[index] != nil { return nil }
            return isKernel ? nil : "it multiplies by what is neither a matrix nor quantized"
        case "ArgMax": return node.inputs.first.map(isPoint) == true ? nil : "what it reads is not quantized"
        case let type where IntegerOperators.pooling.contains(type): return nil
        case "Add", "Mul", "Concat":
            return isKernel && node.outputs.contains { isPoint($0) || isFused($0, graph) }
                ? nil : "what it reads is not all quantized"
        case let type where IntegerOperators.lookups.contains(type):
            return isKernel && node.outputs.contains { isPoint($0) || isFused($0, graph) }
                ? nil : "what it reads or writes is not quantized"
        case let type where IntegerOperators.clamping.contains(type) || IntegerOperators.moves(node):
            let isQuantized = node.inputs.first.map(isPoint) == true || node.outputs.contains(where: isPoint)
            return isQuantized ? nil : "what it reads is not quantized"
        default: return "there is no integer kernel for it"
        }
    }

    /// Whether a kernel's raw output is read by the clamp that is fused into it.
    private func isFused(_ value: String, _ graph: Graph) -> Bool {
        clampOf.values.contains { graph.nodes[$0].inputs.first == value }
    }
}
