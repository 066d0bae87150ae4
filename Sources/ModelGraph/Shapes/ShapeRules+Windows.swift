import Tensors

// Convolution and pooling: operators that slide a window over the spatial axes.
extension ShapeRules {
    /// `x`, `weight` and `bias` are the places of these inputs.
    static func conv(
        _ view: NodeShapes, x inputPlace: Int, weight: Int, bias: Int?
    ) throws(ModelError) -> Shape {
        let (x, w) = (try view.input(inputPlace), try view.input(weight))
        guard x.rank >= 3, w.rank == x.rank else { throw view.invalid("input \(x) and weight \(w) do not fit") }
        let group = view.node.int("group") ?? 1
        guard group >= 1, group <= Int64(max(x[1], 1)), x[1] == w[1] * Int(group), w[0] % Int(group) == 0 else {
            throw view.invalid("\(x[1]) input channels do not fit weight \(w) in \(group) groups")
        }
        let kernel = Array(w.dimensions[2...])
        if let declared = view.node.ints("kernel_shape"), declared != kernel.map(Int64.init) {
            throw view.invalid("kernel_shape \(declared) differs from weight \(w)")
        }
        if let bias, view.has(bias), try view.input(bias).dimensions != [w[0]] {
            throw view.invalid("bias \(try view.input(bias)) does not fit \(w[0]) output channels")
        }
        return try view.shape([x[0], w[0]] + windows(view, x, kernel: kernel, rounding: .down))
    }

    static func pool(_ view: NodeShapes) throws(ModelError) -> Shape {
        let x = try view.input(0)
        guard x.rank >= 3, view.node.ints("kernel_shape") != nil else {
            throw view.invalid("it needs kernel_shape and an input with spatial axes, not \(x)")
        }
        let kernel = try view.small("kernel_shape", count: x.rank - 2, fallback: 1, least: 1)
        let rounding: FloatingPointRoundingRule = view.node.int("ceil_mode") ?? 0 != 0 ? .up : .down
        return try view.shape([x[0], x[1]] + windows(view, x, kernel: kernel, rounding: rounding))
    }

    /// The window's formula turned round: output = stride (input - 1) + output_padding + window - pads.
    static func convTranspose(_ view: NodeShapes) throws(ModelError) -> Shape {
        let (x, w) = (try view.input(0), try view.input(1))
        guard x.rank >= 3, w.rank == x.rank, x[1] == w[0] else {
            throw view.invalid("input \(x) and weight \(w) do not fit")
        }
        let group = try view.small("group", fallback: 1, least: 1)
        let (channels, overflow) = w[1].multipliedReportingOverflow(by: group)
        guard !overflow, x[1] % group == 0 else {
            throw view.invalid("\(x[1]) input channels do not fit weight \(w) in \(group) groups")
        }
        let count = x.rank - 2
        let kernel = Array(w.dimensions[2...])
        if let declared = view.node.ints("kernel_shape"), declared != kernel.map(Int64.init) {
            throw view.invalid("kernel_shape \(declared) differs from weight \(w)")
        }
        if view.has(2), try view.input(2).dimensions != [channels] {
            throw view.invalid("bias \(try view.input(2)) does not fit \(channels) output channels")
        }
        if view.node.ints("output_shape") != nil {
            return try view.shape([x[0], channels] + view.small("output_shape", count: count, fallback: 1, least: 1))
        }
        let strides = try view.small("strides", count: count, fallback: 1, least: 1)
        let dilations = try view.small("dilations", count: count, fallback: 1, least: 1)
        let pads = try view.small("pads", count: 2 * count, fallback: 0)
        let extra = try view.small("output_padding", count: count, fallback: 0)
        let mode = view.node.string("auto_pad") ?? "NOTSET"
        var result: [Int] = []
        for axis in 0..<count {
            // Every factor is below 2^31, so nothing here can overflow 64 bits.
            let window = (kernel[axis] - 1) * dilations[axis] + 1
            switch mode {
            case "SAME_UPPER", "SAME_LOWER": result.append(x[axis + 2] * strides[axis])
            case "NOTSET", "VALID":
                let padding = mode == "VALID" ? 0 : pads[axis] + pads[axis + count]
                result.append(strides[axis] * (x[axis + 2] - 1) + extra[axis] + window - padding)
            default: throw view.invalid("auto_pad '\(mode)' is unknown")
            }
        }
        return try view.shape([x[0], channels] + result)
    }

    static func globalPool(_ view: NodeShapes) throws(ModelError) -> Shape {
        let x = try view.input(0)
        guard x.rank >= 3 else { throw view.invalid("its input \(x) has no spatial axes") }
        return try view.shape([x[0], x[1]] + Array(repeating: 1, count: x.rank - 2))
    }

    /// How many windows fit along each spatial axis.
    private static func windows(
        _ view: NodeShapes, _ x: Shape, kernel: [Int], rounding: FloatingPointRoundingRule
    ) throws(ModelError) -> [Int] {
        let count = x.rank - 2
        let strides = try view.small("strides", count: count, fallback: 1, least: 1)
        let dilations = try view.small("dilations", count: count, fallback: 1, least: 1)
        let pads = try view.small("pads", count: 2 * count, fallback: 0)
        let mode = view.node.string("auto_pad") ?? "NOTSET"
        var result: [Int] = []
        for axis in 0..<count {
            let (extent, stride) = (x[axis + 2], strides[axis])
            // Every factor is below 2^31, so nothing here can overflow 64 bits.
            let window = (kernel[axis] - 1) * dilations[axis] + 1
            switch mode {
            case "SAME_UPPER", "SAME_LOWER":
                result.append((extent + stride - 1) / stride)
                continue
            case "NOTSET", "VALID": break
            default: throw view.invalid("auto_pad '\(mode)' is unknown")
            }
            let (before, after) = mode == "VALID" ? (0, 0) : (pads[axis], pads[axis + count])
            let room = extent + before + after - window
            guard room >= 0, kernel[axis] > 0 else {
                throw view.invalid(
                    "a window of \(window) does not fit extent \(extent) padded by \(before) and \(after)")
            }
            var steps = room / stride
            // A window rounded up must still start inside the input or its leading pad.
            if rounding == .up, room % stride != 0, (steps + 1) * stride < extent + before { steps += 1 }
            result.append(steps + 1)
        }
        return result
    }
}
