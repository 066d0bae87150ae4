import CTorch

/// Learns for each weight of a product whether it goes to the level below or above it (Nagel et al. 2020, "Up or Down? Adaptive
/// Rounding for Post-Training Quantization", equations 21 to 25).
///
/// h = clip(1.2 σ(v) − 0.1, 0, 1) moves between the two levels, starting at the weight itself; Adam minimises
/// tr(D H Dᵀ) + λ Σ (1 − |2h − 1|^β), D being the difference from the weights. β falls along a cosine, and the second term counts
/// after a warm start. The same bytes for the same numbers with one build of libtorch and one number of threads.
public struct AdaptiveRounding: Sendable, Equatable {
    public var iterations = 1000
    /// Adam's.
    public var learningRate = 1e-2
    /// λ, where the mean diagonal of H is 1 and so is the mean distance between levels.
    public var lambda = 0.01
    public var firstBeta = 20.0
    public var lastBeta = 2.0
    /// The share of iterations before λ counts.
    public var warmStart = 0.2

    public init() {}

    /// h of each weight, 0...1.
    /// - Parameters:
    ///   - moments: [groups, columns, columns].
    ///   - below: the level below less the weight, [groups, rows, columns], not above 0.
    ///   - span: the level above less the level below; where it is 0 the weight stays.
    /// - Throws: `EngineError.runtime`, `.notFinite`. Precondition: the counts agree.
    public func places(
        groups: Int, rows: Int, columns: Int, moments: [Float], below: [Float], span: [Float]
    ) throws(EngineError) -> [Float] {
        precondition(
            groups > 0 && rows > 0 && columns > 0 && moments.count == groups * columns * columns
                && below.count == groups * rows * columns && span.count == below.count,
            "\(below.count) weights and \(moments.count) moments of \(groups) x \(rows) x \(columns)")
        let native = CTRounding(
            groups: Int64(groups), rows: Int64(rows), columns: Int64(columns), iterations: Int64(iterations),
            learning_rate: learningRate, lambda: lambda, first_beta: firstBeta, last_beta: lastBeta,
            warm_start: warmStart)
        var rounded = [Float](repeating: 0, count: below.count)
        try CTorchStatus.check(ct_round_adaptively(native, moments, below, span, &rounded))
        guard rounded.allSatisfy(\.isFinite) else { throw .notFinite("learned rounding") }
        return rounded
    }
}
