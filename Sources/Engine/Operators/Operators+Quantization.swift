import CTorch
import ModelGraph
import Tensors

// Between real numbers and codes, and arithmetic on codes.
extension Operators {
    static let quantization: [String: OperatorDefinition] = [
        "QuantizeLinear": .one(quantize), "DequantizeLinear": .one(dequantize),
        "DynamicQuantizeLinear": .several(quantizeDynamically), "MatMulInteger": .one(integerMatMul),
        "ConvInteger": .one(integerConvolution), "QLinearMatMul": .one(codedMatMul),
        "QLinearConv": .one(codedConvolution),
    ]

    /// Operators whose outputs are codes, or sums of them: no gradient passes.
    static let withoutGradient: Set<String> = Set(quantization.keys).subtracting(["DequantizeLinear"])

    static func quantize(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        let (axis, block) = (node.int("axis") ?? 1, try blockSize(node))
        let wanted = try dataType(node, "output_dtype")
        let precision = Int32(try dataType(node, "precision")?.rawValue ?? 0)
        return { _, x throws(EngineError) in
            let input = try first(x)
            let zeroPoint = x.count > 2 ? x[2] : nil
            let type = zeroPoint?.elementType ?? wanted ?? .uint8
            guard [.uint8, .int8, .int16].contains(type), wanted ?? type == type else {
                throw refuse(node, "codes of type \(type)")
            }
            return try TorchTensor(
                ct_quantize(
                    input.handle, first(x, 1).handle, zeroPoint?.handle, Int32(type.rawValue),
                    counted(axis, rank: input.extents.count), block, precision))
        }
    }

    /// The result has the type of the scale unless the node asks for another.
    static func dequantize(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        let (axis, block) = (node.int("axis") ?? 1, try blockSize(node))
        let wanted = try dataType(node, "output_dtype")
        return { _, x throws(EngineError) in
            let (input, scale) = (try first(x), try first(x, 1))
            guard [.uint8, .int8, .int16, .int32].contains(input.elementType) else {
                throw refuse(node, "codes of type \(input.elementType)")
            }
            let type = wanted ?? scale.elementType
            return try TorchTensor(
                ct_dequantize(
                    input.handle, scale.handle, optional(x, 2), Int32(type.rawValue),
                    counted(axis, rank: input.extents.count), block))
        }
    }

    /// `SimulatedQuantization`: of a weight, which every sample shares, or of values.
    static func fakeQuantize(_ node: Node, _ graph: Graph) throws(EngineError) -> Perform {
        guard node.inputs.count == 2, node.outputs.count == 1, let low = node.int("low"), let high = node.int("high")
        else { throw refuse(node, "an input, a step and the codes low to high are needed") }
        let (axis, zeroPoint) = (node.int("axis") ?? -1, node.int("zero_point") ?? 0)
        let codes: ClosedRange<Int64> = -32768...32767
        guard low < high, codes.contains(low), codes.contains(high), (low...high).contains(zeroPoint) else {
            throw refuse(node, "codes from \(low) to \(high) with zero at \(zeroPoint)")
        }
        let isWeight = graph.initializers[node.inputs[0]] != nil
        return { _, x throws(EngineError) in
            let (input, step) = (try first(x), try first(x, 1))
            return [
                try TorchTensor(
                    ct_fake_quantize(input.handle, step.handle, zeroPoint, low, high, axis, isWeight))
            ]
        }
    }

    static func quantizeDynamically(_ node: Node, _ graph: Graph) throws(EngineError) -> Perform {
        { _, x throws(EngineError) in
            let input = try first(x)
            guard input.elementType == .float32 else { throw refuse(node, "an input of \(input.elementType)") }
            return try filled(3) { ct_quantize_dynamically(input.handle, $0) }
        }
    }

    /// Zero points: one, or one for each row of the left and each column of the right matrix.
    static func integerMatMul(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        { _, x throws(EngineError) in
            let product = try product(x, left: (0, 2), right: (1, 3))
            return try TorchTensor(ct_cast(product.handle, Int32(ElementType.int32.rawValue)))
        }
    }

    static func codedMatMul(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        { _, x throws(EngineError) in
            let product = try product(x, left: (0, 2), right: (3, 5))
            let rank = Int64(product.extents.count)
            return try TorchTensor(
                ct_requantize(
                    product.handle, first(x, 1).handle, rank - 2, first(x, 4).handle, rank - 1, first(x, 6).handle,
                    first(x, 7).handle))
        }
    }

    static func integerConvolution(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        let window = try Window(node)
        return { _, x throws(EngineError) in
            let sums = try convolved(node, window, x, input: (0, 2), kernel: (1, 3))
            return try TorchTensor(ct_cast(sums.handle, Int32(ElementType.int32.rawValue)))
        }
    }

    /// The bias is int32, in steps of input scale times kernel scale.
    static func codedConvolution(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        let window = try Window(node)
        return { _, x throws(EngineError) in
            let sums = try convolved(node, window, x, input: (0, 2), kernel: (3, 5), bias: 8)
            return try TorchTensor(
                ct_requantize(
                    sums.handle, first(x, 1).handle, -1, first(x, 4).handle, 1, first(x, 6).handle, first(x, 7).handle))
        }
    }

    // MARK: Shared parts

    /// An input less its zero point, as float64.
    private static func centered(
        _ x: [TorchTensor?], _ operand: (codes: Int, zeroPoint: Int), axis: Int64
    ) throws(EngineError) -> TorchTensor {
        let codes = try first(x, operand.codes)
        return try TorchTensor(
            ct_centered(codes.handle, optional(x, operand.zeroPoint), counted(axis, rank: codes.extents.count)))
    }

    private static func product(
        _ x: [TorchTensor?], left: (codes: Int, zeroPoint: Int), right: (codes: Int, zeroPoint: Int)
    ) throws(EngineError) -> TorchTensor {
        let (a, b) = (try centered(x, left, axis: -2), try centered(x, right, axis: -1))
        return try TorchTensor(ct_matmul(a.handle, b.handle))
    }

    private static func convolved(
        _ node: Node, _ window: Window, _ x: [TorchTensor?], input: (codes: Int, zeroPoint: Int),
        kernel: (codes: Int, zeroPoint: Int), bias: Int? = nil
    ) throws(EngineError) -> TorchTensor {
        let (values, weights) = (try centered(x, input, axis: -1), try centered(x, kernel, axis: 0))
        let w = try window.resolved(node, input: values, kernel: weights.extents.dropFirst(2).map(Int64.init))
        var offset: TorchTensor?
        if let bias, x.count > bias, x[bias] != nil { offset = try centered(x, (bias, -1), axis: 0) }
        return try TorchTensor(
            ct_convolution(
                values.handle, weights.handle, offset?.handle, w.strides, w.pads, w.dilations, Int32(w.strides.count),
                node.int("group") ?? 1, false))
    }

    private static func blockSize(_ node: Node) throws(EngineError) -> Int64 {
        let size = node.int("block_size") ?? 0
        guard size >= 0 else { throw refuse(node, "a block_size of \(size)") }
        return size
    }

    /// An attribute that names a data type; nil where it leaves the choice to the operator.
    private static func dataType(_ node: Node, _ name: String) throws(EngineError) -> ElementType? {
        guard let code = node.int(name), code != 0 else { return nil }
        guard let type = elementTypes[code] else { throw refuse(node, "\(name) \(code)") }
        return type
    }

    /// An axis counted from the front; whether it exists matters only where the parameter has one value a place.
    private static func counted(_ axis: Int64, rank: Int) -> Int64 { axis < 0 ? axis + Int64(rank) : axis }
}
