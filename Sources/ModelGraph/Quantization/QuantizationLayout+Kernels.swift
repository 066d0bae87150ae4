import Tensors

// Where QuantizeLinear and DequantizeLinear stand for runtimes that fuse a kernel with what stands before and behind it.
extension QuantizationLayout {
    mutating func placeAroundKernels(_ graph: Graph) {
        var walk = KernelWalk(graph)
        for (index, node) in graph.nodes.enumerated() where node.domain.isEmpty { walk.visit(index, node, &self) }
        let values = graph.inputs.map(\.name) + graph.nodes.flatMap(\.outputs)
        for value in values where !value.isEmpty {
            let root = walk.root(value)
            guard walk.needed.contains(root) else { continue }
            pointOf[value] = root
            if root == value { points.append(value) }
        }
    }
}

/// One walk in node order that finds which values integer kernels read and write.
private struct KernelWalk {
    let graph: Graph
    let outputs: Set<String>
    let consumers: [String: [(node: Int, input: Int)]]
    let producers: [String: Int]
    /// Values that depend on the model's inputs, and those of them that are float32.
    var variable: Set<String>
    var floats: Set<String>
    var roots: [String: String] = [:]
    /// Roots that are quantized.
    var needed = Set<String>()
    private var fused = Set<Int>()

    init(_ graph: Graph) {
        self.graph = graph
        outputs = graph.outputNames
        consumers = graph.consumers
        producers = graph.producers
        variable = Set(graph.inputs.map(\.name))
        floats = Set(graph.inputs.filter { $0.elementType == .float32 }.map(\.name))
    }

    func root(_ value: String) -> String { roots[value] ?? value }

    mutating func visit(_ index: Int, _ node: Node, _ layout: inout QuantizationLayout) {
        guard let input = node.inputs.first, let output = node.outputs.first,
            node.inputs.contains(where: variable.contains)
        else { return }
        let readsFloat = node.inputs.contains {
            floats.contains($0) || graph.initializers[$0]?.elementType == .float32
        }
        variable.formUnion(node.outputs)
        if readsFloat, node.operatorType != "Cast", !IntegerOperators.counting.contains(node.operatorType) {
            floats.formUnion(node.outputs)
        }
        if isActivation(input), IntegerOperators.moves(node) {
            for output in node.outputs where !output.isEmpty { roots[output] = root(input) }
        } else if let read = kernelReads(index, node, &layout) {
            needed.formUnion(read.map(root))
            needed.insert(settled(output, &layout))
        } else if IntegerOperators.clamping.contains(node.operatorType), !fused.contains(index),
            needed.contains(root(input))
        {
            needed.insert(output)
        }
    }

    /// Where a kernel's result is quantized: behind the Relu or Clip that alone reads it, if there is one.
    private mutating func settled(_ output: String, _ layout: inout QuantizationLayout) -> String {
        guard !outputs.contains(output), let readers = consumers[output], readers.count == 1, readers[0].input == 0
        else { return output }
        let reader = graph.nodes[readers[0].node]
        guard reader.domain.isEmpty, IntegerOperators.bounds(of: reader, graph) != nil,
            let clamped = reader.outputs.first
        else { return output }
        fused.insert(readers[0].node)
        layout.clampOf[clamped] = readers[0].node
        return clamped
    }

    private func isActivation(_ value: String) -> Bool { graph.initializers[value] == nil && floats.contains(value) }

    /// The values that an integer kernel would read, or nil when there is none for this node.
    private func kernelReads(_ index: Int, _ node: Node, _ layout: inout QuantizationLayout) -> [String]? {
        guard node.outputs.count == 1, let first = node.inputs.first else { return nil }
        switch node.operatorType {
        case let type where IntegerOperators.pooling.contains(type):
            return isActivation(first) && isWorthIt(node, layout) ? [first] : nil
        case "Conv", "Gemm", "MatMul":
            guard isActivation(first) else { return nil }
            if let weight = layout.weight(node, graph) {
                layout.weightOfNode[index] = weight
                return [first]
            }
            guard node.operatorType == "MatMul", node.inputs.count == 2, isActivation(node.inputs[1]) else {
                return nil
            }
            return node.inputs
        case "Add" where node.inputs.count == 2 && node.inputs.allSatisfy(isActivation):
            return isWorthIt(node, layout) ? node.inputs : nil
        case "Add", "Mul": return elementwiseReads(index, node, &layout)
        case "Concat": return node.inputs.allSatisfy { isActivation($0) && isQuantized($0) } ? node.inputs : nil
        case let type where IntegerOperators.lookups.contains(type):
            // Probabilities that leave the model would come in steps of 1/256.
            let isLast = outputs.contains(node.outputs[0]) && type != "LeakyRelu"
            return isActivation(first) && isQuantized(first) && !isLast ? [first] : nil
        default: return nil
        }
    }

    /// Where some weights stay float, values are not quantized for a sum or a mean alone.
    private func isWorthIt(_ node: Node, _ layout: QuantizationLayout) -> Bool {
        layout.float.isEmpty || node.inputs.contains(where: isQuantized)
    }

    private func isQuantized(_ value: String) -> Bool { needed.contains(root(value)) }

    /// A sum or product is taken where one operand is quantized anyway and the other is too, or is a gate or a constant:
    /// chains of float arithmetic (Gelu, LayerNormalization in parts) are left to the runtime's own fusions.
    private func elementwiseReads(_ index: Int, _ node: Node, _ layout: inout QuantizationLayout) -> [String]? {
        guard node.inputs.count == 2 else { return nil }
        let activations = node.inputs.filter(isActivation)
        guard activations.contains(where: isQuantized) else { return nil }
        if activations.count == 2 {
            guard activations.allSatisfy({ isQuantized($0) || isGate($0) }) else { return nil }
            return activations
        }
        guard let position = node.inputs.firstIndex(where: { graph.initializers[$0] != nil }),
            let constant = graph.initializers[node.inputs[position]], constant.elementType == .float32,
            constant.elementCount > 0, constant.elementCount > 1 || feedsKernels(node.outputs[0])
        else { return nil }
        layout.constantReads.insert(QuantizationLayout.Read(node: index, input: position))
        return activations
    }

    private func isGate(_ value: String) -> Bool {
        producers[value].map { IntegerOperators.gates.contains(graph.nodes[$0].operatorType) } ?? false
    }

    /// Whether all that reads a value are products and Softmax, perhaps behind a few nodes that move it: a scale of
    /// attention.
    private func feedsKernels(_ value: String, depth: Int = 0) -> Bool {
        guard depth < 8, !outputs.contains(value), let readers = consumers[value], !readers.isEmpty else {
            return false
        }
        return readers.allSatisfy { reader in
            let node = graph.nodes[reader.node]
            if ["MatMul", "Gemm", "Conv", "Softmax"].contains(node.operatorType) { return true }
            return reader.input == 0 && IntegerOperators.moves(node)
                && node.outputs.allSatisfy { feedsKernels($0, depth: depth + 1) }
        }
    }
}
