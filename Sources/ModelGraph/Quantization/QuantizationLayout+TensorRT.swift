import Tensors

// Where QuantizeLinear and DequantizeLinear stand for TensorRT: at the inputs of convolutions and products alone, and at
// the other input of a sum behind one (NVIDIA, "Working with Quantized Types": Q/DQ placement recommendations).
extension QuantizationLayout {
    mutating func placeAtInputs(_ graph: Graph) {
        let floats = graph.floatActivations()
        let producers = graph.producers
        let shapes = (try? graph.sampleShapes()) ?? [:]
        var reads = Set<Read>()
        for (index, node) in graph.nodes.enumerated() where node.domain.isEmpty && node.outputs.count == 1 {
            guard let first = node.inputs.first, floats.contains(first) else { continue }
            switch node.operatorType {
            case "Conv", "Gemm", "MatMul":
                if let weight = weight(node, graph) {
                    guard node.operatorType == "Conv" || !Self.hasOneRow(shapes[first]) else { continue }
                    weightOfNode[index] = weight
                    reads.insert(Read(node: index, input: 0))
                } else if node.operatorType == "MatMul", node.inputs.count == 2, floats.contains(node.inputs[1]) {
                    reads.formUnion([Read(node: index, input: 0), Read(node: index, input: 1)])
                }
            case "Add":
                guard node.inputs.count == 2, floats.contains(node.inputs[1]) else { continue }
                let isConvolved = node.inputs.map { input in
                    producers[input].map { graph.nodes[$0].operatorType == "Conv" && !readsFloatWeight($0, graph) }
                        ?? false
                }
                // The convolution fuses the sum; what it adds comes in int8. Of two convolutions the first does.
                if isConvolved[0] {
                    reads.insert(Read(node: index, input: 1))
                } else if isConvolved[1] {
                    reads.insert(Read(node: index, input: 0))
                }
            default: continue
            }
        }
        let values = graph.inputs.map(\.name) + graph.nodes.flatMap(\.outputs)
        let read = Set(reads.map { graph.nodes[$0.node].inputs[$0.input] })
        points = values.filter(read.contains)
        for point in points { pointOf[point] = point }
        quantizedReads = reads
    }

    private func readsFloatWeight(_ index: Int, _ graph: Graph) -> Bool {
        graph.nodes[index].inputs.dropFirst().first.map(float.contains) ?? false
    }

    /// Whether a sample has one row: a product of a matrix and a vector is bound by memory, and slower in int8.
    private static func hasOneRow(_ shape: Shape?) -> Bool {
        guard let shape else { return false }
        return shape.dimensions.dropLast().allSatisfy { $0 == 1 }
    }
}

extension Graph {
    /// float32 values that depend on the model's inputs.
    func floatActivations() -> Set<String> {
        var variable = Set(inputs.map(\.name))
        var floats = Set(inputs.filter { $0.elementType == .float32 }.map(\.name))
        for node in nodes where node.inputs.contains(where: variable.contains) {
            variable.formUnion(node.outputs)
            let readsFloat = node.inputs.contains {
                floats.contains($0) || initializers[$0]?.elementType == .float32
            }
            if readsFloat, node.operatorType != "Cast", !IntegerOperators.counting.contains(node.operatorType) {
                floats.formUnion(node.outputs)
            }
        }
        return floats
    }
}
