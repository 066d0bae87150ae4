import CTorch
import ModelGraph
import Tensors

/// Operators that the engine runs, with the opsets whose meaning it implements.
public enum SupportedOperators {
    /// First and last opset of each operator.
    public static let table: [String: ClosedRange<Int64>] = Dictionary(
        uniqueKeysWithValues: Operators.compilers.keys.map { ($0, $0 == "LayerNormalization" ? 17...21 : 13...21) })
}

/// Compiles nodes: reads and checks attributes once, so that running a node is one call into libtorch.
enum Operators {
    typealias Perform = (inout Frame, [TorchTensor?]) throws(EngineError) -> TorchTensor
    typealias Compiler = @Sendable (Node, Graph) throws(EngineError) -> Perform

    static func compile(_ node: Node, graph: Graph) throws(EngineError) -> Perform {
        guard node.domain.isEmpty || node.domain == "ai.onnx", let compiler = compilers[node.operatorType] else {
            throw .unsupported(
                operatorType: node.operatorType, node: node.name,
                detail: "opset \(graph.opset), domain '\(node.domain)'")
        }
        return try compiler(node, graph)
    }

    static let compilers: [String: Compiler] = [
        "Conv": convolution, "Gemm": gemm, "BatchNormalization": batchNormalization, "Clip": clip, "MaxPool": maxPool,
        "AveragePool": averagePool, "Flatten": flatten, "Reshape": reshape, "Dropout": dropout, "Softmax": softmax,
        "Transpose": transpose, "QuantizeLinear": quantize, "DequantizeLinear": dequantize,
        "Relu": unary(ct_relu), "GlobalAveragePool": unary(ct_global_average_pool),
        "Identity": identity,
        "MatMul": binary(ct_matmul), "Add": binary(ct_add), "Sub": binary(ct_sub), "Mul": binary(ct_mul),
        "Div": binary(ct_div),
    ].merging(transformerCompilers) { first, _ in first }

    // MARK: Shared parts

    static func first(_ inputs: [TorchTensor?], _ index: Int = 0) throws(EngineError) -> TorchTensor {
        guard inputs.indices.contains(index), let tensor = inputs[index] else {
            throw .runtime("input \(index) is missing")
        }
        return tensor
    }

    static func optional(_ inputs: [TorchTensor?], _ index: Int) -> OpaquePointer? {
        inputs.indices.contains(index) ? inputs[index]?.handle : nil
    }

    static func unary(_ function: @escaping @Sendable (OpaquePointer?) -> OpaquePointer?) -> Compiler {
        { _, _ throws(EngineError) in { _, x throws(EngineError) in try TorchTensor(function(first(x).handle)) } }
    }

    static func binary(
        _ function: @escaping @Sendable (OpaquePointer?, OpaquePointer?) -> OpaquePointer?
    ) -> Compiler {
        { _, _ throws(EngineError) in
            { _, x throws(EngineError) in try TorchTensor(function(first(x).handle, first(x, 1).handle)) }
        }
    }

    static func refuse(_ node: Node, _ detail: String) -> EngineError {
        .unsupported(operatorType: node.operatorType, node: node.name, detail: detail)
    }

    /// A constant input's integers (shapes, axes).
    static func integers(_ node: Node, _ graph: Graph, input index: Int) throws(EngineError) -> [Int64]? {
        guard node.inputs.indices.contains(index), !node.inputs[index].isEmpty else { return nil }
        guard let tensor = graph.initializers[node.inputs[index]], tensor.elementType == .int64 else {
            throw refuse(node, "input \(index) must be a constant int64 tensor")
        }
        return tensor.elements(as: Int64.self)
    }

    /// An input's integers where the graph fixes them; nil where it computes them.
    static func known(_ node: Node, _ graph: Graph, input index: Int) throws(EngineError) -> [Int64]? {
        guard node.inputs.indices.contains(index), graph.initializers[node.inputs[index]] != nil else { return nil }
        return try integers(node, graph, input: index)
    }

    /// A shape or list of axes: what the graph fixes, else what an input holds now.
    static func integers(
        _ constant: [Int64]?, else inputs: [TorchTensor?], _ index: Int, _ node: Node
    ) throws(EngineError) -> [Int64] {
        if let constant { return constant }
        let tensor = try first(inputs, index)
        guard tensor.elementType == .int64 else { throw refuse(node, "a shape of type \(tensor.elementType)") }
        return try tensor.tensor().elements(as: Int64.self)
    }

    private static func identity(_ node: Node, _ graph: Graph) throws(EngineError) -> Perform {
        { _, x throws(EngineError) in try first(x) }
    }

    // MARK: Layers

    private static func convolution(_ node: Node, _ graph: Graph) throws(EngineError) -> Perform {
        let groups = node.int("group") ?? 1
        let window = try Window(node, graph)
        return { _, x throws(EngineError) in
            let input = try first(x)
            let weight = try first(x, 1)
            let w = try window.resolved(node, input: input, kernel: weight.extents.dropFirst(2).map(Int64.init))
            return try TorchTensor(
                ct_convolution(
                    input.handle, weight.handle, optional(x, 2), w.strides, w.pads, w.dilations, Int32(w.strides.count),
                    groups))
        }
    }

    private static func gemm(_ node: Node, _ graph: Graph) throws(EngineError) -> Perform {
        let alpha = Double(node.float("alpha") ?? 1)
        let beta = Double(node.float("beta") ?? 1)
        let (transA, transB) = (node.int("transA") ?? 0 != 0, node.int("transB") ?? 0 != 0)
        return { _, x throws(EngineError) in
            try TorchTensor(
                ct_gemm(first(x).handle, first(x, 1).handle, optional(x, 2), alpha, beta, transA, transB))
        }
    }

    /// Training mode is the engine's decision, whatever the file says. ONNX's momentum is 1 − PyTorch's.
    private static func batchNormalization(_ node: Node, _ graph: Graph) throws(EngineError) -> Perform {
        let epsilon = Double(node.float("epsilon") ?? 1e-5)
        let update = 1 - Double(node.float("momentum") ?? 0.9)
        return { frame, x throws(EngineError) in
            let (mean, variance) = (try first(x, 3), try first(x, 4))
            let rate = frame.updatesStatistics ? update : 0
            return try TorchTensor(
                ct_batch_norm(
                    first(x).handle, first(x, 1).handle, first(x, 2).handle, mean.handle, variance.handle,
                    frame.training, rate, epsilon))
        }
    }

    private static func clip(_ node: Node, _ graph: Graph) throws(EngineError) -> Perform {
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

    private static func withOptional<Result>(_ value: Double?, _ body: (UnsafePointer<Double>?) -> Result) -> Result {
        guard let value else { return body(nil) }
        return withUnsafePointer(to: value) { body($0) }
    }

    private static func maxPool(_ node: Node, _ graph: Graph) throws(EngineError) -> Perform {
        if node.outputs.count > 1, !node.outputs[1].isEmpty { throw refuse(node, "the Indices output") }
        let (kernel, window, ceilMode) = try pool(node, graph)
        return { _, x throws(EngineError) in
            let input = try first(x)
            let w = try window.resolved(node, input: input, kernel: kernel)
            return try TorchTensor(
                ct_max_pool(input.handle, kernel, w.strides, w.pads, w.dilations, Int32(kernel.count), ceilMode))
        }
    }

    private static func averagePool(_ node: Node, _ graph: Graph) throws(EngineError) -> Perform {
        let (kernel, window, ceilMode) = try pool(node, graph)
        let countPadding = node.int("count_include_pad") ?? 0 != 0
        if node.ints("dilations")?.contains(where: { $0 != 1 }) == true { throw refuse(node, "dilations other than 1") }
        return { _, x throws(EngineError) in
            let input = try first(x)
            let w = try window.resolved(node, input: input, kernel: kernel)
            return try TorchTensor(
                ct_average_pool(
                    input.handle, kernel, w.strides, w.pads, Int32(kernel.count), ceilMode, countPadding))
        }
    }

    private static func pool(_ node: Node, _ graph: Graph) throws(EngineError) -> ([Int64], Window, Bool) {
        guard let kernel = node.ints("kernel_shape"), (1...3).contains(kernel.count), kernel.allSatisfy({ $0 > 0 })
        else {
            throw refuse(node, "kernel_shape must have one to three positive extents")
        }
        if node.int("storage_order") ?? 0 != 0 { throw refuse(node, "storage_order 1") }
        let ceilMode = node.int("ceil_mode") ?? 0 != 0
        if ceilMode, let pads = node.ints("pads"), pads.prefix(kernel.count) != pads.suffix(kernel.count) {
            throw refuse(node, "ceil_mode with asymmetric padding")
        }
        return (kernel, try Window(node, graph), ceilMode)
    }

    // MARK: Shapes

    private static func flatten(_ node: Node, _ graph: Graph) throws(EngineError) -> Perform {
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

    private static func reshape(_ node: Node, _ graph: Graph) throws(EngineError) -> Perform {
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

    private static func transpose(_ node: Node, _ graph: Graph) throws(EngineError) -> Perform {
        let permutation = node.ints("perm")
        return { _, x throws(EngineError) in
            let input = try first(x)
            let axes = permutation ?? Array((0..<Int64(input.extents.count)).reversed())
            guard axes.count == input.extents.count else { throw refuse(node, "perm of another rank") }
            return try TorchTensor(ct_transpose(input.handle, axes, Int32(axes.count)))
        }
    }

    // MARK: The rest

    private static func dropout(_ node: Node, _ graph: Graph) throws(EngineError) -> Perform {
        var ratio = 0.5
        if node.inputs.count > 1, !node.inputs[1].isEmpty {
            guard let value = graph.initializers[node.inputs[1]], value.elementType == .float32,
                let first = value.floats.first
            else { throw refuse(node, "a ratio that is not a constant float32") }
            ratio = Double(first)
        }
        return { frame, x throws(EngineError) in
            frame.training ? try TorchTensor(ct_dropout(first(x).handle, ratio, true)) : try first(x)
        }
    }

    private static func softmax(_ node: Node, _ graph: Graph) throws(EngineError) -> Perform {
        let axis = node.int("axis") ?? -1
        return { _, x throws(EngineError) in try TorchTensor(ct_softmax(first(x).handle, axis)) }
    }

    private static func quantize(_ node: Node, _ graph: Graph) throws(EngineError) -> Perform {
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

    private static func dequantize(_ node: Node, _ graph: Graph) throws(EngineError) -> Perform {
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
    private static func resolvedAxis(_ axis: Int64, scale: TorchTensor, rank: Int) -> Int64 {
        if scale.extents.isEmpty { return -1 }
        return axis < 0 ? axis + Int64(rank) : axis
    }
}
