import Tensors

// Resizing, and moving between channels and space; indexed reading.
extension ShapeRules {
    /// Sizes, or floor(extent x scale) in float32 as runtimes compute it.
    static func resize(_ view: NodeShapes) throws(ModelError) -> Shape {
        let x = try view.input(0)
        let axes =
            try view.node.ints("axes").map { values throws(ModelError) in try view.axes(values, rank: x.rank) }
            ?? Array(x.dimensions.indices)
        var extents = x.dimensions
        // Some exporters write what they leave out as a tensor without elements.
        if view.has(3), try view.input(3).elementCount > 0 {
            let sizes = try view.integers(3)
            guard sizes.count == axes.count, sizes.allSatisfy({ (0...Int64(ModelLimits.extent)).contains($0) }) else {
                throw view.invalid("sizes \(sizes) do not fit \(axes.count) axes of \(x)")
            }
            for (axis, size) in zip(axes, try kept(sizes.map(Int.init), axes, view)) { extents[axis] = size }
            return try view.shape(extents)
        }
        guard view.node.string("coordinate_transformation_mode") != "tf_crop_and_resize" else {
            throw view.invalid("tf_crop_and_resize with scales is not supported; give sizes")
        }
        guard let scales = view.value(2)?.reals, scales.count == axes.count,
            scales.allSatisfy({ $0.isFinite && $0 > 0 })
        else { throw view.invalid("it needs sizes, or scales that are positive, known before running") }
        for (axis, scale) in zip(axes, scales) {
            let extent = (Float(x[axis]) * Float(scale)).rounded(.down)
            guard extent <= Float(ModelLimits.extent) else { throw view.invalid("a scale of \(scale) is impossible") }
            extents[axis] = Int(extent)
        }
        return try view.shape(extents)
    }

    /// Sizes under `keep_aspect_ratio_policy`: one scale for all axes, and each size rounded, halves upward.
    private static func kept(_ sizes: [Int], _ axes: [Int], _ view: NodeShapes) throws(ModelError) -> [Int] {
        let policy = view.node.string("keep_aspect_ratio_policy") ?? "stretch"
        guard policy != "stretch" else { return sizes }
        let x = try view.input(0)
        let scales = zip(axes, sizes).map { Double($1) / Double(max(x[$0], 1)) }
        let scale: Double?
        switch policy {
        case "not_larger": scale = scales.min()
        case "not_smaller": scale = scales.max()
        default: throw view.invalid("keep_aspect_ratio_policy '\(policy)' is unknown")
        }
        var result: [Int] = []
        for axis in axes {
            let size = ((scale ?? 1) * Double(x[axis]) + 0.5).rounded(.down)
            guard size <= Double(ModelLimits.extent) else { throw view.invalid("sizes \(sizes) are impossible") }
            result.append(Int(size))
        }
        return result
    }

    static func depthToSpace(_ view: NodeShapes) throws(ModelError) -> Shape {
        let x = try view.input(0)
        let block = try view.small("blocksize", fallback: 0, least: 1)
        // A block is below 2^31, so its square fits.
        guard x.rank == 4, block > 0, x[1] % (block * block) == 0 else {
            throw view.invalid("\(x) does not divide into blocks of \(block)")
        }
        return try view.shape([x[0], x[1] / (block * block), x[2] * block, x[3] * block])
    }

    static func spaceToDepth(_ view: NodeShapes) throws(ModelError) -> Shape {
        let x = try view.input(0)
        let block = try view.small("blocksize", fallback: 0, least: 1)
        guard x.rank == 4, block > 0, x[2] % block == 0, x[3] % block == 0 else {
            throw view.invalid("\(x) does not divide into blocks of \(block)")
        }
        let (channels, overflow) = x[1].multipliedReportingOverflow(by: block * block)
        guard !overflow else { throw view.invalid("its output is too large") }
        return try view.shape([x[0], channels, x[2] / block, x[3] / block])
    }

    /// The last axis of the indices names elements or slices of the data, behind `batch_dims` common axes.
    static func gatherND(_ view: NodeShapes) throws(ModelError) -> Shape {
        let (x, indices) = (try view.input(0), try view.input(1))
        let batch = try view.small("batch_dims", fallback: 0)
        guard indices.rank > 0, batch < indices.rank, let depth = indices.dimensions.last, batch + depth <= x.rank,
            x.dimensions[..<batch] == indices.dimensions[..<batch]
        else { throw view.invalid("indices \(indices) do not fit \(x)") }
        return try view.shape(indices.dimensions.dropLast() + x.dimensions[(batch + depth)...])
    }
}
