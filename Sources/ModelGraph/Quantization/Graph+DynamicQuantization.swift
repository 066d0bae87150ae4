import Tensors

extension Graph {
    /// The graph with MatMul and Gemm in integers whose activations are quantized as they come: DynamicQuantizeLinear,
    /// MatMulInteger, then the scales and the bias in float32. ONNX Runtime fuses the chain into DynamicQuantizeMatMul. The
    /// result keeps its name; int8 weights, because uint8 ones are slow (METHODS "Quantization").
    func quantizingDynamically(
        _ weights: [String: QuantizedWeight], _ layout: QuantizationLayout, packs: Bool
    ) -> Graph {
        var writer = DynamicWriter(graph: self, weights: weights, layout: layout, packs: packs)
        for (index, node) in nodes.enumerated() { writer.write(index, node) }
        return writer.draft.finished()
    }
}

private struct DynamicWriter {
    let graph: Graph
    let weights: [String: QuantizedWeight]
    let layout: QuantizationLayout
    let packs: Bool
    var draft: GraphDraft
    /// What a value is quantized to; several products may read it.
    private var quantized: [String: (codes: String, scale: String, zeroPoint: String)] = [:]
    private var matrices: [String: (codes: String, scales: String)] = [:]

    init(graph: Graph, weights: [String: QuantizedWeight], layout: QuantizationLayout, packs: Bool) {
        (self.graph, self.weights, self.layout, self.packs) = (graph, weights, layout, packs)
        draft = GraphDraft(graph)
    }

    mutating func write(_ index: Int, _ node: Node) {
        guard let name = layout.weightOfNode[index]?.name, let weight = weights[name] else {
            draft.nodes.append(node)
            return
        }
        let input = quantize(node.inputs[0])
        let matrix = store(name, weight)
        let base = node.outputs[0]
        draft.nodes.append(
            Node(
                name: node.name, operatorType: "MatMulInteger", inputs: [input.codes, matrix.codes, input.zeroPoint],
                outputs: [draft.newName("\(base).integers")]))
        let sums = draft.nodes[draft.nodes.count - 1].outputs[0]
        let floats = draft.cast(sums, to: .float32, output: "\(base).sums")
        let scale = draft.add("Mul", [input.scale, matrix.scales], output: "\(base).scale")
        let bias =
            node.operatorType == "Gemm" && node.inputs.count > 2 && !node.inputs[2].isEmpty ? node.inputs[2] : nil
        let product = bias == nil ? base : draft.newName("\(base).product")
        draft.nodes.append(
            Node(name: "\(base).scaled", operatorType: "Mul", inputs: [floats, scale], outputs: [product]))
        guard let bias else { return }
        draft.nodes.append(
            Node(name: "\(base).biased", operatorType: "Add", inputs: [product, bias], outputs: [base]))
    }

    private mutating func quantize(_ value: String) -> (codes: String, scale: String, zeroPoint: String) {
        if let known = quantized[value] { return known }
        let names = (
            draft.newName("\(value).quantized"), draft.newName("\(value).scale"), draft.newName("\(value).zeroPoint")
        )
        draft.nodes.append(
            Node(
                name: "\(value).quantize", operatorType: "DynamicQuantizeLinear", inputs: [value],
                outputs: [names.0, names.1, names.2]))
        quantized[value] = names
        return names
    }

    /// The weight as a matrix of inputs times outputs, and its scales.
    private mutating func store(_ name: String, _ weight: QuantizedWeight) -> (codes: String, scales: String) {
        if let known = matrices[name] { return known }
        var stored = StoredWeight(weight, largestCode: DeploymentTarget.dynamic.largestWeightCode)
        if stored.axis == 0 { stored = stored.transposed() }
        let codes = draft.addCodes(stored, name: name, packs: packs)
        let scales = draft.add(Tensor(stored.scales, shape: Shape(vector: stored.scales.count)), named: "\(name).scale")
        matrices[name] = (codes, scales)
        return (codes, scales)
    }
}
