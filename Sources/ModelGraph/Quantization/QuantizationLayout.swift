import Tensors

/// Which values of a graph for inference are quantized, and with whose parameters. It follows from structure alone, so a
/// skeleton has the layout of its model.
///
/// Sources: ONNX Runtime's QDQ selectors (which patterns fuse into integer kernels) as summed up in METHODS "Export" and
/// checked by `Tests/onnxruntime/check_targets.py`. A value is a point when an integer kernel reads or writes it. Operators
/// that only move numbers give their outputs the parameters of their input (its root). A Relu or Clip that is the only
/// reader of a kernel is fused: the kernel's raw output stays unquantized.
struct QuantizationLayout {
    /// One place where a node reads a value.
    struct Read: Hashable {
        let node: Int
        let input: Int
    }

    var points: [String] = []
    /// For each value that gets a QuantizeLinear: the point whose parameters it takes.
    var pointOf: [String: String] = [:]
    /// Weights that may become integers, with the axis of their output channels, in the order of use.
    private(set) var weights: [(name: String, axis: Int)] = []
    /// Weights that are left as they are.
    let float: Set<String>
    /// Conv, Gemm and MatMul nodes by index with the name of the weight and its axis.
    var weightOfNode: [Int: (name: String, axis: Int)] = [:]
    /// Constants that elementwise kernels add or multiply by: they are quantized per tensor for these reads.
    var constantReads: Set<Read> = []
    /// The Relu or Clip that is fused into the kernel before it, by the value it computes.
    var clampOf: [String: Int] = [:]
    /// The reads that take quantized values; nil where all readers of a point do.
    var quantizedReads: Set<Read>?

    /// - Parameter float: weights that stay float: nothing is quantized for their nodes' sake.
    init(_ graph: Graph, target: DeploymentTarget = .x86, float: Set<String> = []) {
        self.float = float
        switch target {
        case .x86, .x86NoVNNI, .arm: placeAroundKernels(graph)
        case .tensorrt: placeAtInputs(graph)
        case .dynamic: collectWeightReaders(graph) { node in ["MatMul", "Gemm"].contains(node.operatorType) }
        case .int4, .int8Weights: collectWeightReaders(graph) { _ in true }
        case .float32, .float16, .bfloat16: break
        }
        collectWeights(graph)
    }

    private mutating func collectWeightReaders(_ graph: Graph, where takes: (Node) -> Bool) {
        let floats = graph.floatActivations()
        for (index, node) in graph.nodes.enumerated()
        where node.domain.isEmpty && node.outputs.count == 1 && takes(node) {
            guard let first = node.inputs.first, floats.contains(first) else { continue }
            if let weight = weight(node, graph) { weightOfNode[index] = weight }
        }
    }

    /// The weight of a node, unless it stays float.
    func weight(_ node: Node, _ graph: Graph) -> (name: String, axis: Int)? {
        Self.weight(node, graph).flatMap { float.contains($0.name) ? nil : $0 }
    }

    /// The float32 initializer that a node multiplies by, with the axis of its output channels.
    static func weight(_ node: Node, _ graph: Graph) -> (name: String, axis: Int)? {
        guard node.inputs.count >= 2, let tensor = graph.initializers[node.inputs[1]], tensor.elementType == .float32
        else { return nil }
        let name = node.inputs[1]
        switch node.operatorType {
        case "Conv" where tensor.shape.rank >= 3: return (name, 0)
        case "MatMul" where tensor.shape.rank == 2 && node.inputs.count == 2: return (name, 1)
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
    /// Activations whose ranges a target needs, on a graph for inference (`foldingBatchNormalization`): inputs first, then
    /// in node order. None for targets that need no calibration.
    /// - Parameter float: weights that stay float, as the excluded ones do.
    public func quantizationPoints(
        for target: DeploymentTarget = .x86, leavingFloat float: Set<String> = []
    ) -> [String] {
        QuantizationLayout(self, target: target, float: float).points
    }

    /// The nodes that multiply by each of `quantizableWeights(for:)`, by index in node order. Others that read such a weight
    /// (scaled, transposed, of a constant) read what it was rounded to.
    public func quantizableReaders(for target: DeploymentTarget = .x86) -> [String: [Int]] {
        let weightOfNode = QuantizationLayout(self, target: target).weightOfNode
        var readers: [String: [Int]] = [:]
        for index in nodes.indices {
            if let name = weightOfNode[index]?.name { readers[name, default: []].append(index) }
        }
        return readers
    }

    /// Weights that a target can hold as integers, with the axis of their output channels, in the order of use.
    public func quantizableWeights(for target: DeploymentTarget = .x86) -> [(name: String, axis: Int)] {
        QuantizationLayout(self, target: target).weights
    }
}
