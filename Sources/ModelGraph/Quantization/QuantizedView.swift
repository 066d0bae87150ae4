import Tensors

/// A quantized graph as a runtime's fusion rules see it: who dequantizes what a node reads, and who quantizes what it
/// writes.
struct QuantizedView {
    typealias Verdict = (kernel: FusionAudit.Kernel, reason: String?)

    let graph: Graph
    private let producers: [String: Int]
    private let consumers: [String: [(node: Int, input: Int)]]
    private let outputs: Set<String>
    /// Values computed from the inputs, and the float ones of them.
    private let variable: Set<String>
    private let floats: Set<String>
    /// Values of the chain behind a MatMulInteger.
    private var dynamic: Set<String> = []

    init(_ graph: Graph) {
        self.graph = graph
        (producers, consumers, outputs) = (graph.producers, graph.consumers, graph.outputNames)
        var variable = Set(graph.inputs.map(\.name))
        for node in graph.nodes where node.inputs.contains(where: variable.contains) {
            variable.formUnion(node.outputs)
        }
        self.variable = variable
        floats = graph.floatActivations()
        for node in graph.nodes { followDynamic(node) }
    }

    /// What runs the node; nil for nodes that hold no float or coded numbers, compute constants, or convert.
    func verdict(_ index: Int, _ target: DeploymentTarget) -> Verdict? {
        let node = graph.nodes[index]
        guard node.inputs.contains(where: variable.contains), !node.outputs.isEmpty,
            !IntegerOperators.shapeless.contains(node.operatorType),
            !["QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"].contains(node.operatorType)
        else { return nil }
        guard node.domain.isEmpty else { return (.float, "it is no operator of ONNX") }
        if ["MatMulInteger", "ConvInteger", "QLinearConv", "QLinearMatMul"].contains(node.operatorType) {
            return (.integer, nil)
        }
        if node.outputs.contains(where: dynamic.contains) { return (.fused, nil) }
        guard node.inputs.contains(where: floats.contains) || node.outputs.contains(where: floats.contains) else {
            return nil
        }
        if target == .tensorrt { return atInputs(node) }
        return aroundKernels(node)
    }

    // MARK: Rules of ONNX Runtime

    private func aroundKernels(_ node: Node) -> Verdict {
        if IntegerOperators.clamping.contains(node.operatorType), impliedClamp(node) { return (.fused, nil) }
        switch node.operatorType {
        case "ArgMax": return isDequantized(node.inputs[0]) ? (.integer, nil) : (.float, unquantized(node.inputs[0]))
        case "MatMul", "Gemm": return product(node)
        case "Conv":
            if let reason = weightReason(node) { return (.float, reason) }
            if node.inputs.count > 2, !node.inputs[2].isEmpty, !isDequantized(node.inputs[2]) {
                return (.float, "its bias '\(node.inputs[2])' is not in int32")
            }
            return kernel(node, reading: [node.inputs[0]])
        case "Add", "Mul": return kernel(node, reading: node.inputs)
        case "Concat": return kernel(node, reading: node.inputs)
        case let type where IntegerOperators.pooling.union(IntegerOperators.lookups).contains(type):
            return kernel(node, reading: [node.inputs[0]])
        default:
            guard IntegerOperators.moves(node) else { return (.float, "there is no integer kernel for it") }
            return moving(node)
        }
    }

    private func product(_ node: Node) -> Verdict {
        if node.operatorType == "Gemm", node.float("beta") ?? 1 != 1 {
            return (.float, "its beta is not 1")
        }
        guard isDequantized(node.inputs[0]) else {
            guard node.inputs.count > 1, isDequantized(node.inputs[1]), !variable.contains(node.inputs[1]),
                node.operatorType == "MatMul" || node.int("transB") ?? 0 == 0
            else { return (.float, weightReason(node) ?? unquantized(node.inputs[0])) }
            guard node.operatorType != "Gemm" || !graph.fusesWithActivation(node, consumers) else {
                return (.float, "the runtime fuses it with the activation behind it first")
            }
            return (.integerWeights, nil)
        }
        if let reason = weightReason(node) { return (.float, reason) }
        if node.operatorType == "Gemm", node.inputs.count > 2, !node.inputs[2].isEmpty, !isDequantized(node.inputs[2]) {
            return (.float, "its bias '\(node.inputs[2])' is not in int32")
        }
        // Without a QuantizeLinear behind it the kernel writes float32, which is slower and still in integers.
        return (.integer, nil)
    }

    private func kernel(_ node: Node, reading inputs: [String]) -> Verdict {
        if let input = inputs.first(where: { !isDequantized($0) }) { return (.float, unquantized(input)) }
        if let reason = unsettled(node.outputs[0]) { return (.float, reason) }
        return (.integer, nil)
    }

    /// Codes pass through where input and outputs have the same scale and zero point.
    private func moving(_ node: Node) -> Verdict {
        guard let input = dequantizer(node.inputs[0]) else { return (.float, unquantized(node.inputs[0])) }
        for output in node.outputs where !output.isEmpty {
            if let reason = unsettled(output) { return (.float, reason) }
            guard let quantizer = soleReader(output), hasSameSteps(input, quantizer) else {
                return (.float, "'\(output)' has another scale than what it moves")
            }
        }
        return (.moved, nil)
    }

    /// Why what a kernel writes is not quantized at once; nil where it is, perhaps behind a clamp that the range implies.
    private func unsettled(_ value: String) -> String? {
        var value = value
        for _ in 0..<4 {
            guard !outputs.contains(value) else { return "its output '\(value)' is an output of the model in float32" }
            guard let reader = soleReader(value) else { return "several nodes read its float output '\(value)'" }
            if reader.operatorType == "QuantizeLinear" { return nil }
            guard IntegerOperators.clamping.contains(reader.operatorType), let next = reader.outputs.first else {
                return "its output '\(value)' is not quantized"
            }
            guard impliedClamp(reader) else {
                return "'\(reader.name)' behind it cuts off more than the quantized range does"
            }
            value = next
        }
        return "too many clamps follow it"
    }

    /// Whether a Relu or Clip changes nothing, because what reads it is quantized to a range within its bounds.
    private func impliedClamp(_ node: Node) -> Bool {
        guard let bounds = IntegerOperators.bounds(of: node, graph), var output = node.outputs.first else {
            return false
        }
        for _ in 0..<4 {
            guard !outputs.contains(output), let reader = soleReader(output) else { return false }
            if reader.operatorType == "QuantizeLinear" { return parameters(of: reader)?.implies(bounds) ?? false }
            guard impliesNext(reader), let next = reader.outputs.first else { return false }
            output = next
        }
        return false
    }

    /// One step of `impliedClamp` without following further.
    private func impliesNext(_ node: Node) -> Bool {
        guard let bounds = IntegerOperators.bounds(of: node, graph), let output = node.outputs.first,
            let reader = soleReader(output), reader.operatorType == "QuantizeLinear"
        else { return false }
        return parameters(of: reader)?.implies(bounds) ?? false
    }

    // MARK: Rules of TensorRT

    private func atInputs(_ node: Node) -> Verdict {
        switch node.operatorType {
        case "Conv", "Gemm", "MatMul":
            if let input = node.inputs.prefix(2).first(where: { !isDequantized($0) }) {
                return (.float, weightReason(node) ?? unquantized(input))
            }
            return (.integer, nil)
        case "Add":
            let other = node.inputs.first { !isDequantized($0) }
            let source = other.flatMap { producers[$0] }.map { graph.nodes[$0] }
            let fuses = node.inputs.contains(where: isDequantized) && source?.operatorType == "Conv"
            return fuses ? (.fused, nil) : (.float, "no convolution before it takes it in")
        case "Relu", "Clip":
            let source = producers[node.inputs[0]].map { graph.nodes[$0].operatorType }
            return ["Conv", "Gemm", "MatMul", "Add"].contains(source)
                ? (.fused, nil) : (.float, "no kernel before it takes it in")
        default: return (.float, "TensorRT quantizes convolutions and products alone")
        }
    }

    // MARK: What stands before and behind

    private func dequantizer(_ value: String) -> Node? {
        guard let producer = producers[value], graph.nodes[producer].operatorType == "DequantizeLinear" else {
            return nil
        }
        return graph.nodes[producer]
    }

    private func isDequantized(_ value: String) -> Bool { dequantizer(value) != nil }

    private func unquantized(_ value: String) -> String { "its input '\(value)' is not quantized" }

    private func weightReason(_ node: Node) -> String? {
        guard node.inputs.count > 1, !isDequantized(node.inputs[1]) else { return nil }
        let weight = node.inputs[1]
        if graph.initializers[weight] != nil { return "its weight '\(weight)' is float32" }
        return variable.contains(weight)
            ? node.operatorType == "MatMul" ? unquantized(weight) : "its weight is computed, not stored"
            : "its weight '\(weight)' is made float32 when the model is loaded"
    }

    private func soleReader(_ value: String) -> Node? {
        guard let readers = consumers[value], readers.count == 1 else { return nil }
        return graph.nodes[readers[0].node]
    }

    /// Scale and zero point of a quantizer per tensor.
    private func parameters(of node: Node) -> ActivationQuantization? {
        guard node.inputs.count > 2, let scale = graph.initializers[node.inputs[1]],
            let zeroPoint = graph.initializers[node.inputs[2]], scale.elementType == .float32, scale.elementCount == 1,
            zeroPoint.elementCount == 1
        else { return nil }
        switch zeroPoint.elementType {
        case .uint8: return ActivationQuantization(scale: scale.floats[0], zeroPoint: Int32(zeroPoint.bytes[0]))
        case .int8:
            return ActivationQuantization(
                scale: scale.floats[0], zeroPoint: Int32(Int8(bitPattern: zeroPoint.bytes[0])), storage: .int8)
        default: return nil
        }
    }

    private func hasSameSteps(_ left: Node, _ right: Node) -> Bool {
        guard left.inputs.count > 2, right.inputs.count > 2 else { return false }
        return (1...2).allSatisfy { position in
            left.inputs[position] == right.inputs[position]
                || graph.initializers[left.inputs[position]] != nil
                    && graph.initializers[left.inputs[position]] == graph.initializers[right.inputs[position]]
        }
    }

    /// Marks the Cast, the scales and the bias behind a MatMulInteger, which belong to its kernel.
    private mutating func followDynamic(_ node: Node) {
        func type(_ value: String) -> String? { producers[value].map { graph.nodes[$0].operatorType } }
        switch node.operatorType {
        case "Cast" where node.inputs.first.map(type) == "MatMulInteger": dynamic.formUnion(node.outputs)
        case "Mul"
        where node.inputs.contains {
            type($0) == "DynamicQuantizeLinear" || dynamic.contains($0) && type($0) == "Cast"
        }:
            dynamic.formUnion(node.outputs)
        case "Add"
        where node.inputs.contains { dynamic.contains($0) && type($0) == "Mul" }
            && node.inputs.contains { graph.initializers[$0]?.shape.rank == 1 }:
            dynamic.formUnion(node.outputs)
        default: break
        }
    }
}
