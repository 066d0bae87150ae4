import CTorch
import ModelGraph
import Tensors

// Layers with parameters, pooling and what goes with them.
extension Operators {
    static let layers: [String: OperatorDefinition] = [
        "Conv": .one(convolution), "Gemm": .one(gemm), "BatchNormalization": .one(batchNormalization),
        "MaxPool": .one(maxPool), "AveragePool": .one(averagePool),
        "GlobalAveragePool": .one(unary(ct_global_average_pool)), "Dropout": .one(dropout), "Softmax": .one(softmax),
        "MatMul": .one(binary(ct_matmul)), "LayerNormalization": .one(layerNormalization, opsets: 17...25),
    ]

    static func convolution(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        let groups = node.int("group") ?? 1
        let window = try Window(node, graph)
        let channelsLast = graph.prefersChannelsLast
        return { _, x throws(EngineError) in
            let input = try first(x)
            let weight = try first(x, 1)
            let w = try window.resolved(node, input: input, kernel: weight.extents.dropFirst(2).map(Int64.init))
            return try TorchTensor(
                ct_convolution(
                    input.handle, weight.handle, optional(x, 2), w.strides, w.pads, w.dilations, Int32(w.strides.count),
                    groups, channelsLast))
        }
    }

    static func gemm(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        let alpha = Double(node.float("alpha") ?? 1)
        let beta = Double(node.float("beta") ?? 1)
        let (transA, transB) = (node.int("transA") ?? 0 != 0, node.int("transB") ?? 0 != 0)
        return { _, x throws(EngineError) in
            try TorchTensor(
                ct_gemm(first(x).handle, first(x, 1).handle, optional(x, 2), alpha, beta, transA, transB))
        }
    }

    /// Training mode is the engine's decision, whatever the file says. ONNX's momentum is 1 − PyTorch's.
    static func batchNormalization(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
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

    static func maxPool(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        let (kernel, window, ceilMode) = try pool(node, graph)
        return { _, x throws(EngineError) in
            let input = try first(x)
            let w = try window.resolved(node, input: input, kernel: kernel)
            return try TorchTensor(
                ct_max_pool(input.handle, kernel, w.strides, w.pads, w.dilations, Int32(kernel.count), ceilMode))
        }
    }

    static func averagePool(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
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

    static func pool(_ node: Node, _ graph: Graph) throws(EngineError) -> ([Int64], Window, Bool) {
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

    static func dropout(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
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

    static func softmax(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        let axis = node.int("axis") ?? -1
        return { _, x throws(EngineError) in try TorchTensor(ct_softmax(first(x).handle, axis)) }
    }

    static func layerNormalization(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
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
}
