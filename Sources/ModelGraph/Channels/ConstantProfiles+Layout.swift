import Tensors

// Operators that move, select, pool and reduce.
extension ConstantProfiles {
    func layout(_ view: NodeShapes) -> Profile? {
        let rank = rank(view)
        if view.node.operatorType == "Gather", let silent = silentEmbedding(view, rank) { return silent }
        guard let x = input(view, 0) else { return nil }
        switch view.node.operatorType {
        // What a pool makes of a constant at its padded border is noted where it is absorbed.
        case "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "Resize", "Pad":
            return x.extents.dropFirst(2).allSatisfy { $0 == 1 } ? x : nil
        case "LpPool": return x.extents.dropFirst(2).allSatisfy { $0 == 1 } ? x.mapped { $0 == 0 ? 0 : .nan } : nil
        case "Transpose":
            let order = view.node.ints("perm")?.map(Int.init) ?? Array((0..<rank).reversed())
            return x.rearranged(to: order.map { x.extents[$0] }) { index in
                var source = index
                for (axis, from) in order.enumerated() { source[from] = index[axis] }
                return source
            }
        case "Reshape", "Flatten", "Squeeze", "Unsqueeze": return reshape(view, x)
        case "Concat": return concat(view, rank)
        case "Slice":
            guard let slices = try? ShapeRules.slices(view) else { return nil }
            return slices.enumerated().reduce(x) { result, slice in
                result.taking(
                    (0..<slice.element.count).map { slice.element.start + $0 * slice.element.step }, axis: slice.offset)
            }
        case "Gather": return gather(view, x)
        case "Tile": return x.values.count == 1 ? Profile(repeating: x.values[0], rank: rank) : nil
        case let type where ChannelOperators.reductions.contains(type): return reduce(view, x)
        default: return nil
        }
    }

    func split(_ view: NodeShapes, output: Int) -> Profile? {
        guard let x = input(view, 0), let axis = try? view.axis(view.node.int("axis") ?? 0, rank: x.rank),
            let parts = try? ShapeRules.splitParts(view)
        else { return nil }
        let start = parts[..<output].reduce(0, +)
        return x.taking(Array(start..<(start + parts[output])), axis: axis)
    }

    private func concat(_ view: NodeShapes, _ rank: Int) -> Profile? {
        guard let axis = try? view.axis(view.node.int("axis") ?? 0, rank: rank) else { return nil }
        let parts = view.node.inputs.map { self[$0] }
        var extents = Array(repeating: 1, count: rank)
        for part in parts {
            for other in 0..<rank { extents[other] = max(extents[other], part.extents[other]) }
        }
        // The part and the place within it of each element along the joined axis.
        var sources: [(part: Int, place: Int)] = []
        for (index, name) in view.node.inputs.enumerated() {
            sources += (0..<structure.extent(name, axis)).map { (index, $0) }
        }
        extents[axis] = sources.count
        let spread = parts.map { part in
            part.rearranged(to: extents.indices.map { $0 == axis ? part.extents[axis] : extents[$0] }) { $0 }
        }
        let inner = extents[(axis + 1)...].reduce(1, *)
        let outer = extents[..<axis].reduce(1, *)
        guard spread.allSatisfy({ $0.values.count == outer * $0.extents[axis] * inner }) else { return nil }
        var values: [Double] = []
        for block in 0..<outer {
            for (part, place) in sources {
                let depth = spread[part].extents[axis]
                let base = (block * depth + min(place, depth - 1)) * inner
                values += spread[part].values[base..<(base + inner)]
            }
        }
        return values.count <= Profile.limit ? Profile(extents: extents, values: values) : nil
    }

    /// Axes that are joined or cut are spelled out where one of them is.
    private func reshape(_ view: NodeShapes, _ x: Profile) -> Profile? {
        guard let before = structure.inference.shapes[view.node.inputs[0]],
            let after = structure.inference.shapes[view.node.outputs[0]],
            let blocks = ReshapeBlock.blocks(before.dimensions, after.dimensions)
        else { return nil }
        var (spelled, result) = (x.extents, Array(repeating: 1, count: after.rank))
        for block in blocks where block.before.contains(where: { x.extents[$0] > 1 }) {
            for axis in block.before { spelled[axis] = before[axis] }
            for axis in block.after { result[axis] = after[axis] }
        }
        let spread = x.rearranged(to: spelled) { $0 }
        guard spread.values.count == result.reduce(1, *) else { return nil }
        return Profile(extents: result, values: spread.values)
    }

    private func gather(_ view: NodeShapes, _ x: Profile) -> Profile? {
        guard let axis = try? view.axis(view.node.int("axis") ?? 0, rank: x.rank),
            let indices = view.has(1) ? view.shapes[view.node.inputs[1]] : nil
        else { return nil }
        let extent = structure.extent(view.node.inputs[0], axis)
        var taken = x
        if x.extents[axis] > 1 {
            guard let places = view.value(1)?.integers else { return nil }
            taken = x.taking(places.map { Int(clamping: $0 < 0 ? $0 + Int64(extent) : $0) }, axis: axis)
        }
        var extents = taken.extents
        extents.replaceSubrange(
            axis...axis, with: x.extents[axis] > 1 ? indices.dimensions : indices.dimensions.map { _ in 1 })
        return Profile(extents: extents, values: taken.values)
    }

    /// Rows of a table that are picked by what the input says: known where all have a zero.
    private func silentEmbedding(_ view: NodeShapes, _ rank: Int) -> Profile? {
        guard view.value(1)?.integers == nil, view.node.int("axis") ?? 0 == 0,
            structure.rank(view.node.inputs[0]) == 2, let lines = silentLines(view.node.inputs[0], axis: 1)
        else { return nil }
        return Profile(lines.map { $0 ? 0 : .nan }, axis: rank - 1, rank: rank)
    }

    private func reduce(_ view: NodeShapes, _ x: Profile) -> Profile? {
        guard let axes = ShapeRules.reducedAxes(view), axes.allSatisfy({ x.extents[$0] == 1 }) else { return nil }
        let keeps = view.node.int("keepdims") ?? 1 != 0
        let extents = x.extents.indices.filter { keeps || !axes.contains($0) }.map { x.extents[$0] }
        let isMean = ["ReduceMean", "ReduceMax", "ReduceMin"].contains(view.node.operatorType)
        // Sums and norms depend on how many elements there are, but for nothing at all.
        let isSum = ["ReduceSum", "ReduceL1", "ReduceL2", "ReduceSumSquare"].contains(view.node.operatorType)
        guard isMean || isSum else { return nil }
        return Profile(extents: extents, values: x.values.map { isMean || $0 == 0 ? $0 : .nan })
    }
}

extension Profile {
    func mapped(_ body: (Double) -> Double) -> Profile { Profile(extents: extents, values: values.map(body)) }
}
