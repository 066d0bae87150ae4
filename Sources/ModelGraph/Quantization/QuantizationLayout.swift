import Tensors

/// Which values of a BN-folded graph are quantized, and with whose parameters.
///
/// Sources: ONNX Runtime's QDQ selectors (which patterns fuse into integer kernels) as summed up in METHODS "Export".
/// A value is a point when an integer kernel reads or writes it. MaxPool, Flatten, Reshape, Transpose, Squeeze and
/// Unsqueeze only move numbers, so their outputs share the parameters of their input (its root). A Relu or Clip that is
/// the only reader of a kernel is fused: the kernel's raw output stays unquantized.
struct QuantizationLayout {
    private(set) var points: [String] = []
    /// For each value that gets a QuantizeLinear: the point whose parameters it takes.
    private(set) var pointOf: [String: String] = [:]
    /// Weights that may become int8, with the axis of their output channels, in the order of use.
    private(set) var weights: [(name: String, axis: Int)] = []
    /// Conv, Gemm and MatMul nodes by index with the name of the weight and its axis.
    private(set) var weightOfNode: [Int: (name: String, axis: Int)] = [:]

    private static let moving: Set<String> = ["MaxPool", "Flatten", "Reshape", "Transpose", "Squeeze", "Unsqueeze"]
    private static let clamping: Set<String> = ["Relu", "Clip"]

    init(_ graph: Graph) {
        let outputs = graph.outputNames
        let consumers = graph.consumers
        // Values that depend on the model's inputs, and those of them that are float32.
        var variable = Set(graph.inputs.map(\.name))
        var floats = Set(graph.inputs.filter { $0.elementType == .float32 }.map(\.name))
        var roots: [String: String] = [:]
        var needed = Set<String>()
        var fused = Set<Int>()
        for (index, node) in graph.nodes.enumerated() where node.domain.isEmpty {
            guard let input = node.inputs.first, let output = node.outputs.first else { continue }
            let readsFloat = floats.contains(input) || graph.initializers[input]?.elementType == .float32
            guard node.inputs.contains(where: variable.contains) else { continue }
            let movesActivation = variable.contains(input) && Self.moving.contains(node.operatorType)
            variable.formUnion(node.outputs)
            if readsFloat, !["Shape", "Cast", "ArgMax", "Size"].contains(node.operatorType) { floats.insert(output) }
            func root(_ value: String) -> String { roots[value] ?? value }
            if movesActivation, node.outputs.count == 1 { roots[output] = root(input) }
            if let activations = Self.kernelInputs(node, graph, floats) {
                needed.formUnion(activations.map(root))
                if let weight = Self.weight(node, graph) { weightOfNode[index] = weight }
                var settled = output
                if !outputs.contains(output), let readers = consumers[output], readers.count == 1,
                    Self.clamping.contains(graph.nodes[readers[0].node].operatorType), readers[0].input == 0
                {
                    fused.insert(readers[0].node)
                    settled = graph.nodes[readers[0].node].outputs[0]
                }
                needed.insert(settled)
            } else if Self.clamping.contains(node.operatorType), !fused.contains(index), needed.contains(root(input)) {
                needed.insert(output)
            }
        }
        let values = graph.inputs.map(\.name) + graph.nodes.flatMap(\.outputs)
        for value in values where !value.isEmpty {
            let root = roots[value] ?? value
            guard needed.contains(root) else { continue }
            pointOf[value] = root
            if root == value { points.append(value) }
        }
        collectWeights(graph)
    }

    /// The values that an integer kernel would read, or nil when there is none for this node.
    private static func kernelInputs(_ node: Node, _ graph: Graph, _ floats: Set<String>) -> [String]? {
        let isActivation = { (name: String) in graph.initializers[name] == nil && floats.contains(name) }
        guard node.outputs.count == 1, let first = node.inputs.first, isActivation(first) else { return nil }
        switch node.operatorType {
        case "AveragePool", "GlobalAveragePool": return [first]
        case "Conv", "Gemm": return weight(node, graph) == nil ? nil : [first]
        case "MatMul":
            guard node.inputs.count == 2 else { return nil }
            if isActivation(node.inputs[1]) { return [first, node.inputs[1]] }
            return weight(node, graph) == nil ? nil : [first]
        case "Add": return node.inputs.count == 2 && isActivation(node.inputs[1]) ? node.inputs : nil
        default: return nil
        }
    }

    /// The float32 initializer that a node multiplies by, with the axis of its output channels.
    private static func weight(_ node: Node, _ graph: Graph) -> (name: String, axis: Int)? {
        guard node.inputs.count >= 2, let tensor = graph.initializers[node.inputs[1]], tensor.elementType == .float32
        else { return nil }
        let name = node.inputs[1]
        switch node.operatorType {
        case "Conv" where tensor.shape.rank >= 3: return (name, 0)
        case "MatMul" where tensor.shape.rank == 2: return (name, 1)
        case "Gemm" where tensor.shape.rank == 2:
            // The integer kernel wants alpha = beta = 1, untransposed activations and a plain bias vector.
            let axis = node.int("transB") ?? 0 != 0 ? 0 : 1
            guard node.float("alpha") ?? 1 == 1, node.float("beta") ?? 1 == 1, node.int("transA") ?? 0 == 0 else {
                return nil
            }
            if node.inputs.count > 2, !node.inputs[2].isEmpty {
                guard graph.initializers[node.inputs[2]]?.shape.dimensions == [tensor.shape[axis]] else { return nil }
            }
            return (name, axis)
        default: return nil
        }
    }

    /// Drops weights that two nodes use along different axes: no one set of scales serves both.
    private mutating func collectWeights(_ graph: Graph) {
        var axes: [String: Int] = [:]
        var torn = Set<String>()
        for index in graph.nodes.indices {
            guard let (name, axis) = weightOfNode[index] else { continue }
            if axes.updateValue(axis, forKey: name) ?? axis != axis { torn.insert(name) }
        }
        var seen = torn
        for index in graph.nodes.indices {
            guard let weight = weightOfNode[index], seen.insert(weight.name).inserted else { continue }
            weights.append(weight)
        }
        weightOfNode = weightOfNode.filter { !torn.contains($0.value.name) }
    }
}

extension Graph {
    /// Activations that need calibration before `quantizedQDQ`, on a BN-folded graph: inputs first, then in node order.
    public func quantizationPoints() -> [String] { QuantizationLayout(self).points }

    /// Weights that `quantizedQDQ` can hold in int8, with the axis of their output channels, in the order of use.
    public func quantizableWeights() -> [(name: String, axis: Int)] { QuantizationLayout(self).weights }
}
