import CTorch
import ModelGraph
import Tensors

// Between real numbers and codes.
extension Operators {
    static let quantization: [String: OperatorDefinition] = [
        "QuantizeLinear": .one(quantize), "DequantizeLinear": .one(dequantize),
    ]

    static func quantize(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        if node.int("block_size") ?? 0 != 0 { throw refuse(node, "block quantization") }
        let axis = node.int("axis") ?? 1
        return { _, x throws(EngineError) in
            let input = try first(x)
            let scale = try first(x, 1)
            let zeroPoint = x.count > 2 ? x[2] : nil
            let type = zeroPoint?.elementType ?? .uint8
            guard type == .uint8 || type == .int8 else { throw refuse(node, "zero points of type \(type)") }
            return try TorchTensor(
                ct_quantize(
                    input.handle, scale.handle, zeroPoint?.handle, Int32(type.rawValue),
                    resolvedAxis(axis, scale: scale, rank: input.extents.count)))
        }
    }

    static func dequantize(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        if node.int("block_size") ?? 0 != 0 { throw refuse(node, "block quantization") }
        let axis = node.int("axis") ?? 1
        return { _, x throws(EngineError) in
            let (input, scale) = (try first(x), try first(x, 1))
            return try TorchTensor(
                ct_dequantize(
                    input.handle, scale.handle, optional(x, 2),
                    resolvedAxis(axis, scale: scale, rank: input.extents.count)))
        }
    }

    /// -1 for a per-tensor scale, else the axis counted from the front.
    static func resolvedAxis(_ axis: Int64, scale: TorchTensor, rank: Int) -> Int64 {
        if scale.extents.isEmpty { return -1 }
        return axis < 0 ? axis + Int64(rank) : axis
    }
}
