import Tensors

extension Graph {
    /// Bytes of activations in a forward pass and in a training step, from inferred shapes and types.
    /// - Throws: `ModelError.invalidRequest` beyond 63 bits.
    func activationBytes(
        _ inference: ShapeInference, trainable: Set<String>
    ) throws(ModelError) -> ModelSummary.ActivationBytes {
        var memory = ActivationMemory(inference)
        for input in inputs { memory.root[input.name] = input.name }
        for node in nodes { memory.follow(node, isFixed: { initializers[$0] != nil }) }
        let peak = try memory.peak(nodes, inputs: inputs.map(\.name), outputs: outputs.map(\.name))
        return ModelSummary.ActivationBytes(peak: peak, training: try memory.kept(nodes, trainable: trainable))
    }
}

/// Which values take memory, and when.
private struct ActivationMemory {
    private let inference: ShapeInference
    /// The value whose memory a value uses; initializers have none.
    var root: [String: String] = [:]

    init(_ inference: ShapeInference) { self.inference = inference }

    /// Operators whose output is another view of their input's memory.
    private static let views: Set<String> = ["Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout"]

    mutating func follow(_ node: Node, isFixed: (String) -> Bool) {
        for output in node.outputs where !output.isEmpty {
            if Self.views.contains(node.operatorType), let input = node.inputs.first {
                root[output] = isFixed(input) ? nil : root[input]
            } else {
                root[output] = output
            }
        }
    }

    private func bytes(_ value: String) throws(ModelError) -> Int {
        guard let shape = inference.shapes[value] else { return 0 }
        let width = inference.types[value]?.byteCount ?? 4
        let (bytes, overflow) = shape.elementCount.multipliedReportingOverflow(by: width)
        guard !overflow else { throw Self.tooLarge(value) }
        return bytes
    }

    private func sum(_ a: Int, _ b: Int, _ value: String) throws(ModelError) -> Int {
        let (sum, overflow) = a.addingReportingOverflow(b)
        guard !overflow else { throw Self.tooLarge(value) }
        return sum
    }

    private static func tooLarge(_ value: String) -> ModelError {
        .invalidRequest("the memory of value '\(value)' exceeds 63 bits")
    }

    /// The most bytes that live at one time when each value is freed behind its last reader.
    func peak(_ nodes: [Node], inputs: [String], outputs: [String]) throws(ModelError) -> Int {
        var lastUse: [String: Int] = [:]
        for (index, node) in nodes.enumerated() {
            for value in node.inputs + node.outputs { if let root = root[value] { lastUse[root] = index } }
        }
        for output in outputs { if let root = root[output] { lastUse[root] = nodes.count } }
        var (live, peak) = (0, 0)
        for input in inputs { live = try sum(live, bytes(input), input) }
        peak = live
        for (index, node) in nodes.enumerated() {
            for output in node.outputs where root[output] == output { live = try sum(live, bytes(output), output) }
            peak = max(peak, live)
            for value in Set((node.inputs + node.outputs).compactMap { root[$0] }) where lastUse[value] == index {
                live -= try bytes(value)
            }
        }
        return peak
    }

    /// Operators whose derivative needs what they computed, and not what they read.
    private static let needOutput: Set<String> = ["Relu", "Sigmoid", "Tanh", "Softmax", "LogSoftmax", "Exp", "Sqrt"]
    /// Operators whose derivative needs neither.
    private static let needNothing: Set<String> = [
        "Add", "Sub", "Neg", "Concat", "Split", "Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity",
        "Expand", "Slice", "Pad", "Cast", "CastLike", "ReduceMean", "ReduceSum", "GlobalAveragePool", "Dropout", "Tile",
        "DepthToSpace", "SpaceToDepth", "Shape", "Size", "ConstantOfShape", "Range", "Equal", "Less", "Greater",
    ]

    /// The bytes that derivatives need of all values computed from what training changes.
    func kept(_ nodes: [Node], trainable: Set<String>) throws(ModelError) -> Int {
        var changing = trainable
        var kept = Set<String>()
        var total = 0
        for node in nodes where node.inputs.contains(where: changing.contains) {
            changing.formUnion(node.outputs)
            guard !Self.needNothing.contains(node.operatorType) else { continue }
            for value in Self.needOutput.contains(node.operatorType) ? node.outputs : node.inputs {
                guard let root = root[value], kept.insert(root).inserted else { continue }
                total = try sum(total, bytes(root), root)
            }
        }
        return total
    }
}
