import Tensors

/// What every value of a graph is known to hold before running: a layer whose weights of an output are all zero gives
/// its bias there, whatever it reads, and that is followed through what comes behind. In a masked graph this is what dead
/// channels emit.
struct ConstantProfiles {
    let structure: ChannelStructure
    private let graph: Graph
    private var profiles: [String: Profile] = [:]
    /// Weights, also those that are only moved.
    private var tensors: [String: Tensor] = [:]

    /// - Parameter graph: the graph of `structure` with other values for its initializers.
    init(_ graph: Graph, _ structure: ChannelStructure) {
        (self.graph, self.structure) = (graph, structure)
        for (name, tensor) in graph.initializers.ordered { tensors[name] = tensor }
        for node in graph.nodes {
            guard !ChannelOperators.isHostArithmetic(node, structure.inference), node.domain.isEmpty,
                let output = node.outputs.first, !output.isEmpty
            else { continue }
            let view = structure.view(node)
            if structure.fixed.contains(output), let moved = moved(node, view) {
                tensors[output] = moved
            } else {
                for (index, output) in node.outputs.enumerated() where !output.isEmpty {
                    let found = profile(view, output: index)
                    profiles[output] = found?.rank == structure.rank(output) ? found?.compressed() : nil
                }
            }
        }
    }

    subscript(value: String) -> Profile { profiles[value] ?? ofWeight(value) }

    /// The values of a weight, or nil for what is computed otherwise than by moving.
    func tensor(_ value: String) -> Tensor? { tensors[value].flatMap { $0.elementType == .float32 ? $0 : nil } }

    private func ofWeight(_ name: String) -> Profile {
        let rank = structure.rank(name)
        guard let tensor = tensor(name), tensor.elementCount <= Profile.limit, tensor.elementCount > 0 else {
            return .unknown(rank: rank)
        }
        return Profile(extents: tensor.shape.dimensions, values: tensor.floats.map(Double.init))
    }

    func input(_ view: NodeShapes, _ position: Int) -> Profile? {
        view.has(position) ? self[view.node.inputs[position]] : nil
    }

    func rank(_ view: NodeShapes, output: Int = 0) -> Int { structure.rank(view.node.outputs[output]) }

    private func profile(_ view: NodeShapes, output: Int) -> Profile? {
        let node = view.node
        if ChannelOperators.elementwise.contains(node.operatorType), output == 0 {
            guard let function = ElementwiseFormulas.function(view) else { return nil }
            return Profile.combine(
                ChannelOperators.operands(node).map { self[$0] }, rank: rank(view), function)
        }
        if node.operatorType == "Split" { return split(view, output: output) }
        guard output == 0 else { return nil }
        return layer(view) ?? normalization(view) ?? layout(view)
    }

    /// A weight in another order or shape.
    private func moved(_ node: Node, _ view: NodeShapes) -> Tensor? {
        guard let source = node.inputs.first.flatMap(tensor), let shape = view.shapes[node.outputs[0]] else {
            return nil
        }
        switch node.operatorType {
        case "Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze": return try? source.reshaped(to: shape)
        case "Cast": return OutputTypes.type(ofOutput: 0, view) == .float32 ? source : nil
        case "Transpose":
            let order = node.ints("perm")?.map(Int.init) ?? Array((0..<shape.rank).reversed())
            return source.transposed(order, to: shape)
        default: return nil
        }
    }

    /// Whether all elements at each index along an axis of a weight are zero, or nil where they are not known.
    func silentLines(_ value: String, axis: Int) -> [Bool]? {
        if let tensor = tensor(value) { return tensor.zeroLines(axis: axis) }
        guard structure.fixed.contains(value) else { return nil }
        let profile = self[value]
        return (0..<structure.extent(value, axis)).map { profile.value(at: $0, axis: axis) == 0 }
    }
}

extension Tensor {
    /// Whether all elements at each index along an axis are zero.
    func zeroLines(axis: Int) -> [Bool] {
        let inner = shape.dimensions[(axis + 1)...].reduce(1, *)
        let depth = shape[axis]
        var lines = Array(repeating: true, count: depth)
        withElements(as: Float.self) { values in
            for outer in 0..<(elementCount / max(1, inner * depth)) {
                for line in 0..<depth where lines[line] {
                    let base = (outer * depth + line) * inner
                    for element in base..<(base + inner) where values[element] != 0 {
                        lines[line] = false
                        break
                    }
                }
            }
        }
        return lines
    }

    /// The axes in another order; `shape` is the result's.
    fileprivate func transposed(_ order: [Int], to shape: Shape) -> Tensor? {
        guard elementType == .float32, order.sorted() == Array(0..<self.shape.rank), shape.rank == order.count else {
            return nil
        }
        var strides = Array(repeating: 1, count: order.count)
        for axis in order.indices.dropLast().reversed() { strides[axis] = strides[axis + 1] * self.shape[axis + 1] }
        let steps = order.map { strides[$0] }
        return withElements(as: Float.self) { source in
            Tensor(float32: shape) { target in
                var index = Array(repeating: 0, count: order.count)
                var place = 0
                for element in target.indices {
                    target[element] = source[place]
                    for axis in index.indices.reversed() {
                        index[axis] += 1
                        place += steps[axis]
                        guard index[axis] == shape[axis] else { break }
                        place -= steps[axis] * shape[axis]
                        index[axis] = 0
                    }
                }
            }
        }
    }
}
