import Tensors
import Testing

@testable import Federation

/// Statistics of many samples from statistics of parts of them.
struct ModelStatisticsTests {
    private static func moments(_ samples: [Double]) -> (mean: Double, variance: Double) {
        let mean = samples.reduce(0, +) / Double(samples.count)
        return (mean, samples.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(samples.count))
    }

    /// Parts that have nothing in common: the pooled variance is that of the union, and a mean of variances is far off.
    @Test(arguments: [0.0, 100]) func unlikePartsPoolToTheUnion(offset: Double) {
        var random = SeededGenerator(seed: 3)
        let parts = [(400, -3.0, 0.1), (100, 5, 2.0), (37, 0.5, 0.001)].map { count, mean, spread in
            (0..<count).map { _ in offset + mean + spread * Double(random.uniform() - 0.5) }
        }
        let union = Self.moments(parts.flatMap(\.self))
        let (oldMean, oldVariance) = (Float(offset + 0.2), Float(1.5))
        var meanChange = 0.0
        var varianceChange = 0.0
        var naive = 0.0
        let count = Double(parts.reduce(0) { $0 + $1.count })
        for part in parts {
            let (mean, variance) = Self.moments(part)
            let share = Double(part.count) / count
            let moved = Float(mean) - oldMean
            var change = Tensor([Float(variance) - oldVariance], shape: [1])
            ModelStatistics.spread(&change, meanChange: Tensor([moved], shape: [1]))
            meanChange += share * Double(moved)
            varianceChange += share * Double(change.floats[0])
            naive += share * variance
        }
        let pooled =
            oldVariance
            + ModelStatistics.pool(Float(varianceChange), meanChange: Float(meanChange), variance: oldVariance)
        #expect(abs(Double(pooled) - union.variance) < 1e-4 * union.variance)
        #expect(abs(Double(oldMean) + meanChange - union.mean) < 1e-4 * max(1, abs(union.mean)))
        #expect(abs(naive - union.variance) > 0.5 * union.variance)
    }

    /// Whatever workers claim.
    @Test(arguments: [-1e30, -256, -1, -0.0, 1e-30, 256, .nan, .infinity] as [Float])
    func noVarianceIsEverNegative(change: Float) {
        for old in [0, 1e-38, 0.3, 1, 12_345.678, -2] as [Float] {
            for moved in [0, 1e-20, 0.7, 256] as [Float] {
                let new = old + ModelStatistics.pool(change, meanChange: moved, variance: old)
                #expect(!(new < 0), "\(old) changed by \(change), mean by \(moved): \(new)")
            }
        }
    }

    @Test func aSharedVarianceBelongsToItsFirstMean() {
        let statistics = ModelStatistics(names: ["m", "n", "v"], pairs: [("m", "v"), ("n", "v")])
        #expect(statistics.mean(of: "v") == "m")
        #expect(statistics.mean(of: "m") == nil)
        #expect(statistics.names == ["m", "n", "v"])
    }
}
