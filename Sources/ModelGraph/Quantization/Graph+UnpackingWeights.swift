import Tensors

extension Graph {
    /// The graph with its packed weights as int8 initializers, as runtimes have it once they have loaded the file. Knows
    /// the nodes that `quantized(for:)` writes; other arithmetic on constants stays.
    public func unpackingWeights() -> Graph {
        let isPacked = nodes.contains { node in
            node.operatorType == "Gather" && node.inputs.first.map { initializers[$0]?.elementType } == .int8
        }
        guard isPacked else { return self }
        var unpacking = Unpacking(self)
        var graph = self
        graph.nodes = nodes.filter { !unpacking.absorb($0) }
        let read = Set(graph.nodes.flatMap(\.inputs)).union(outputNames)
        for (name, codes) in unpacking.results where read.contains(name) { graph.initializers[name] = codes }
        graph.dropUnusedInitializers()
        graph.orderConstantsLast()
        return graph
    }
}

/// Evaluates the nodes between planes of bits and int8 codes. Nothing grows by more than the 8 codes that a byte holds, so
/// a hostile file costs no more memory than it has bytes, times a constant.
private struct Unpacking {
    private struct Codes {
        var values: [Int32]
        var shape: Shape
        var isInt8: Bool
    }

    private let graph: Graph
    private let outputs: Set<String>
    private var known: [String: Codes] = [:]
    /// int8 values in the order of their nodes.
    private(set) var results: [(name: String, codes: Tensor)] = []

    init(_ graph: Graph) {
        self.graph = graph
        outputs = graph.outputNames
    }

    /// Takes the node in when it only unpacks; false for all others.
    mutating func absorb(_ node: Node) -> Bool {
        guard node.domain.isEmpty, !node.inputs.isEmpty, node.outputs.count == 1, !outputs.contains(node.outputs[0]),
            let codes = value(node)
        else { return false }
        known[node.outputs[0]] = codes
        if codes.isInt8 {
            results.append(
                (
                    node.outputs[0],
                    Tensor(
                        elements: codes.values.map { Int8(truncatingIfNeeded: $0) }, elementType: .int8,
                        shape: codes.shape)
                ))
        }
        return true
    }

    private func value(_ node: Node) -> Codes? {
        switch node.operatorType {
        case "Cast": return cast(node)
        case "Gather": return gather(node)
        case "Reshape":
            guard var codes = known[node.inputs[0]], let extents = integers(node, 1),
                let shape = try? Shape(extents.map { Int(clamping: $0) }),
                shape.elementCount == codes.values.count
            else { return nil }
            codes.shape = shape
            return codes
        case "Add":
            guard node.inputs.count == 2, let left = known[node.inputs[0]], let right = known[node.inputs[1]],
                left.shape == right.shape, !left.isInt8, !right.isInt8
            else { return nil }
            return Codes(values: zip(left.values, right.values).map { $0 &+ $1 }, shape: left.shape, isInt8: false)
        case "Slice":
            guard node.inputs.count == 3, let codes = known[node.inputs[0]], codes.shape.rank == 1,
                let start = integers(node, 1), let end = integers(node, 2), start == [0], end.count == 1,
                let count = Int(exactly: end[0]), (0...codes.values.count).contains(count)
            else { return nil }
            return Codes(values: Array(codes.values[..<count]), shape: Shape(vector: count), isInt8: codes.isInt8)
        default: return nil
        }
    }

    /// Of a plane's bytes, and between int32 and int8.
    private func cast(_ node: Node) -> Codes? {
        let isInt8 = node.int("to") == Int64(OnnxTensor.dataType(.int8).rawValue)
        guard isInt8 || node.int("to") == Int64(OnnxTensor.dataType(.int32).rawValue) else { return nil }
        if var codes = known[node.inputs[0]] {
            codes.isInt8 = isInt8
            return codes
        }
        guard !isInt8, let bytes = graph.initializers[node.inputs[0]], bytes.elementType == .uint8 else { return nil }
        return Codes(values: bytes.bytes.map(Int32.init), shape: bytes.shape, isInt8: false)
    }

    /// Rows of a table of 256, or levels of a codebook.
    private func gather(_ node: Node) -> Codes? {
        guard node.inputs.count == 2, node.int("axis") ?? 0 == 0, let table = graph.initializers[node.inputs[0]],
            table.elementType == .int8, (1...2).contains(table.shape.rank), let indices = known[node.inputs[1]],
            !indices.isInt8
        else { return nil }
        let width = table.shape.rank == 2 ? table.shape[1] : 1
        let rows = table.shape[0]
        guard (1...8).contains(width), indices.values.allSatisfy({ $0 >= 0 && Int($0) < rows }) else { return nil }
        let entries = table.elements(as: Int8.self)
        let extents = indices.shape.dimensions + (table.shape.rank == 2 ? [width] : [])
        guard let shape = try? Shape(extents) else { return nil }
        var values: [Int32] = []
        values.reserveCapacity(indices.values.count * width)
        for index in indices.values {
            for place in 0..<width { values.append(Int32(entries[Int(index) * width + place])) }
        }
        return Codes(values: values, shape: shape, isInt8: true)
    }

    private func integers(_ node: Node, _ position: Int) -> [Int64]? {
        guard node.inputs.count > position, let tensor = graph.initializers[node.inputs[position]],
            tensor.elementType == .int64
        else { return nil }
        return tensor.elements(as: Int64.self)
    }
}
