import CTorch
import ModelGraph
import Tensors

// Operators that transformers need. Shape arithmetic runs on small int64 tensors, which costs nothing beside the layers.
extension Operators {
    static let transformerCompilers: [String: Compiler] = [
        "Erf": unary(ct_erf), "Tanh": unary(ct_tanh), "Sqrt": unary(ct_sqrt), "Sigmoid": unary(ct_sigmoid),
        "Exp": unary(ct_exp), "Log": unary(ct_log), "Neg": unary(ct_neg), "Pow": binary(ct_pow),
        "LayerNormalization": layerNormalization, "Gather": gather, "Concat": concat, "Cast": cast, "Shape": shape,
        "Unsqueeze": unsqueeze, "Squeeze": squeeze, "ReduceMean": reduceMean,
    ]

    private static func layerNormalization(_ node: Node, _ graph: Graph) throws(EngineError) -> Perform {
        guard node.int("stash_type") ?? 1 == 1 else { throw refuse(node, "stash_type other than float32") }
        let axis = node.int("axis") ?? -1
        let epsilon = Double(node.float("epsilon") ?? 1e-5)
        return { _, x throws(EngineError) in
            let input = try first(x)
            _ = try place(node, axis, rank: input.extents.count)
            return try TorchTensor(
                ct_layer_norm(input.handle, first(x, 1).handle, optional(x, 2), axis, epsilon))
        }
    }

    private static func gather(_ node: Node, _ graph: Graph) throws(EngineError) -> Perform {
        let axis = node.int("axis") ?? 0
        return { _, x throws(EngineError) in
            let input = try first(x)
            let resolved = try place(node, axis, rank: input.extents.count)
            return try TorchTensor(ct_gather(input.handle, first(x, 1).handle, Int64(resolved)))
        }
    }

    private static func concat(_ node: Node, _ graph: Graph) throws(EngineError) -> Perform {
        guard let axis = node.int("axis") else { throw refuse(node, "a missing axis") }
        return { _, x throws(EngineError) in
            var parts: [OpaquePointer?] = []
            for index in x.indices { parts.append(try first(x, index).handle) }
            return try TorchTensor(ct_concat(parts, Int32(parts.count), axis))
        }
    }

    private static func cast(_ node: Node, _ graph: Graph) throws(EngineError) -> Perform {
        guard let code = node.int("to"), let type = elementTypes[code] else {
            throw refuse(node, "a cast to data type \(node.int("to") ?? 0)")
        }
        return { _, x throws(EngineError) in try TorchTensor(ct_cast(first(x).handle, Int32(type.rawValue))) }
    }

    /// TensorProto.DataType, from the ONNX specification.
    private static let elementTypes: [Int64: ElementType] = [
        1: .float32, 2: .uint8, 3: .int8, 5: .int16, 6: .int32, 7: .int64, 9: .bool, 10: .float16, 11: .float64,
        16: .bfloat16,
    ]

    private static func shape(_ node: Node, _ graph: Graph) throws(EngineError) -> Perform {
        guard node.int("start") ?? 0 == 0, node.attributes["end"] == nil else { throw refuse(node, "start or end") }
        return { _, x throws(EngineError) in
            let extents = try first(x).extents.map(Int64.init)
            return try TorchTensor(Tensor(elements: extents, elementType: .int64, shape: vector(extents.count)))
        }
    }

    private static func vector(_ count: Int) -> Shape {
        guard let shape = try? Shape([count]) else { preconditionFailure("a rank is never negative") }
        return shape
    }

    private static func unsqueeze(_ node: Node, _ graph: Graph) throws(EngineError) -> Perform {
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

    private static func squeeze(_ node: Node, _ graph: Graph) throws(EngineError) -> Perform {
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

    /// Axes are an attribute before opset 18 and an input from then on.
    private static func reduceMean(_ node: Node, _ graph: Graph) throws(EngineError) -> Perform {
        let keeps = node.int("keepdims") ?? 1 != 0
        let skipsEmpty = node.int("noop_with_empty_axes") ?? 0 != 0
        let constant = try graph.opset < 18 ? node.ints("axes") ?? [] : known(node, graph, input: 1)
        return { _, x throws(EngineError) in
            let input = try first(x)
            let isGiven = constant != nil || (x.count > 1 && x[1] != nil)
            let axes = isGiven ? try integers(constant, else: x, 1, node) : []
            if axes.isEmpty, skipsEmpty { return input }
            for axis in axes { _ = try place(node, axis, rank: input.extents.count) }
            return try TorchTensor(ct_mean(input.handle, axes, Int32(axes.count), keeps))
        }
    }

    /// An axis counted from the front.
    private static func place(_ node: Node, _ axis: Int64, rank: Int) throws(EngineError) -> Int {
        let place = axis < 0 ? axis + Int64(rank) : axis
        guard (0..<Int64(rank)).contains(place) else { throw refuse(node, "axis \(axis) of rank \(rank)") }
        return Int(place)
    }
}
