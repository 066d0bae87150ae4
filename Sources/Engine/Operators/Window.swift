import ModelGraph

/// Strides, pads and dilations of a convolution or pool, as the node gives them.
struct Window {
    enum Padding {
        case explicit([Int64])
        case sameUpper
        case sameLower
    }

    private let strides: [Int64]?
    private let dilations: [Int64]?
    private let padding: Padding?

    /// - Throws: `EngineError.unsupported` for values that mean nothing.
    init(_ node: Node, _ graph: Graph) throws(EngineError) {
        strides = node.ints("strides")
        dilations = node.ints("dilations")
        switch node.string("auto_pad") ?? "NOTSET" {
        case "NOTSET", "": padding = node.ints("pads").map { .explicit($0) }
        case "VALID": padding = nil
        case "SAME_UPPER": padding = .sameUpper
        case "SAME_LOWER": padding = .sameLower
        case let other: throw Operators.refuse(node, "auto_pad '\(other)'")
        }
        for list in [strides, dilations] where list?.contains(where: { $0 < 1 }) == true {
            throw Operators.refuse(node, "strides and dilations below 1")
        }
    }

    /// Everything spelled out for an input: one value an axis, pads as begins then ends.
    func resolved(
        _ node: Node, input: TorchTensor, kernel: [Int64]
    ) throws(EngineError) -> (strides: [Int64], pads: [Int64], dilations: [Int64]) {
        let spatial = kernel.count
        guard input.extents.count == spatial + 2 else {
            throw .operatorFailed(
                operatorType: node.operatorType, node: node.name,
                reason: "the input has \(input.extents.count) axes where \(spatial + 2) are needed")
        }
        let strides = self.strides ?? Array(repeating: 1, count: spatial)
        let dilations = self.dilations ?? Array(repeating: 1, count: spatial)
        var pads = Array(repeating: Int64(0), count: 2 * spatial)
        switch padding {
        case nil: break
        case .explicit(let given)?: pads = given
        case .sameUpper?, .sameLower?:
            for axis in 0..<spatial where strides.count == spatial && dilations.count == spatial {
                let extent = Int64(input.extents[axis + 2])
                let outputs = (extent + strides[axis] - 1) / strides[axis]
                let total = max(0, (outputs - 1) * strides[axis] + (kernel[axis] - 1) * dilations[axis] + 1 - extent)
                let small = total / 2
                let isUpper = if case .sameUpper? = padding { true } else { false }
                pads[axis] = isUpper ? small : total - small
                pads[axis + spatial] = isUpper ? total - small : small
            }
        }
        guard strides.count == spatial, dilations.count == spatial, pads.count == 2 * spatial,
            pads.allSatisfy({ $0 >= 0 })
        else { throw Operators.refuse(node, "strides, pads or dilations that do not fit \(spatial) spatial axes") }
        return (strides, pads, dilations)
    }
}
