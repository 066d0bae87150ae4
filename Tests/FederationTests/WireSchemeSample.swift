import UpdateCodec

enum WireSchemeSample {
    static let scheme = WireScheme(selection: .topK(density: 0.05), values: .int4)

    /// No field has its default.
    static let unusual = WireScheme(
        selection: .topK(density: 0.25, method: .block), values: .codebook16, blockSize: 64, rounding: .stochastic,
        scaling: .leastSquares, levels: .kMeans, coding: .plain, rotates: true, smallTensorElements: 9,
        smallValues: .bfloat16, errorFeedback: false, budget: 200_000, momentum: 0.9, clipNorm: 2.5)
}
