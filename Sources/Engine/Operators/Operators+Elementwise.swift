import CTorch
import ModelGraph
import Tensors

// Operators element by element, and reductions.
extension Operators {
    static let elementwise: [String: OperatorDefinition] = [
        "Relu": .one(unary(ct_relu)), "Clip": .one(clip), "Add": .one(binary(ct_add)), "Sub": .one(binary(ct_sub)),
        "Mul": .one(binary(ct_mul)), "Div": .one(binary(ct_div)), "Erf": .one(unary(ct_erf)),
        "Tanh": .one(unary(ct_tanh)), "Sqrt": .one(unary(ct_sqrt)), "Sigmoid": .one(unary(ct_sigmoid)),
        "Exp": .one(unary(ct_exp)), "Log": .one(unary(ct_log)), "Neg": .one(unary(ct_neg)),
        "Pow": .one(binary(ct_pow)), "Cast": .one(cast), "ReduceMean": .one(reduceMean),
    ]

    static func clip(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        func bound(_ index: Int) throws(EngineError) -> Double? {
            guard node.inputs.indices.contains(index), !node.inputs[index].isEmpty else { return nil }
            guard let tensor = graph.initializers[node.inputs[index]], tensor.elementType == .float32,
                let value = tensor.floats.first
            else { throw refuse(node, "bounds must be constant float32 scalars") }
            return Double(value)
        }
        let (low, high) = (try bound(1), try bound(2))
        return { _, x throws(EngineError) in
            let input = try first(x).handle
            return try TorchTensor(
                withOptional(low) { low in withOptional(high) { high in ct_clip(input, low, high) } })
        }
    }

    static func withOptional<Result>(_ value: Double?, _ body: (UnsafePointer<Double>?) -> Result) -> Result {
        guard let value else { return body(nil) }
        return withUnsafePointer(to: value) { body($0) }
    }

    static func cast(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
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

    /// Axes are an attribute before opset 18 and an input from then on.
    static func reduceMean(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
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
}
