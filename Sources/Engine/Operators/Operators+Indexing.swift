import CTorch
import ModelGraph
import Tensors

// Operators that read and write at computed places.
extension Operators {
    static let indexing: [String: OperatorDefinition] = [
        "Gather": .one(gather), "GatherElements": .one(gatherElements), "GatherND": .one(gatherPlaces),
        "ScatterElements": .one(scatterElements), "ScatterND": .one(scatterPlaces), "OneHot": .one(oneHot),
        "NonZero": .one(unary(ct_non_zero)),
    ]

    static func gather(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        let axis = node.int("axis") ?? 0
        return { _, x throws(EngineError) in
            let input = try first(x)
            let resolved = try place(node, axis, rank: input.extents.count)
            return try TorchTensor(ct_gather(input.handle, first(x, 1).handle, Int64(resolved)))
        }
    }

    static func gatherElements(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        let axis = node.int("axis") ?? 0
        return { _, x throws(EngineError) in
            let input = try first(x)
            let resolved = try place(node, axis, rank: input.extents.count)
            return try TorchTensor(ct_gather_elements(input.handle, first(x, 1).handle, Int64(resolved)))
        }
    }

    static func gatherPlaces(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        let batchAxes = node.int("batch_dims") ?? 0
        return { _, x throws(EngineError) in
            try TorchTensor(ct_gather_places(first(x).handle, first(x, 1).handle, batchAxes))
        }
    }

    static func scatterElements(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        let axis = node.int("axis") ?? 0
        let mode = try scatterMode(node)
        return { _, x throws(EngineError) in
            let input = try first(x)
            let resolved = try place(node, axis, rank: input.extents.count)
            return try TorchTensor(
                ct_scatter_elements(input.handle, first(x, 1).handle, first(x, 2).handle, Int64(resolved), mode))
        }
    }

    static func scatterPlaces(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        let mode = try scatterMode(node)
        return { _, x throws(EngineError) in
            try TorchTensor(ct_scatter_places(first(x).handle, first(x, 1).handle, first(x, 2).handle, mode))
        }
    }

    private static func scatterMode(_ node: Node) throws(EngineError) -> CTScatter {
        switch node.string("reduction") ?? "none" {
        case "none": return CT_SCATTER_SET
        case "add": return CT_SCATTER_ADD
        case "mul": return CT_SCATTER_MUL
        case "max": return CT_SCATTER_MAX
        case "min": return CT_SCATTER_MIN
        case let other: throw refuse(node, "reduction '\(other)'")
        }
    }

    /// Indices outside of -depth ..< depth give a row of the off value.
    static func oneHot(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        let axis = node.int("axis") ?? -1
        return { _, x throws(EngineError) in
            let indices = try first(x)
            let resolved = try place(node, axis, rank: indices.extents.count + 1)
            var depth = 0.0
            try CTorchStatus.check(ct_item(first(x, 1).handle, &depth))
            guard let count = Int64(exactly: depth.rounded(.towardZero)), count >= 0 else {
                throw refuse(node, "a depth of \(depth)")
            }
            try limit(indices.extents.map(Int64.init) + [count], node)
            return try TorchTensor(ct_one_hot(indices.handle, count, first(x, 2).handle, Int64(resolved)))
        }
    }
}
