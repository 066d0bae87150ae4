import Tensors

// Layers that multiply by weights, and the product of two activations.
extension ChannelLabeler {
    /// - Returns: false for an operator of another family.
    mutating func layer(_ view: NodeShapes) -> Bool {
        switch view.node.operatorType {
        case "Conv", "ConvTranspose": convolution(view)
        case "Gemm": gemm(view)
        case "MatMul": matMul(view)
        case "LSTM", "GRU", "RNN": recurrent(view)
        case "Einsum": einsum(view)
        default: return false
        }
        return true
    }

    private mutating func convolution(_ view: NodeShapes) {
        let (x, w, y) = (view.node.inputs[0], view.node.inputs[1], view.node.outputs[0])
        let isForward = view.node.operatorType == "Conv"
        let groups = max(1, Int(clamping: view.node.int("group") ?? 1))
        let (inputs, outputs) = (extent(x, 1), extent(y, 1))
        guard inputs % groups == 0, outputs % groups == 0 else {
            return freezeAll(view, "the groups of \(words(view)) do not divide its channels")
        }
        labels.unite(x, 0, y, 0)
        for value in [x, w, y] { freeze(value, from: 2, "it is a spatial axis") }
        // Conv holds [out, in / groups, ...], its transpose [in, out / groups, ...].
        let (outAxis, inAxis) = isForward ? (0, 1) : (1, 0)
        let (outRange, inRange) = (labels.range(w, outAxis), labels.range(w, inAxis))
        let (xRange, yRange) = (labels.range(x, 1), labels.range(y, 1))
        let isDepthwise = ChannelOperators.isDepthwise(
            view.node, weight: inference.shapes[w]?.dimensions ?? [])
        for channel in yRange {
            let place = channel - yRange.lowerBound
            if view.has(2) { labels.unite(channel, labels.range(view.node.inputs[2], 0).lowerBound + place) }
            // A channel goes with what is made of it.
            if isDepthwise { labels.unite(channel, xRange.lowerBound + place / (outputs / groups)) }
            guard isForward || !isDepthwise else { continue }
            labels.unite(channel, outRange.lowerBound + (isForward ? place : place % (outputs / groups)))
        }
        if isDepthwise {
            labels.freeze(w, 1, "it is no channel of a depthwise filter")
            if !isForward { labels.unite(w, 0, x, 1) }
            return
        }
        let (inPart, outPart) = (inputs / groups, outputs / groups)
        for channel in xRange {
            let place = channel - xRange.lowerBound
            labels.unite(channel, inRange.lowerBound + (isForward ? place % inPart : place))
            // Every group keeps as many channels: the i-th of all groups go together.
            labels.unite(channel, xRange.lowerBound + place % inPart)
        }
        for channel in yRange where groups > 1 {
            labels.unite(channel, yRange.lowerBound + (channel - yRange.lowerBound) % outPart)
        }
    }

    private mutating func gemm(_ view: NodeShapes) {
        let (a, b, y) = (view.node.inputs[0], view.node.inputs[1], view.node.outputs[0])
        let (rows, inner) = view.node.int("transA") ?? 0 != 0 ? (1, 0) : (0, 1)
        let (columns, depth) = view.node.int("transB") ?? 0 != 0 ? (0, 1) : (1, 0)
        labels.unite(a, rows, y, 0)
        labels.unite(a, inner, b, depth)
        labels.unite(b, columns, y, 1)
        if view.has(2) { align(view.node.inputs[2], with: y) }
    }

    private mutating func matMul(_ view: NodeShapes) {
        let (a, b, y) = (view.node.inputs[0], view.node.inputs[1], view.node.outputs[0])
        let (rankA, rankB, rank) = (rank(a), rank(b), rank(y))
        labels.unite(a, rankA - 1, b, max(rankB - 2, 0))
        let (hasRows, hasColumns) = (rankA > 1, rankB > 1)
        if hasRows { labels.unite(a, rankA - 2, y, rank - (hasColumns ? 2 : 1)) }
        if hasColumns { labels.unite(b, rankB - 1, y, rank - 1) }
        // Batch axes align behind the matrices.
        let batch = rank - (hasRows ? 1 : 0) - (hasColumns ? 1 : 0)
        for (operand, count) in [(a, rankA - 2), (b, rankB - 2)] {
            for axis in 0..<max(count, 0) where extent(operand, axis) == extent(y, axis + batch - count) {
                labels.unite(operand, axis, y, axis + batch - count)
            }
        }
        // Products of two activations in parallel: one for each head.
        guard !fixed.contains(a), !fixed.contains(b) else { return }
        for axis in 0..<max(batch, 0) { labels.mark(y, axis, .heads) }
    }

    /// Hidden units feed back into themselves and stay; inputs can go.
    private mutating func recurrent(_ view: NodeShapes) {
        let (x, w) = (view.node.inputs[0], view.node.inputs[1])
        let reason = "\(words(view)) feeds its units back into itself"
        labels.unite(x, 2, w, 2)
        for axis in 0..<2 {
            labels.freeze(x, axis, reason)
            labels.freeze(w, axis, reason)
        }
        for value in view.node.inputs.dropFirst(2) + view.node.outputs { labels.freeze(value, reason) }
    }
}
