import Tensors

/// What a graph does with the indices of an axis of an initializer.
struct AxisRole: OptionSet {
    let rawValue: UInt8
    /// They make a channel: rows of a kernel, a bias, a running mean, an embedding. A dead channel's are zero.
    static let makes = AxisRole(rawValue: 1)
    /// They change a channel that something else makes and stay as they are: a normalisation's scale, shift and variance.
    static let shapes = AxisRole(rawValue: 2)
    /// They multiply a channel: zero where nothing else can silence it, as behind a LayerNormalization.
    static let scales = AxisRole(rawValue: 4)
    /// They read it: the input channels of a layer.
    static let reads = AxisRole(rawValue: 8)
}

/// The roles of every axis of every initializer, also behind operators that only move weights.
struct AxisRoles {
    private var roles: [String: [AxisRole]] = [:]

    subscript(name: String, axis: Int) -> AxisRole {
        guard let own = roles[name], axis < own.count else { return [] }
        return own[axis]
    }

    init(_ graph: Graph, _ inference: ShapeInference, fixed: Set<String>) {
        for node in graph.nodes.reversed() where node.domain.isEmpty {
            guard !ChannelOperators.isHostArithmetic(node, inference) else { continue }
            let view = NodeShapes(
                node: node, opset: graph.opset, shapes: inference.shapes, types: inference.types,
                known: inference.known)
            let isFixed = node.outputs.allSatisfy { $0.isEmpty || fixed.contains($0) }
            for (position, name) in node.inputs.enumerated() where fixed.contains(name) {
                guard let rank = inference.shapes[name]?.rank else { continue }
                if isFixed, let moved = moved(position, rank, view) {
                    add(moved, to: name)
                } else {
                    // A constant that a weight multiplies is an input of a network on constants, not a weight.
                    let isInput =
                        isFixed && position == 0 && ["MatMul", "Gemm", "Conv"].contains(node.operatorType)
                    add(
                        (0..<rank).map { isInput ? [] : Self.direct(position, axis: $0, rank: rank, view) }, to: name)
                }
            }
        }
    }

    private mutating func add(_ found: [AxisRole], to name: String) {
        let own = roles[name] ?? Array(repeating: [], count: found.count)
        roles[name] = zip(own, found).map { $0.union($1) }
    }

    /// The roles an operand of a weight that is computed inherits from it, or nil for an operator that does not pass
    /// axes on.
    private func moved(_ position: Int, _ rank: Int, _ view: NodeShapes) -> [AxisRole]? {
        guard let output = view.node.outputs.first, let after = view.shapes[output], let found = roles[output] else {
            return nil
        }
        switch view.node.operatorType {
        case let type where ChannelOperators.elementwise.contains(type) || type == "DequantizeLinear":
            let shift = after.rank - rank
            guard shift >= 0, type != "DequantizeLinear" || position == 0 else { return nil }
            return (0..<rank).map { axis in
                let passed = found[axis + shift]
                guard passed.isDisjoint(with: [.makes, .reads]) else { return passed }
                return passed.union(Self.direct(position, axis: axis, rank: rank, view))
            }
        case "Transpose":
            let order = view.node.ints("perm")?.map(Int.init) ?? Array((0..<rank).reversed())
            var result = [AxisRole](repeating: [], count: rank)
            for (axis, source) in order.enumerated() { result[source] = found[axis] }
            return result
        case "Reshape", "Flatten", "Squeeze", "Unsqueeze":
            guard position == 0, let before = view.shapes[view.node.inputs[0]],
                let blocks = ReshapeBlock.blocks(before.dimensions, after.dimensions)
            else { return nil }
            var result = [AxisRole](repeating: [], count: rank)
            for block in blocks {
                for (place, axis) in block.before.enumerated() {
                    for (other, target) in block.after.enumerated()
                    where block.partsAfter[other].overlaps(block.partsBefore[place]) {
                        result[axis].formUnion(found[target])
                    }
                }
            }
            return result
        case "Concat": return found
        case "Split", "Slice": return position == 0 ? found : nil
        default: return nil
        }
    }

    /// The role of an axis of a weight that an operator reads itself.
    private static func direct(_ position: Int, axis: Int, rank: Int, _ view: NodeShapes) -> AxisRole {
        let node = view.node
        switch node.operatorType {
        case "Conv", "ConvTranspose":
            guard position == 1, let shape = view.shapes[node.inputs[1]] else { return position == 2 ? .makes : [] }
            guard axis < 2 else { return [] }
            if ChannelOperators.isDepthwise(node, weight: shape.dimensions) { return axis == 0 ? .makes : [] }
            return (axis == 0) == (node.operatorType == "Conv") ? .makes : .reads
        case "Gemm":
            guard position < 2 else { return .makes }
            let isTransposed = view.node.int(position == 0 ? "transA" : "transB") ?? 0 != 0
            // A is [M, K] and B [K, N] unless transposed; K is read.
            return (axis == 1) == ((position == 0) != isTransposed) ? .reads : .makes
        case "MatMul":
            let inner = position == 0 ? rank - 1 : max(rank - 2, 0)
            return axis == inner ? .reads : .makes
        case "Einsum":
            guard let equation = try? EinsumEquation(view), axis < equation.terms[position].count else { return [] }
            return equation.output.contains(equation.terms[position][axis]) ? .makes : .reads
        case "BatchNormalization": return position == 3 ? .makes : .shapes
        case "LayerNormalization", "GroupNormalization", "RMSNormalization": return .scales
        case "Add", "Sub", "Sum", "Mean", "Concat": return .makes
        case "Gather": return position == 0 ? .makes : []
        case "Mul": return .scales
        case "LSTM", "GRU", "RNN": return axis == 2 && position == 1 ? .reads : .makes
        case let type where ChannelOperators.elementwise.contains(type):
            return ChannelOperators.operands(node).contains(node.inputs[position]) ? .shapes : []
        case "InstanceNormalization", "QuantizeLinear", "DequantizeLinear", "Softmax", "Tile", "Transpose", "Reshape",
            "Squeeze", "Unsqueeze", "Flatten":
            return position == 0 || node.operatorType.hasSuffix("tion") || node.operatorType.hasSuffix("Linear")
                ? .shapes : []
        default: return []
        }
    }
}
