import Tensors

// Operators that take some elements of an axis.
extension ChannelLabeler {
    /// - Returns: false for an operator of another family.
    mutating func selection(_ view: NodeShapes) -> Bool {
        switch view.node.operatorType {
        case "Split": split(view)
        case "Slice": slice(view)
        case "Gather": gather(view)
        default: return false
        }
        return true
    }

    private mutating func split(_ view: NodeShapes) {
        let x = view.node.inputs[0]
        guard let axis = try? view.axis(view.node.int("axis") ?? 0, rank: rank(x)) else {
            return freezeAll(view, "the axis of \(words(view)) is not known")
        }
        let range = labels.range(x, axis)
        var offset = range.lowerBound
        guard let parts = try? ShapeRules.splitParts(view) else { return freezeAll(view, words(view)) }
        for (output, part) in zip(view.node.outputs, parts) {
            if part == 1 { labels.freeze(offset..<(offset + 1), "\(words(view)) would give an empty part") }
            guard !output.isEmpty else {
                offset += part
                continue
            }
            for other in 0..<rank(x) where other != axis { labels.unite(x, other, output, other) }
            for label in labels.range(output, axis) {
                labels.unite(label, offset)
                offset += 1
            }
        }
    }

    private mutating func slice(_ view: NodeShapes) {
        let (x, y) = (view.node.inputs[0], view.node.outputs[0])
        guard let slices = try? ShapeRules.slices(view) else {
            return freezeAll(view, "the bounds of \(words(view)) are not known")
        }
        for (axis, slice) in slices.enumerated() {
            let (from, to) = (labels.range(x, axis), labels.range(y, axis))
            if slice.step != 1 || slice.count <= 1 && slice.count < from.count {
                labels.freeze(from, "\(words(view)) takes single places of it")
                labels.freeze(to, "\(words(view)) takes single places of it")
                continue
            }
            for place in 0..<slice.count {
                labels.unite(to.lowerBound + place, from.lowerBound + slice.start + place)
            }
        }
    }

    private mutating func gather(_ view: NodeShapes) {
        let (data, indices, y) = (view.node.inputs[0], view.node.inputs[1], view.node.outputs[0])
        guard let axis = try? view.axis(view.node.int("axis") ?? 0, rank: rank(data)) else {
            return freezeAll(view, "the axis of \(words(view)) is not known")
        }
        let width = rank(indices)
        for other in 0..<axis { labels.unite(data, other, y, other) }
        for other in (axis + 1)..<max(axis + 1, rank(data)) { labels.unite(data, other, y, other - 1 + width) }
        let range = labels.range(data, axis)
        if width == 1, extent(indices, 0) > 1, let places = view.value(1)?.integers {
            for (place, label) in zip(places, labels.range(y, axis)) {
                let place = place < 0 ? place + Int64(range.count) : place
                guard place >= 0, place < Int64(range.count) else {
                    return freezeAll(view, "\(words(view)) reads outside its data")
                }
                labels.unite(label, range.lowerBound + Int(place))
            }
            return
        }
        labels.freeze(range, "\(words(view)) picks from it by index")
        for other in 0..<width {
            labels.unite(indices, other, y, axis + other)
            labels.freeze(indices, other, "it holds indices of \(words(view))")
        }
    }
}

extension ShapeRules {
    /// The axes that Pad lengthens or shortens, or nil where they are not known.
    static func paddedAxes(_ view: NodeShapes) -> Set<Int>? {
        guard let x = try? view.input(0), let pads = view.value(1)?.integers else { return nil }
        guard let axes = view.has(3) ? view.value(3)?.integers : x.dimensions.indices.map(Int64.init),
            let places = try? view.axes(axes, rank: x.rank), pads.count == 2 * places.count
        else { return nil }
        return Set(places.indices.filter { pads[$0] != 0 || pads[$0 + places.count] != 0 }.map { places[$0] })
    }
}
