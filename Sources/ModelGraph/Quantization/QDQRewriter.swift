import Tensors

/// Writes the QDQ form. A quantized value keeps its name at the DequantizeLinear that restores it, so readers stay as they
/// are; the node that computes it writes `NAME.float` and the integers are `NAME.quantized`. Where only some readers take
/// integers, and for a model input, whose name is fixed, the restored value is `NAME.dequantized` instead.
struct QDQRewriter {
    let graph: Graph
    let target: DeploymentTarget
    let layout: QuantizationLayout
    let activations: [String: ActivationQuantization]
    var weights: [String: QuantizedWeight]
    private let packs: Bool
    var draft: GraphDraft
    private var parameterNames: [String: (scale: String, zeroPoint: String)] = [:]
    /// Names under which values and constants are restored, where these are not their own.
    private var restored: [String: String] = [:]

    init(
        graph: Graph, target: DeploymentTarget, layout: QuantizationLayout,
        activations: [String: ActivationQuantization], weights: [String: QuantizedWeight], packs: Bool
    ) {
        (self.graph, self.target, self.layout) = (graph, target, layout)
        (self.weights, self.packs) = (weights, packs)
        draft = GraphDraft(graph)
        self.activations = layout.clamping(activations, graph)
    }

    /// - Throws: `ModelError.invalidRequest` for a bias that no scale saves and for a constant that is not finite.
    mutating func rewrite() throws(ModelError) -> Graph {
        if target != .tensorrt { try guardBiases() }
        for input in graph.inputs where layout.pointOf[input.name] != nil {
            quantizeBeside(input.name)
        }
        for (name, _) in layout.weights {
            guard let weight = weights[name] else { continue }
            draft.addDequantized(
                StoredWeight(weight, largestCode: target.largestWeightCode), name: name, packs: packs)
        }
        for index in graph.nodes.indices { try rewrite(index) }
        return draft.finished()
    }

    private mutating func rewrite(_ index: Int) throws(ModelError) {
        var node = graph.nodes[index]
        if target != .tensorrt, let bias = try addBias(of: node, index) { node.inputs[2] = bias }
        for position in node.inputs.indices {
            let name = node.inputs[position]
            let read = QuantizationLayout.Read(node: index, input: position)
            if layout.constantReads.contains(read) {
                node.inputs[position] = try restoredConstant(name)
            } else if layout.quantizedReads?.contains(read) ?? true, let value = restored[name], isValue(name) {
                node.inputs[position] = value
            }
        }
        if isRectifierOfCodes(index) {
            // There is an integer kernel for LeakyRelu, and none for Relu by itself.
            node.operatorType = "LeakyRelu"
            node.attributes = ["alpha": .float(0)]
        }
        let quantized = node.outputs.filter { layout.pointOf[$0] != nil }
        guard layout.quantizedReads == nil else {
            draft.nodes.append(node)
            for value in quantized { quantizeBeside(value) }
            return
        }
        let raw = quantized.map { draft.newName("\($0).float") }
        node.outputs = node.outputs.map { output in quantized.firstIndex(of: output).map { raw[$0] } ?? output }
        draft.nodes.append(node)
        for (value, raw) in zip(quantized, raw) { addQuantization(of: value, from: raw, to: value) }
    }

    /// Whether the node is a Relu between quantized values, with no kernel before it to take it in.
    private func isRectifierOfCodes(_ index: Int) -> Bool {
        let node = graph.nodes[index]
        guard layout.quantizedReads == nil, node.domain.isEmpty, node.operatorType == "Relu", node.inputs.count == 1,
            node.outputs.count == 1
        else { return false }
        return layout.pointOf[node.inputs[0]] != nil && layout.pointOf[node.outputs[0]] != nil
            && layout.clampOf[node.outputs[0]] == nil
    }

    private func isValue(_ name: String) -> Bool { graph.initializers[name] == nil }

    private mutating func quantizeBeside(_ value: String) {
        let name = draft.newName("\(value).dequantized")
        addQuantization(of: value, from: value, to: name)
        restored[value] = name
    }

    private mutating func addQuantization(of value: String, from source: String, to target: String) {
        guard let point = layout.pointOf[value], let parameters = activations[point] else {
            preconditionFailure("'\(value)' has no parameters")
        }
        let names: (scale: String, zeroPoint: String)
        if let known = parameterNames[point] {
            names = known
        } else {
            names = (
                draft.add(Tensor([parameters.scale], shape: []), named: "\(point).scale"),
                zeroPoint(of: parameters)
            )
            parameterNames[point] = names
        }
        let integers = draft.newName("\(value).quantized")
        draft.nodes.append(
            Node(
                name: draft.newStepName(), operatorType: "QuantizeLinear",
                inputs: [source, names.scale, names.zeroPoint], outputs: [integers]))
        draft.nodes.append(
            Node(
                name: draft.newStepName(), operatorType: "DequantizeLinear",
                inputs: [integers, names.scale, names.zeroPoint], outputs: [target]))
    }

    /// One tensor for all that have the same.
    private mutating func zeroPoint(of parameters: ActivationQuantization) -> String {
        draft.sharing("zeroPoint.\(parameters.zeroPoint)") { parameters.zeroPointTensor }
    }

    /// A constant of a sum or product in integers; one for all that read it so.
    private mutating func restoredConstant(_ name: String) throws(ModelError) -> String {
        if let known = restored[name] { return known }
        guard let tensor = graph.initializers[name], tensor.elementType == .float32 else { return name }
        let values = tensor.floats
        guard values.allSatisfy(\.isFinite) else {
            throw .invalidRequest("constant '\(name)' is not finite and cannot be quantized; mend the model's weights")
        }
        let parameters = ActivationQuantization(ofConstants: values, storage: target.activationStorage)
        let codes = Tensor(
            elements: values.map(parameters.code), elementType: parameters.storage.elementType, shape: tensor.shape)
        let output = draft.newName("\(name).dequantized")
        let integers = draft.add(codes, named: "\(name).quantized")
        let scale = draft.add(Tensor([parameters.scale], shape: []), named: "\(name).scale")
        let zeroPoint = zeroPoint(of: parameters)
        draft.nodes.append(
            Node(
                name: draft.newStepName(), operatorType: "DequantizeLinear", inputs: [integers, scale, zeroPoint],
                outputs: [output]))
        restored[name] = output
        return output
    }
}

extension ActivationQuantization.Storage {
    var elementType: ElementType { self == .uint8 ? .uint8 : .int8 }
}

extension ActivationQuantization {
    fileprivate var zeroPointTensor: Tensor {
        Tensor(
            elements: [UInt8(truncatingIfNeeded: zeroPoint)], elementType: storage.elementType, shape: [])
    }
}
