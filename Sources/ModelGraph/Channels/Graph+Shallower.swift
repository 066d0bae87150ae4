extension Graph {
    /// A shallower network of the same widths: of every `step` layers in a row the first stays, as in a student that starts
    /// from every other layer of its teacher (Sanh et al. 2019, section 3). A layer is a residual block; in a transformer
    /// the block with the attention and the blocks up to the next. What is not in a residual block stays, so in a network
    /// that normalises behind its sums the normalisations do.
    /// - Parameter step: 2 keeps every other layer.
    /// - Throws: `ModelError.invalidRequest` for a step below 2 and for a network with fewer than two layers that can be
    ///   left out; `ModelError` where shapes cannot be inferred.
    public func shallower(keepingEvery step: Int) throws(ModelError) -> PrunedGraph {
        guard step >= 2 else {
            throw .invalidRequest("every \(step)th layer is no choice of layers: give 2 or more")
        }
        let layers = try residualLayers()
        guard layers.count >= 2 else {
            throw .invalidRequest(
                "a shallower copy needs at least 2 residual blocks or transformer layers that can be left out, and the model has "
                    + "\(layers.count): keep it whole"
            )
        }
        let left = layers.enumerated().filter { $0.offset % step != 0 }.flatMap { $0.element.map(\.name) }
        return try removing(blocks: Set(left))
    }

    /// The residual blocks by layers, in order.
    private func residualLayers() throws(ModelError) -> [[ResidualBlock]] {
        let blocks = try residualBlocks()
        let isAttention = blocks.map { block in
            block.signature.split(separator: " ").contains { $0 == "Softmax" || $0 == "Attention" }
        }
        guard isAttention.contains(true) else { return blocks.map { [$0] } }
        var layers: [[ResidualBlock]] = []
        for (block, startsLayer) in zip(blocks, isAttention) {
            if startsLayer || layers.isEmpty { layers.append([]) }
            layers[layers.count - 1].append(block)
        }
        return layers
    }
}
