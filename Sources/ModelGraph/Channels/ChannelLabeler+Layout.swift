import Tensors

// Operators that move, cut and join axes.
extension ChannelLabeler {
    /// - Returns: false for an operator of another family.
    mutating func layout(_ index: Int, _ view: NodeShapes) -> Bool {
        let node = view.node
        switch node.operatorType {
        case "Reshape", "Flatten", "Squeeze", "Unsqueeze": reshape(index, view)
        case "Transpose":
            let (x, y) = (node.inputs[0], node.outputs[0])
            let order = node.ints("perm")?.map(Int.init) ?? Array((0..<rank(x)).reversed())
            for (axis, source) in order.enumerated() { labels.unite(x, source, y, axis) }
        case "Concat": concat(view)
        case "Pad": pad(view)
        case "Tile":
            let (x, y) = (node.inputs[0], node.outputs[0])
            for axis in 0..<rank(x) {
                if extent(x, axis) == extent(y, axis) {
                    labels.unite(x, axis, y, axis)
                } else {
                    labels.freeze(x, axis, "\(words(view)) repeats it")
                    labels.freeze(y, axis, "\(words(view)) repeats it")
                }
            }
        default: return false
        }
        return true
    }

    private mutating func concat(_ view: NodeShapes) {
        let y = view.node.outputs[0]
        guard let joined = try? view.axis(view.node.int("axis") ?? 0, rank: rank(y)) else {
            return freezeAll(view, "the axis of \(words(view)) is not known")
        }
        var offset = labels.range(y, joined).lowerBound
        for input in view.node.inputs {
            for axis in 0..<rank(y) where axis != joined { labels.unite(input, axis, y, axis) }
            for label in labels.range(input, joined) {
                labels.unite(label, offset)
                offset += 1
            }
        }
    }

    private mutating func pad(_ view: NodeShapes) {
        let (x, y) = (view.node.inputs[0], view.node.outputs[0])
        let padded = ShapeRules.paddedAxes(view)
        for axis in 0..<rank(x) {
            if padded?.contains(axis) == false {
                labels.unite(x, axis, y, axis)
            } else {
                labels.freeze(x, axis, "\(words(view)) pads it")
                labels.freeze(y, axis, "\(words(view)) pads it")
            }
        }
    }

    /// Reshape, Flatten, Squeeze and Unsqueeze: all of them only draw the borders between axes anew.
    private mutating func reshape(_ index: Int, _ view: NodeShapes) {
        let (x, y) = (view.node.inputs[0], view.node.outputs[0])
        guard let before = inference.shapes[x], let after = inference.shapes[y],
            let blocks = ReshapeBlock.blocks(before.dimensions, after.dimensions)
        else { return freezeAll(view, "\(words(view)) moves its elements in a way that is not followed") }
        for block in blocks {
            if block.before.count == 1, block.after.count == 1 {
                labels.unite(x, block.before[0], y, block.after[0])
            } else {
                regroup(block, index, x, y, view)
            }
        }
    }

    /// Joins axes, cuts them, or both. A joined or cut axis can lose elements along one of its parts only.
    private mutating func regroup(_ block: ReshapeBlock, _ index: Int, _ x: String, _ y: String, _ view: NodeShapes) {
        let reason = "\(words(view)) joins it with another axis or cuts it"
        let last = (0..<rank(x)).last { extent(x, $0) > 1 }
        // The part along which each axis of the input may lose elements.
        var chosen: [Int?] = []
        for (place, axis) in block.before.enumerated() {
            var candidates = block.candidates(place, isLast: axis == last)
            // What is already coupled across the other parts can only go along this one.
            let settled =
                candidates.count > 1 ? candidates.filter { follows($0, axis, block.partsBefore[place], block, x) } : []
            if !settled.isEmpty { candidates = [settled[0]] }
            let tried = tried[index]?[axis] ?? 0
            let isFrozen = labels.isFrozen(x, axis)
            if !isFrozen, candidates.count > 1 {
                let split = Split(node: index, axis: axis, labels: labels.range(x, axis), candidates: candidates.count)
                splits.append(split)
            }
            chosen.append(isFrozen || tried >= candidates.count ? nil : candidates[tried])
        }
        let free = Set(chosen.compactMap(\.self))
        var followed = Set<Int>()
        for (place, axis) in block.after.enumerated() {
            // Of several that could go, the longest; the first of equals.
            let parts = block.partsAfter[place].filter(free.contains)
            guard let part = parts.max(by: { block.parts[$0] < block.parts[$1] }) else {
                labels.freeze(y, axis, reason)
                continue
            }
            followed.insert(part)
            guard let source = chosen.firstIndex(of: part) else { continue }
            let (from, to) = (labels.range(x, block.before[source]), labels.range(y, axis))
            let first = (0..<block.parts[part]).map { coordinate in
                from.lowerBound + block.firstPlace(of: coordinate, part, in: block.partsBefore[source])
            }
            for label in from {
                let coordinate = block.coordinate(
                    label - from.lowerBound, along: part, in: block.partsBefore[source])
                labels.unite(label, first[coordinate])
            }
            for label in to {
                let coordinate = block.coordinate(label - to.lowerBound, along: part, in: block.partsAfter[place])
                labels.unite(label, first[coordinate])
            }
        }
        for (place, axis) in block.before.enumerated() where chosen[place].map({ !followed.contains($0) }) ?? true {
            labels.freeze(x, axis, reason)
        }
    }

    /// Whether elements of an axis with the same coordinate along a part carry the same label.
    private mutating func follows(
        _ part: Int, _ axis: Int, _ range: Range<Int>, _ block: ReshapeBlock, _ x: String
    ) -> Bool {
        let all = labels.range(x, axis)
        for label in all {
            let coordinate = block.coordinate(label - all.lowerBound, along: part, in: range)
            let first = all.lowerBound + block.firstPlace(of: coordinate, part, in: range)
            guard labels.root(label) == labels.root(first) else { return false }
        }
        return true
    }
}
