import CTorch
import ModelGraph
import Tensors

// Operators that move elements and compute shapes.
extension Operators {
    static let shapes: [String: OperatorDefinition] = [
        "Flatten": .one(flatten), "Reshape": .one(reshape), "Transpose": .one(transpose), "Identity": .one(identity),
        "Gather": .one(gather), "Concat": .one(concat), "Shape": .one(shape), "Unsqueeze": .one(unsqueeze),
        "Squeeze": .one(squeeze),
    ]

    static func identity(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        { _, x throws(EngineError) in try first(x) }
    }

    static func flatten(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        let axis = Int(node.int("axis") ?? 1)
        return { _, x throws(EngineError) in
            let input = try first(x)
            let extents = input.extents
            let split = axis < 0 ? axis + extents.count : axis
            guard (0...extents.count).contains(split) else {
                throw refuse(node, "axis \(axis) of rank \(extents.count)")
            }
            let dims = [extents[..<split].reduce(1, *), extents[split...].reduce(1, *)].map(Int64.init)
            return try TorchTensor(ct_reshape(input.handle, dims, 2))
        }
    }

    static func reshape(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        let constant = try known(node, graph, input: 1)
        let allowZero = node.int("allowzero") ?? 0 != 0
        return { _, x throws(EngineError) in
            let input = try first(x)
            let extents = input.extents
            let target = try integers(constant, else: x, 1, node)
            var dims = target
            for (axis, extent) in target.enumerated() where extent == 0 && !allowZero {
                guard axis < extents.count else { throw refuse(node, "0 at axis \(axis) of rank \(extents.count)") }
                dims[axis] = Int64(extents[axis])
            }
            return try TorchTensor(ct_reshape(input.handle, dims, Int32(dims.count)))
        }
    }

    static func transpose(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        let permutation = node.ints("perm")
        return { _, x throws(EngineError) in
            let input = try first(x)
            let axes = permutation ?? Array((0..<Int64(input.extents.count)).reversed())
            guard axes.count == input.extents.count else { throw refuse(node, "perm of another rank") }
            return try TorchTensor(ct_transpose(input.handle, axes, Int32(axes.count)))
        }
    }

    static func gather(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        let axis = node.int("axis") ?? 0
        return { _, x throws(EngineError) in
            let input = try first(x)
            let resolved = try place(node, axis, rank: input.extents.count)
            return try TorchTensor(ct_gather(input.handle, first(x, 1).handle, Int64(resolved)))
        }
    }

    static func concat(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        guard let axis = node.int("axis") else { throw refuse(node, "a missing axis") }
        return { _, x throws(EngineError) in
            var parts: [OpaquePointer?] = []
            for index in x.indices { parts.append(try first(x, index).handle) }
            return try TorchTensor(ct_concat(parts, Int32(parts.count), axis))
        }
    }

    static func shape(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        guard node.int("start") ?? 0 == 0, node.attributes["end"] == nil else { throw refuse(node, "start or end") }
        return { _, x throws(EngineError) in
            let extents = try first(x).extents.map(Int64.init)
            return try TorchTensor(Tensor(elements: extents, elementType: .int64, shape: vector(extents.count)))
        }
    }

    static func vector(_ count: Int) -> Shape {
        guard let shape = try? Shape([count]) else { preconditionFailure("a rank is never negative") }
        return shape
    }

    static func unsqueeze(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        let constant = try known(node, graph, input: 1)
        return { _, x throws(EngineError) in
            let input = try first(x)
            let axes = try integers(constant, else: x, 1, node)
            let rank = input.extents.count + axes.count
            var places: Set<Int> = []
            for axis in axes { places.insert(try place(node, axis, rank: rank)) }
            guard places.count == axes.count else { throw refuse(node, "an axis given twice") }
            var extents = input.extents[...]
            let dims = (0..<rank).map { places.contains($0) ? 1 : Int64(extents.removeFirst()) }
            return try TorchTensor(ct_reshape(input.handle, dims, Int32(rank)))
        }
    }

    static func squeeze(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        let constant = try known(node, graph, input: 1)
        return { _, x throws(EngineError) in
            let input = try first(x)
            let extents = input.extents
            var places = Set(extents.indices.filter { extents[$0] == 1 })
            if x.count > 1, x[1] != nil {
                places = []
                for axis in try integers(constant, else: x, 1, node) {
                    let place = try place(node, axis, rank: extents.count)
                    guard extents[place] == 1 else { throw refuse(node, "squeezing an axis of \(extents[place])") }
                    places.insert(place)
                }
            }
            let dims = extents.indices.filter { !places.contains($0) }.map { Int64(extents[$0]) }
            return try TorchTensor(ct_reshape(input.handle, dims, Int32(dims.count)))
        }
    }
}
