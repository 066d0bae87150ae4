import ModelGraph
import Tensors

extension Importance {
    /// One tensor for each of `graph.prunableNames`, of its shape; dead weights are 0. `movement` is shifted by its least
    /// value over all alive weights, which keeps its order within and between tensors.
    /// - Throws: `CompressionError.criterionUnfit` for a criterion of channels, `.missingStatistic` for a statistic that was
    ///   not given or is of another shape, `.scoresNotFinite`.
    public func ofWeights() throws(CompressionError) -> NamedTensors {
        try criterion.check(fits: PruningCriterion.forWeights, "single weights")
        var scores = NamedTensors()
        for name in prunable {
            guard let shape = weights[name]?.shape else { continue }
            var values = try ofElements(name)
            if criterion == .lamp { values = Self.lamp(values) }
            scores[name] = Tensor(values, shape: shape)
        }
        if criterion == .movement { shift(&scores) }
        return scores
    }

    /// The median over live prunable weights of |E[g]| / (std[g] + 1e-8), for criterion `stability`: how much workers and
    /// steps agree on where a weight should go. A figure for reports; the ranking does not use it. Nil without live weights.
    /// - Throws: `CompressionError.criterionUnfit` for another criterion, `.missingStatistic`.
    public func medianSignalToNoise() throws(CompressionError) -> Double? {
        try criterion.check(fits: [.stability], "the signal-to-noise ratio")
        // Bits of floats that are not negative order like the floats: first their upper half, then the lower.
        var upper = [Int](repeating: 0, count: 1 << 16)
        try forEachSignalToNoise { upper[Int($0.bitPattern >> 16)] += 1 }
        var rank = upper.reduce(0, +) / 2
        guard let bin = Self.bin(of: &rank, in: upper) else { return nil }
        var lower = [Int](repeating: 0, count: 1 << 16)
        try forEachSignalToNoise {
            if Int($0.bitPattern >> 16) == bin { lower[Int($0.bitPattern & 0xffff)] += 1 }
        }
        return Self.bin(of: &rank, in: lower).map { Double(Float(bitPattern: UInt32(bin) << 16 | UInt32($0))) }
    }

    /// Where the element of a rank lies, and its rank among those there.
    private static func bin(of rank: inout Int, in counts: [Int]) -> Int? {
        for (bin, count) in counts.enumerated() {
            guard rank >= count else { return bin }
            rank -= count
        }
        return nil
    }

    private func forEachSignalToNoise(_ body: (Float) -> Void) throws(CompressionError) {
        for name in prunable {
            guard let weight = weights[name] else { continue }
            let (means, squares) = try moments(name, like: weight)
            for index in means.indices where masks[name]?[index] ?? true {
                let variance = max(0, squares[index] - means[index] * means[index])
                body(Float(abs(means[index]) / (variance.squareRoot() + 1e-8)))
            }
        }
    }

    /// Lee et al. 2021, eq. 3: each of the squares over the sum of those no smaller in their tensor. Of equal ones the
    /// earlier counts as larger, as in the ranking. All 0 for a tensor of zeros.
    static func lamp(_ squares: [Float]) -> [Float] {
        // Bits of non-negative floats order like the floats; the later of equal ones comes first.
        let order = squares.indices.map { UInt64((squares[$0] + 0).bitPattern) << 32 | UInt64(UInt32.max - UInt32($0)) }
            .sorted(by: >)
        var scores = [Float](repeating: 0, count: squares.count)
        var sum = 0.0
        for key in order {
            let index = Int(UInt32.max - UInt32(truncatingIfNeeded: key))
            sum += Double(squares[index])
            scores[index] = sum > 0 ? Float(Double(squares[index]) / sum) : 0
        }
        return scores
    }

    private func shift(_ scores: inout NamedTensors) {
        var least = Float.infinity
        for (name, tensor) in scores.ordered {
            tensor.withElements(as: Float.self) { values in
                for (index, value) in values.enumerated() where masks[name]?[index] ?? true {
                    least = min(least, value)
                }
            }
        }
        guard least.isFinite else { return }
        for name in scores.names {
            scores.modify(name) { tensor in
                tensor.withMutableElements(as: Float.self) { values in
                    for index in values.indices { values[index] = max(0, values[index] - least) }
                    masks.apply(to: values, of: name)
                }
            }
        }
    }
}
