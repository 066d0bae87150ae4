extension ModelBuilder {
    /// A chain of dense layers for images of 1 x 28 x 28 with about this many bytes of float32 parameters (within 1 %
    /// from 1 MiB on): what the round benchmark moves. Layers have 1,024 units, as many tensors of 4 MiB as fit.
    /// - Throws: `ModelError.invalidRequest` below 16 KiB or above 4 GiB.
    public static func denseStack(parameterBytes: Int, seed: UInt64) throws(ModelError) -> Graph {
        guard (16 << 10...4 << 30).contains(parameterBytes) else {
            throw .invalidRequest("a dense stack of \(parameterBytes) bytes is impossible; give 16 KiB to 4 GiB")
        }
        let (features, classes, full) = (784, 10, 1024)
        var layers = LayerStack(name: "denseStack", input: [1, 28, 28], seed: seed)
        layers.flatten()
        var left = parameterBytes / 4
        var from = features
        var number = 0
        // The last hidden layer takes what remains: (from + 1) weights a unit, and the classes behind it.
        while left > (from + 1) * full + (full + 1) * full / 2 {
            number += 1
            layers.gemm("layer\(number)", from: from, to: full)
            layers.relu("relu\(number)")
            left -= (from + 1) * full
            from = full
        }
        let units = max(1, (left - classes) / (from + 1 + classes))
        layers.gemm("layer\(number + 1)", from: from, to: units)
        layers.relu("relu\(number + 1)")
        layers.gemm("logits", from: units, to: classes, isLast: true)
        return layers.graph(classes: classes)
    }
}
