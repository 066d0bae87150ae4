import Tensors

// Elementwise operators, normalisations, pools and reductions: these keep channels where they are.
extension ChannelLabeler {
    /// - Returns: false for an operator of another family.
    mutating func normalization(_ view: NodeShapes) -> Bool {
        let node = view.node
        switch node.operatorType {
        case let type where ChannelOperators.elementwise.contains(type):
            for output in node.outputs where !output.isEmpty {
                for operand in ChannelOperators.operands(node) { align(operand, with: output) }
            }
        case let type where ChannelOperators.reductions.contains(type): reduce(view)
        case "BatchNormalization":
            align(node.inputs[0], with: node.outputs[0])
            for value in node.inputs.dropFirst() + node.outputs.dropFirst() where !value.isEmpty {
                labels.unite(value, 0, node.inputs[0], 1)
            }
        case "LayerNormalization", "RMSNormalization": layerNormalization(view)
        case "InstanceNormalization", "GroupNormalization": channelNormalization(view)
        case "AveragePool", "MaxPool", "LpPool", "GlobalAveragePool", "GlobalMaxPool", "Resize": window(view)
        case "Softmax", "LogSoftmax", "CumSum": mixing(view)
        case "QuantizeLinear", "DequantizeLinear": quantization(view)
        default: return false
        }
        return true
    }

    private mutating func layerNormalization(_ view: NodeShapes) {
        let (x, y) = (view.node.inputs[0], view.node.outputs[0])
        guard let axis = try? view.axis(view.node.int("axis") ?? -1, rank: rank(x)) else {
            return freezeAll(view, "the axis of \(words(view)) is not known")
        }
        align(x, with: y)
        for position in 1...2 where view.has(position) { align(view.node.inputs[position], with: y) }
        for axis in axis..<rank(x) { labels.mark(y, axis, .normalizedOver) }
        for moments in view.node.outputs.dropFirst() where !moments.isEmpty {
            labels.freeze(moments, "it is a moment of \(words(view))")
        }
    }

    private mutating func channelNormalization(_ view: NodeShapes) {
        let (x, y) = (view.node.inputs[0], view.node.outputs[0])
        align(x, with: y)
        for position in 1...2 where view.has(position) {
            let parameter = view.node.inputs[position]
            if extent(parameter, 0) == extent(y, 1) {
                labels.unite(parameter, 0, y, 1)
            } else {
                labels.freeze(parameter, "it has one number for each group of \(words(view))")
            }
        }
        for axis in 2..<max(2, rank(y)) { labels.mark(y, axis, .normalizedOver) }
        guard view.node.operatorType == "GroupNormalization",
            let groups = view.node.int("num_groups").flatMap(Int.init(exactly:)), groups > 0
        else { return }
        let channels = labels.range(y, 1)
        let part = channels.count / groups
        // A group of one channel is normalised on its own; larger ones keep as many channels each.
        guard part > 1 else { return }
        for channel in channels {
            labels.unite(channel, channels.lowerBound + (channel - channels.lowerBound) % part)
        }
        labels.mark(y, 1, .normalizedOver)
    }

    /// Pools and Resize: channels stay, places move.
    private mutating func window(_ view: NodeShapes) {
        let (x, y) = (view.node.inputs[0], view.node.outputs[0])
        for axis in 0..<rank(y) {
            guard axis < 2, extent(x, axis) == extent(y, axis) else {
                labels.freeze(x, axis, "\(words(view)) moves along it")
                labels.freeze(y, axis, "\(words(view)) moves along it")
                continue
            }
            labels.unite(x, axis, y, axis)
        }
        for indices in view.node.outputs.dropFirst() where !indices.isEmpty {
            labels.freeze(indices, "it holds places found by \(words(view))")
        }
    }

    private mutating func mixing(_ view: NodeShapes) {
        let (x, y) = (view.node.inputs[0], view.node.outputs[0])
        align(x, with: y)
        let attribute =
            view.node.operatorType == "CumSum" ? view.value(1)?.integers?.first : view.node.int("axis") ?? -1
        guard let value = attribute, let axis = try? view.axis(value, rank: rank(x)) else {
            return freezeAll(view, "the axis of \(words(view)) is not known")
        }
        labels.freeze(y, axis, "\(words(view)) mixes it")
    }

    private mutating func quantization(_ view: NodeShapes) {
        let (x, y) = (view.node.inputs[0], view.node.outputs[0])
        align(x, with: y)
        for position in 1...2 where view.has(position) {
            let scale = view.node.inputs[position]
            guard rank(scale) == 1, extent(scale, 0) > 1 else { continue }
            guard view.node.int("block_size") ?? 0 == 0,
                let axis = try? view.axis(view.node.int("axis") ?? 1, rank: rank(x))
            else {
                freezeAll(view, "\(words(view)) quantizes in blocks")
                return
            }
            labels.unite(scale, 0, y, axis)
        }
        if view.node.int("block_size") ?? 0 != 0 { freezeAll(view, "\(words(view)) quantizes in blocks") }
    }

    private mutating func reduce(_ view: NodeShapes) {
        let (x, y) = (view.node.inputs[0], view.node.outputs[0])
        guard let axes = ShapeRules.reducedAxes(view) else {
            return freezeAll(view, "the axes of \(words(view)) are not known")
        }
        let keeps = view.node.int("keepdims") ?? 1 != 0
        var place = 0
        for axis in 0..<rank(x) {
            if axes.contains(axis) {
                labels.mark(x, axis, .normalizedOver)
                if keeps { place += 1 }
                continue
            }
            labels.unite(x, axis, y, place)
            place += 1
        }
    }
}

extension ShapeRules {
    /// The axes a reduction runs over, or nil where they are not known.
    static func reducedAxes(_ view: NodeShapes) -> Set<Int>? {
        guard let x = try? view.input(0) else { return nil }
        guard let listed = view.has(1) ? view.value(1)?.integers : view.node.ints("axes") ?? [],
            let axes = try? view.axes(listed, rank: x.rank)
        else { return nil }
        if listed.isEmpty, view.node.int("noop_with_empty_axes") ?? 0 == 0 { return Set(x.dimensions.indices) }
        return Set(axes)
    }
}
