import CTorch
import ModelGraph
import Tensors

// Convolutions.
extension Operators {
    static let convolutions: [String: OperatorDefinition] = [
        "Conv": .one(convolution), "ConvTranspose": .one(convolutionTranspose),
    ]

    static func convolution(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        let groups = try count(node, "group", default: 1)
        let window = try Window(node)
        let channelsLast = graph.prefersChannelsLast
        return { _, x throws(EngineError) in
            let (input, weight) = (try first(x), try first(x, 1))
            let w = try window.resolved(node, input: input, kernel: kernel(node, weight))
            try limit([Int64(input.extents[0]), Int64(weight.extents[0])] + w.extents, node)
            return try TorchTensor(
                ct_convolution(
                    input.handle, weight.handle, optional(x, 2), w.strides, w.pads, w.dilations, Int32(w.strides.count),
                    groups, channelsLast))
        }
    }

    /// The kernel's extents: the weight's, which an attribute may repeat.
    private static func kernel(_ node: Node, _ weight: TorchTensor) throws(EngineError) -> [Int64] {
        let kernel = weight.extents.dropFirst(2).map(Int64.init)
        if let declared = node.ints("kernel_shape"), declared != kernel {
            throw refuse(node, "kernel_shape \(declared) with a weight of \(weight.extents)")
        }
        return kernel
    }

    static func convolutionTranspose(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        let groups = try count(node, "group", default: 1)
        let window = try Window(node)
        return { _, x throws(EngineError) in
            let (input, weight) = (try first(x), try first(x, 1))
            let kernel = try kernel(node, weight)
            var w = try window.steps(node, input: input, kernel: kernel)
            let reached = try spread(node, window.padding, input: input, kernel: kernel, &w)
            try limit([Int64(input.extents[0]), Int64(weight.extents[1]), groups] + reached, node)
            return try TorchTensor(
                ct_convolution_transpose(
                    input.handle, weight.handle, optional(x, 2), w.strides, w.pads, w.dilations, w.extents,
                    Int32(kernel.count), groups))
        }
    }

    /// The extents of a transposed convolution's output and what is cut before its first place (`pads`), as ONNX's
    /// ConvTranspose gives them.
    /// - Returns: the extents before the cut.
    private static func spread(
        _ node: Node, _ padding: Window.Padding, input: TorchTensor, kernel: [Int64], _ w: inout Window.Resolved
    ) throws(EngineError) -> [Int64] {
        var reached: [Int64] = []
        let added = node.ints("output_padding") ?? Array(repeating: 0, count: kernel.count)
        let wanted = node.ints("output_shape")
        let sizes = 0...Int64(ModelLimits.extent)
        guard added.count == kernel.count, wanted?.count ?? kernel.count == kernel.count,
            (added + (wanted ?? [])).allSatisfy(sizes.contains)
        else { throw refuse(node, "output_padding or output_shape that do not fit \(kernel.count) spatial axes") }
        for axis in kernel.indices {
            let extent = Int64(input.extents[axis + 2])
            let (whole, isHuge) = (w.strides[axis] * max(0, extent - 1)).addingReportingOverflow(
                (kernel[axis] - 1) * w.dilations[axis] + 1 + added[axis])
            guard !isHuge, whole <= sizes.upperBound else { throw refuse(node, "an output axis that long") }
            var result = whole
            switch padding {
            case .explicit(let pads):
                result -= pads[axis] + pads[axis + kernel.count]
                w.pads.append(pads[axis])
            case .valid: w.pads.append(0)
            case .sameUpper, .sameLower: result = extent * w.strides[axis]
            }
            if let wanted { result = wanted[axis] }
            let isSame = if case .valid = padding { false } else if case .explicit = padding { false } else { true }
            if wanted != nil || isSame {
                let total = max(0, whole - result)
                let isUpper = if case .sameUpper = padding { true } else { false }
                if w.pads.count > axis { w.pads.removeLast() }
                w.pads.append(isUpper ? total / 2 : total - total / 2)
            }
            guard sizes.contains(result) else { throw refuse(node, "pads that leave an output axis of \(result)") }
            w.extents.append(result)
            reached.append(max(whole, result))
        }
        return reached
    }
}
