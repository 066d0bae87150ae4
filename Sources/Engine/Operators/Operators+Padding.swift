import CTorch
import ModelGraph
import Tensors

// Padding, and blocks between channels and space.
extension Operators {
    static let padding: [String: OperatorDefinition] = [
        "Pad": .one(pad), "DepthToSpace": .one(depthToSpace), "SpaceToDepth": .one(spaceToDepth),
    ]

    static func pad(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        let mode = try mode(
            node, "mode", default: "constant",
            [
                ("constant", CT_PAD_CONSTANT), ("reflect", CT_PAD_REFLECT), ("edge", CT_PAD_EDGE),
                ("wrap", CT_PAD_WRAP),
            ])
        let constant = try known(node, graph, input: 1)
        return { _, x throws(EngineError) in
            let input = try first(x)
            let rank = input.extents.count
            let given = try integers(constant, else: x, 1, node)
            let axes = try wholeNumbers(x, 3, node) ?? (0..<Int64(rank)).map { $0 }
            guard given.count == 2 * axes.count else {
                throw refuse(node, "\(given.count) pads for \(axes.count) axes: each needs two")
            }
            guard given.allSatisfy({ abs(Double($0)) <= Double(ModelLimits.extent) }) else {
                throw refuse(node, "pads above \(ModelLimits.extent)")
            }
            var pads = [Int64](repeating: 0, count: 2 * rank)
            var places: Set<Int> = []
            for (index, axis) in axes.enumerated() {
                let place = try place(node, axis, rank: rank)
                guard places.insert(place).inserted else { throw refuse(node, "axis \(axis) given twice") }
                pads[place] = given[index]
                pads[place + rank] = given[index + axes.count]
            }
            try limit(
                input.extents.indices.map { Int64(input.extents[$0]) + max(0, pads[$0]) + max(0, pads[$0 + rank]) },
                node)
            let value = x.indices.contains(2) ? x[2] : nil
            guard value?.extents.reduce(1, *) ?? 1 == 1 else {
                throw refuse(node, "a constant_value of several values")
            }
            return try TorchTensor(ct_pad(input.handle, pads, mode, value?.handle))
        }
    }

    /// The side of a block. Its area, too, is far below what overflows.
    private static func block(_ node: Node) throws(EngineError) -> Int64 {
        let side = try count(node, "blocksize")
        guard side <= 1 << 15 else { throw refuse(node, "blocksize \(side)") }
        return side
    }

    /// Whether a block's places follow one another within each channel (CRD) or its channels within each place (DCR).
    private static func isChannelFirst(_ node: Node) throws(EngineError) -> Bool {
        try mode(node, "mode", default: "DCR", [("DCR", 0), ("CRD", 1)]) == 1
    }

    static func depthToSpace(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        let (side, isChannelFirst) = (try block(node), try isChannelFirst(node))
        return { _, x throws(EngineError) in
            try TorchTensor(ct_depth_to_space(first(x).handle, side, isChannelFirst))
        }
    }

    static func spaceToDepth(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        let (side, isChannelFirst) = (try block(node), try isChannelFirst(node))
        return { _, x throws(EngineError) in
            try TorchTensor(ct_space_to_depth(first(x).handle, side, isChannelFirst))
        }
    }
}
