import CTorch
import ModelGraph
import Tensors

// Operators that move elements and compute shapes.
extension Operators {
    static let shapes: [String: OperatorDefinition] = [
        "Flatten": .one(flatten), "Reshape": .one(reshape), "Transpose": .one(transpose), "Identity": .one(identity),
        "Shape": .one(shape), "Size": .one(size), "Unsqueeze": .one(unsqueeze), "Squeeze": .one(squeeze),
        "Expand": .one(expand), "Tile": .one(tile), "ConstantOfShape": .one(constantOfShape), "Range": .one(range),
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
        let allowZero = flag(node, "allowzero")
        return { _, x throws(EngineError) in
            let input = try first(x)
            let extents = input.extents
            let target = try integers(constant, else: x, 1, node)
            var dims = target
            for (axis, extent) in target.enumerated() where extent == 0 && !allowZero {
                guard axis < extents.count else { throw refuse(node, "0 at axis \(axis) of rank \(extents.count)") }
                dims[axis] = Int64(extents[axis])
            }
            guard !allowZero || !dims.contains(0) || !dims.contains(-1) else {
                throw refuse(node, "0 beside -1 with allowzero: what -1 stands for is open")
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

    /// The extents from axis `start` to before axis `end`, both clamped to the axes there are.
    static func shape(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        let (start, end) = (node.int("start") ?? 0, node.int("end") ?? .max)
        return { _, x throws(EngineError) in
            let extents = try first(x).extents.map(Int64.init)
            let rank = Int64(extents.count)
            let bounds = [start, end].map { Int(min(max($0 < 0 ? $0 + rank : $0, 0), rank)) }
            let kept = bounds[0] < bounds[1] ? Array(extents[bounds[0]..<bounds[1]]) : []
            return try TorchTensor(Tensor(kept, shape: vector(kept.count)))
        }
    }

    static func size(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        { _, x throws(EngineError) in
            try TorchTensor(Tensor([Int64(first(x).extents.reduce(1, *))], shape: []))
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

    /// NumPy's rule, in both directions: an extent of 1 stretches on either side.
    static func expand(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        let constant = try known(node, graph, input: 1)
        return { _, x throws(EngineError) in
            let input = try first(x)
            let target = try integers(constant, else: x, 1, node)
            let extents = input.extents.map(Int64.init)
            let rank = max(extents.count, target.count)
            let pad = { (dims: [Int64]) in Array(repeating: Int64(1), count: rank - dims.count) + dims }
            let dims = zip(pad(extents), pad(target)).map { $0 == 1 ? $1 : $0 }
            guard zip(dims, pad(target)).allSatisfy({ $0 == $1 || $1 == 1 }) else {
                throw refuse(node, "a shape \(target) that \(extents) does not expand to")
            }
            try limit(dims, node)
            return try TorchTensor(ct_expand(input.handle, dims, Int32(rank)))
        }
    }

    static func tile(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        let constant = try known(node, graph, input: 1)
        return { _, x throws(EngineError) in
            let input = try first(x)
            let extents = input.extents.map(Int64.init)
            let repeats = try integers(constant, else: x, 1, node)
            guard repeats.count == extents.count else { throw refuse(node, "repeats of another rank") }
            try limit(extents + repeats, node)
            return try TorchTensor(ct_tile(input.handle, repeats, Int32(repeats.count)))
        }
    }

    static func constantOfShape(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        let constant = try known(node, graph, input: 0)
        let value = node.tensor("value") ?? Tensor([0] as [Float], shape: [1])
        guard value.elementCount == 1 else { throw refuse(node, "a value of \(value.elementCount) elements") }
        let held = try TorchTensor(value)
        return { _, x throws(EngineError) in
            let dims = try integers(constant, else: x, 0, node)
            try limit(dims, node)
            return try TorchTensor(ct_full(held.handle, dims, Int32(dims.count)))
        }
    }

    static func range(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        { _, x throws(EngineError) in
            let (start, limit, delta) = (try first(x), try first(x, 1), try first(x, 2))
            guard start.elementType == limit.elementType, start.elementType == delta.elementType else {
                throw refuse(node, "a start, limit and delta of different types")
            }
            var ends: [Double] = []
            for tensor in [start, limit, delta] {
                var value = 0.0
                try CTorchStatus.check(ct_item(tensor.handle, &value))
                ends.append(value)
            }
            let count = ((ends[1] - ends[0]) / ends[2]).rounded(.up)
            guard ends[2] != 0, count.isFinite, count <= Double(elementLimit) else {
                throw refuse(node, "a range from \(ends[0]) to \(ends[1]) by \(ends[2])")
            }
            return try TorchTensor(ct_range(start.handle, delta.handle, Int64(max(0, count))))
        }
    }

    /// Most elements that a few numbers in a file may ask for.
    static let elementLimit = Int64(Int32.max)

    /// Refuses extents that multiply to more elements than a file may ask for, or are negative.
    static func limit(_ extents: [Int64], _ node: Node) throws(EngineError) {
        var (product, overflow) = (Int64(1), false)
        for extent in extents where extent != 0 {
            let (next, overflows) = product.multipliedReportingOverflow(by: extent)
            (product, overflow) = (next, overflow || overflows || extent < 0)
        }
        guard !overflow, product <= elementLimit, extents.count <= 2 * ModelLimits.rank else {
            throw refuse(node, "a result of extents \(extents)")
        }
    }
}
