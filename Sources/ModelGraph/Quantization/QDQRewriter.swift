import Tensors

/// Writes the QDQ form. A quantized value keeps its name at the DequantizeLinear that restores it, so readers stay as they
/// are; the node that computes it writes `NAME.float` and the integers are `NAME.quantized`. A model input, whose name is
/// fixed, is restored as `NAME.dequantized` instead.
struct QDQRewriter {
    private let graph: Graph
    private let layout: QuantizationLayout
    private let activations: [String: ActivationQuantization]
    private var weights: [String: QuantizedWeight]
    private var nodes: [Node] = []
    private var initializers: NamedTensors
    private var taken: Set<String>
    private var parameterNames: [String: (scale: String, zeroPoint: String)] = [:]

    init(
        graph: Graph, layout: QuantizationLayout, activations: [String: ActivationQuantization],
        weights: [String: QuantizedWeight]
    ) {
        self.graph = graph
        self.layout = layout
        self.activations = activations
        self.weights = weights
        initializers = graph.initializers
        taken = graph.valueNames
    }

    mutating func rewrite() -> Graph {
        guardBiases()
        var renamed: [String: String] = [:]
        for input in graph.inputs where layout.pointOf[input.name] != nil {
            let restored = newName("\(input.name).dequantized")
            addQuantization(of: input.name, from: input.name, to: restored)
            renamed[input.name] = restored
        }
        for (name, _) in layout.weights { addWeight(name) }
        for (index, original) in graph.nodes.enumerated() {
            var node = original
            if let bias = addBias(of: original, index) { node.inputs[2] = bias }
            node.inputs = node.inputs.map { renamed[$0] ?? $0 }
            let quantized = node.outputs.filter { layout.pointOf[$0] != nil }
            let raw = quantized.map { newName("\($0).float") }
            node.outputs = node.outputs.map { output in quantized.firstIndex(of: output).map { raw[$0] } ?? output }
            nodes.append(node)
            for (value, raw) in zip(quantized, raw) { addQuantization(of: value, from: raw, to: value) }
        }
        var result = graph
        result.nodes = nodes
        result.initializers = initializers
        result.dropUnusedInitializers()
        result.orderConstantsLast()
        return result
    }

    private mutating func newName(_ base: String) -> String { Graph.uniqueName(base, taken: &taken) }

    private mutating func addQuantization(of value: String, from source: String, to target: String) {
        guard let point = layout.pointOf[value], let parameters = activations[point] else {
            preconditionFailure("'\(value)' has no parameters")
        }
        let names: (scale: String, zeroPoint: String)
        if let known = parameterNames[point] {
            names = known
        } else {
            names = (newName("\(point).scale"), newName("\(point).zeroPoint"))
            initializers[names.scale] = Tensor([parameters.scale], shape: [])
            initializers[names.zeroPoint] = Tensor([parameters.zeroPoint], shape: [])
            parameterNames[point] = names
        }
        let integers = newName("\(value).quantized")
        nodes.append(
            Node(
                name: "\(value).quantize", operatorType: "QuantizeLinear",
                inputs: [source, names.scale, names.zeroPoint], outputs: [integers]))
        nodes.append(
            Node(
                name: "\(value).dequantize", operatorType: "DequantizeLinear",
                inputs: [integers, names.scale, names.zeroPoint], outputs: [target]))
    }

    /// One DequantizeLinear per weight, however many nodes read it.
    private mutating func addWeight(_ name: String) {
        guard let weight = weights[name] else { return }
        initializers[name] = nil
        addDequantized(
            weight.values, scales: weight.scales, zeroPoints: [UInt8](repeating: 0, count: weight.scales.count), .int8,
            axis: weight.axis, base: name, output: name)
    }

    private mutating func addDequantized(
        _ values: Tensor, scales: [Float], zeroPoints: [UInt8], _ type: ElementType, axis: Int, base: String,
        output: String
    ) {
        let integers = newName("\(base).quantized")
        let scale = newName("\(base).scale")
        let zeroPoint = newName("\(base).zeroPoint")
        guard let shape = try? Shape([scales.count]),
            let zeros = try? Tensor(elementType: type, shape: shape, bytes: zeroPoints)
        else { preconditionFailure("\(zeroPoints.count) bytes of zero points for \(scales.count) scales") }
        initializers[integers] = values
        initializers[scale] = Tensor(scales, shape: shape)
        initializers[zeroPoint] = zeros
        nodes.append(
            Node(
                name: "\(base).dequantize", operatorType: "DequantizeLinear", inputs: [integers, scale, zeroPoint],
                outputs: [output], attributes: ["axis": .int(Int64(axis))]))
    }

    /// What the bias of a node with an integer kernel is made of; nil when it has none or its weight stays float.
    private func biasParts(
        of node: Node, _ index: Int
    ) -> (bias: Tensor, weightName: String, inputScale: Double, weight: QuantizedWeight)? {
        guard node.operatorType != "MatMul", node.inputs.count > 2, let bias = graph.initializers[node.inputs[2]],
            bias.elementType == .float32, let name = layout.weightOfNode[index]?.name, let weight = weights[name],
            bias.shape.dimensions == [weight.scales.count], let point = layout.pointOf[node.inputs[0]],
            let input = activations[point]
        else { return nil }
        return (bias, name, Double(input.scale), weight)
    }

    /// Raises weight scales until every bias fits: s_x s_w >= 2 |b| / (2^32 - 1).
    private mutating func guardBiases() {
        for (index, node) in graph.nodes.enumerated() {
            guard let parts = biasParts(of: node, index) else { continue }
            var scales = parts.weight.scales
            for (channel, value) in parts.bias.floats.enumerated() {
                let least = 2 * Double(value.magnitude) / 4_294_967_295 / parts.inputScale
                // The next float above the bound, so that rounding cannot fall below it; a bias that is not finite is
                // left to the clamp in `addBias`.
                if Double(scales[channel]) < least, Float(least).isFinite { scales[channel] = Float(least).nextUp }
            }
            weights[parts.weightName] = parts.weight.raisingScales(to: scales)
        }
    }

    /// Adds the node's bias in int32 and returns the name under which it is restored. A shared bias is added per reader,
    /// as its scale depends on the reader's input.
    private mutating func addBias(of node: Node, _ index: Int) -> String? {
        guard let parts = biasParts(of: node, index) else { return nil }
        let scales = parts.weight.scales.map { Float(parts.inputScale * Double($0)) }
        let limit = Double(Int32.max)
        let values = parts.bias.floats.enumerated().map { channel, value -> Int32 in
            let steps = (Double(value) / Double(scales[channel])).rounded(.toNearestOrEven)
            return steps.isNaN ? 0 : Int32(max(-limit, min(limit, steps)))
        }
        let base = "\(node.inputs[2])"
        let output = newName("\(base).dequantized")
        let tensor = Tensor(elements: values, elementType: .int32, shape: parts.bias.shape)
        addDequantized(
            tensor, scales: scales, zeroPoints: [UInt8](repeating: 0, count: 4 * scales.count), .int32, axis: 0,
            base: base,
            output: output)
        return output
    }
}
