import CKernels
import Tensors

/// The levels of a codebook format, between −1 and 1, as binary16 holds them.
struct Codebook: Sendable, Equatable {
    /// Ascending.
    let levels: [Float]

    /// Little-endian binary16.
    var bytes: [UInt8] {
        var bytes: [UInt8] = []
        for level in levels { bytes.appendLittleEndian(Float16(level).bitPattern) }
        return bytes
    }

    private init(rounding levels: [Double]) {
        self.levels = Set(levels.map { Float(Float16($0)) }).sorted()
    }

    // MARK: Quantiles of the normal distribution

    /// `size` levels as in QLoRA (Dettmers et al. 2023, appendix E): quantiles of the normal distribution, half of them below
    /// and one more above 0, scaled into −1 ... 1, with an exact 0.
    static func normalFloat(size: Int) -> Codebook {
        // The outermost quantile lies as far from the end as the middle of the outermost interval, on average.
        let offset = 0.5 * (1 / (2 * Double(size)) + 1 / (2 * Double(size - 1)))
        let outer = quantile(1 - offset)
        let half = size / 2
        func side(_ count: Int) -> [Double] {
            // From the outermost to 0, which is left out.
            (0..<count).map { step in
                quantile(1 - offset + (0.5 - (1 - offset)) * Double(step) / Double(count)) / outer
            }
        }
        return Codebook(rounding: side(half - 1).map { -$0 } + [0] + side(half).reversed())
    }

    /// The normal distribution's quantile for 0.5 <= p < 1, by bisection: only + − · /, so it is the same on every machine.
    private static func quantile(_ p: Double) -> Double {
        var low = 0.0
        var high = 8.0
        for _ in 0..<60 {
            let middle = (low + high) / 2
            if distribution(middle) < p { low = middle } else { high = middle }
        }
        return (low + high) / 2
    }

    /// Φ(x) for 0 <= x <= 8, by the series ½ + φ(x)·(x + x³/3 + x⁵/15 + ...), whose density is e^(−x²/2) by squaring.
    private static func distribution(_ x: Double) -> Double {
        var term = x
        var sum = x
        var odd = 3.0
        while term > sum * 1e-17 {
            term *= x * x / odd
            sum += term
            odd += 2
        }
        return 0.5 + sum * exponential(-x * x / 2) * 0.398942280401432677939946
    }

    /// e^x for −32 <= x <= 0.
    private static func exponential(_ x: Double) -> Double {
        let small = x / 1024
        var term = 1.0
        var sum = 1.0
        for n in 1...12 {
            term *= small / Double(n)
            sum += term
        }
        for _ in 0..<10 { sum *= sum }
        return sum
    }

    // MARK: Lloyd's algorithm

    /// x^⅓ for x >= 0 by Newton's steps, the same on every machine.
    fileprivate static func cubeRoot(_ x: Double) -> Double {
        guard x > 0 else { return 0 }
        var root = max(1, x.squareRoot())
        for _ in 0..<60 {
            let next = (2 * root + x / (root * root)) / 3
            if next >= root { break }
            root = next
        }
        return root
    }

    /// At most `size` levels fitted to values divided by their block's scale, by Lloyd's algorithm on a histogram (S. Lloyd
    /// 1982, "Least squares quantization in PCM"). It starts from levels as dense as the cube root of the values' density,
    /// which is best for many levels (Panter and Dite 1951); from quantiles it would need hundreds of rounds for 256.
    /// - Parameter reachesEnds: whether −1 and 1 stay levels, so that stochastic rounding has a level on either side of
    ///   every value and no bias.
    static func kMeans(
        size: Int, of values: UnsafeBufferPointer<Float>, scales: BlockScales, reachesEnds: Bool
    ) -> Codebook {
        let bins = 4096
        let histogram = Histogram(values, scales: scales, bins: bins)
        var levels = histogram.levels(size)
        if reachesEnds { (levels[0], levels[size - 1]) = (-1, 1) }
        for _ in 0..<24 {
            var next = histogram.centred(levels)
            if reachesEnds { (next[0], next[next.count - 1]) = (-1, 1) }
            if next == levels { break }
            levels = next
        }
        return Codebook(rounding: levels)
    }

    /// Counts and sums of x/s by x/s, in bins over −1 ... 1.
    private struct Histogram {
        var counts: [Double]
        var sums: [Double]

        init(_ values: UnsafeBufferPointer<Float>, scales: BlockScales, bins: Int) {
            counts = [Double](repeating: 0, count: bins)
            sums = counts
            // A few hundred thousand values tell as much as all.
            let blocks = (values.count + scales.block - 1) / scales.block
            let step = max(1, values.count / (1 << 18))
            for number in stride(from: 0, to: blocks, by: step) {
                let half = UInt16(scales.halves[2 * number]) | UInt16(scales.halves[2 * number + 1]) << 8
                let scale = Float(Float16(bitPattern: half)) * scales.factor
                guard scale > 0 else { continue }
                for value in values[number * scales.block..<min((number + 1) * scales.block, values.count)] {
                    let share = Double(value) / Double(scale)
                    let bin = min(bins - 1, max(0, Int((share + 1) * Double(bins / 2))))
                    counts[bin] += 1
                    sums[bin] += share
                }
            }
        }

        /// Levels at equal steps of Σ counts^⅓, in the middle of their steps.
        func levels(_ size: Int) -> [Double] {
            let roots = counts.map { Codebook.cubeRoot($0) }
            let step = roots.reduce(0, +) / Double(size)
            var levels: [Double] = []
            var sum = 0.0
            for (bin, root) in roots.enumerated() {
                while levels.count < size, root > 0, sum + root >= (Double(levels.count) + 0.5) * step {
                    let share = ((Double(levels.count) + 0.5) * step - sum) / root
                    levels.append(2 * (Double(bin) + share) / Double(counts.count) - 1)
                }
                sum += root
            }
            // Rounding may leave the last ones out, and no values leave all out.
            while levels.count < size { levels.append(1) }
            return levels
        }

        /// Each level moved to the mean of the bins nearest to it; a level without any stays.
        func centred(_ levels: [Double]) -> [Double] {
            var next = levels
            var bin = 0
            for index in levels.indices {
                let end = index + 1 < levels.count ? (levels[index] + levels[index + 1]) / 2 : .infinity
                var count = 0.0
                var sum = 0.0
                while bin < counts.count, Double(2 * bin + 1) / Double(counts.count) - 1 < end {
                    count += counts[bin]
                    sum += sums[bin]
                    bin += 1
                }
                if count > 0 { next[index] = sum / count }
            }
            return next
        }
    }
}
