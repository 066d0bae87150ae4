import ModelGraph

/// Strides, pads and dilations of a convolution or pool, as the node gives them.
struct Window {
    enum Padding {
        case explicit([Int64])
        case valid
        case sameUpper
        case sameLower
    }

    /// Everything spelled out for one input: a value an axis, pads as begins then ends.
    struct Resolved {
        var strides: [Int64]
        var pads: [Int64]
        var dilations: [Int64]
        /// How many windows there are along each axis.
        var extents: [Int64] = []

        /// Whether ATen can pool by it: equal pads on both sides of at most half a kernel.
        func suitsPooling(kernel: [Int64]) -> Bool {
            pads.prefix(kernel.count) == pads.suffix(kernel.count) && zip(pads, kernel).allSatisfy { 2 * $0 <= $1 }
        }
    }

    private let strides: [Int64]?
    private let dilations: [Int64]?
    let padding: Padding

    /// - Throws: `EngineError.unsupported` for values that mean nothing.
    init(_ node: Node) throws(EngineError) {
        strides = node.ints("strides")
        dilations = node.ints("dilations")
        switch node.string("auto_pad") ?? "NOTSET" {
        case "NOTSET", "": padding = node.ints("pads").map { .explicit($0) } ?? .valid
        case "VALID": padding = .valid
        case "SAME_UPPER": padding = .sameUpper
        case "SAME_LOWER": padding = .sameLower
        case let other: throw Operators.refuse(node, "auto_pad '\(other)'")
        }
        // Within these bounds no sum of products below overflows.
        let sizes = 1...Int64(ModelLimits.extent)
        for list in [strides, dilations] where list?.allSatisfy(sizes.contains) == false {
            throw Operators.refuse(node, "strides or dilations below 1 or above \(sizes.upperBound)")
        }
        if case .explicit(let pads) = padding, !pads.allSatisfy((0...sizes.upperBound).contains) {
            throw Operators.refuse(node, "pads below 0 or above \(sizes.upperBound)")
        }
    }

    /// The kernel an attribute gives.
    static func kernel(_ node: Node) throws(EngineError) -> [Int64] {
        let sizes = 1...Int64(ModelLimits.extent)
        guard let kernel = node.ints("kernel_shape"), (1...3).contains(kernel.count), kernel.allSatisfy(sizes.contains)
        else { throw Operators.refuse(node, "kernel_shape must have one to three positive extents") }
        return kernel
    }

    /// Strides and dilations for an input of that many spatial axes; no pads yet.
    func steps(_ node: Node, input: TorchTensor, kernel: [Int64]) throws(EngineError) -> Resolved {
        let spatial = kernel.count
        guard (1...3).contains(spatial), kernel.allSatisfy({ $0 > 0 }) else {
            throw Operators.refuse(node, "a kernel of extents \(kernel); one to three spatial axes")
        }
        guard input.extents.count == spatial + 2 else {
            throw .operatorFailed(
                operatorType: node.operatorType, node: node.name,
                reason: "the input has \(input.extents.count) axes where \(spatial + 2) are needed")
        }
        let ones = [Int64](repeating: 1, count: spatial)
        let resolved = Resolved(strides: strides ?? ones, pads: [], dilations: dilations ?? ones)
        var fits = resolved.strides.count == spatial && resolved.dilations.count == spatial
        if case .explicit(let pads) = padding { fits = fits && pads.count == 2 * spatial }
        guard fits else {
            throw Operators.refuse(node, "strides, pads or dilations that do not fit \(spatial) spatial axes")
        }
        return resolved
    }

    /// Everything spelled out for the windows of a convolution or pool.
    /// - Parameter ceilMode: whether a last window that is cut by the end counts too. One that would start in the padding
    ///   after the input never does (ONNX since opset 19, ATen always).
    func resolved(
        _ node: Node, input: TorchTensor, kernel: [Int64], ceilMode: Bool = false
    ) throws(EngineError) -> Resolved {
        var resolved = try steps(node, input: input, kernel: kernel)
        let spatial = kernel.count
        resolved.pads = [Int64](repeating: 0, count: 2 * spatial)
        if case .explicit(let pads) = padding { resolved.pads = pads }
        for axis in 0..<spatial {
            let extent = Int64(input.extents[axis + 2])
            let (stride, reach) = (resolved.strides[axis], (kernel[axis] - 1) * resolved.dilations[axis] + 1)
            switch padding {
            case .sameUpper, .sameLower:
                let windows = (extent + stride - 1) / stride
                let total = max(0, (windows - 1) * stride + reach - extent)
                let isUpper = if case .sameUpper = padding { true } else { false }
                resolved.pads[axis] = isUpper ? total / 2 : total - total / 2
                resolved.pads[axis + spatial] = total - resolved.pads[axis]
                resolved.extents.append(windows)
            case .valid, .explicit:
                let begin = resolved.pads[axis]
                let room = extent + begin + resolved.pads[axis + spatial] - reach
                guard room >= 0 else {
                    throw .operatorFailed(
                        operatorType: node.operatorType, node: node.name,
                        reason: "a window of \(reach) does not fit an axis of \(extent)")
                }
                var windows = room / stride + 1
                if ceilMode, room % stride != 0, windows * stride < extent + begin { windows += 1 }
                resolved.extents.append(windows)
            }
        }
        let padded = (0..<spatial).map {
            Int64(input.extents[$0 + 2]) + resolved.pads[$0] + resolved.pads[$0 + spatial]
        }
        try Operators.limit(input.extents.prefix(2).map(Int64.init) + padded, node)
        return resolved
    }
}
