import Foundation

/// TensorRT's search for the clip that loses least information (Migacz 2017), on linear bins of |x|.
///
/// The log-spaced bins are spread evenly over 2,048 linear ones. One deviation: where the smallest clip on offer wins, the
/// search goes on within it, as an outlier far beyond the bulk squeezes that into a few linear bins. One-sided values
/// could use 255 levels in uint8, but on trained models the published 128 chose no worse clips.
struct EntropyLimit {
    private static let size = 2048
    private static let levels = 128
    private var limit: Double
    /// Counts of |x| in equal parts of 0...limit.
    private var linear: [Double] = []
    /// Values beyond the limit.
    private var beyond = 0.0

    /// The clip of |x| for intervals that do not cross 0.
    static func find(_ bins: [BinInterval], largest: Double) -> Double {
        var search = EntropyLimit(limit: largest)
        guard largest > 0 else { return 0 }
        // Each turn but the last narrows sixteenfold; bins end at 2^-16.
        for _ in 0..<16 {
            search.spread(bins)
            let width = search.bestWidth()
            search.limit *= Double(width) / Double(size)
            if width > levels { break }
        }
        return search.limit
    }

    private init(limit: Double) { self.limit = limit }

    private mutating func spread(_ bins: [BinInterval]) {
        linear = [Double](repeating: 0, count: Self.size)
        beyond = 0
        let unit = limit / Double(Self.size)
        for bin in bins {
            let ends = (abs(bin.lower) / unit, abs(bin.upper) / unit)
            let (lower, upper) = (min(ends.0, ends.1), max(ends.0, ends.1))
            let density = upper > lower ? bin.count / (upper - lower) : 0
            if lower >= Double(Self.size) {
                // The largest value of all stands on the limit itself.
                if density == 0, lower == Double(Self.size) {
                    linear[Self.size - 1] += bin.count
                } else {
                    beyond += bin.count
                }
                continue
            }
            guard density > 0 else {
                linear[Int(lower)] += bin.count
                continue
            }
            for index in Int(lower)...min(Int(upper), Self.size - 1) {
                linear[index] += density * max(0, min(upper, Double(index + 1)) - max(lower, Double(index)))
            }
            beyond += density * max(0, upper - Double(Self.size))
        }
        // Exact zeros say nothing about the clip, and a Relu makes many of them.
        linear[0] = linear[1]
    }

    /// The number of linear bins to keep.
    private func bestWidth() -> Int {
        // Counts from each linear bin to the end.
        var tails = [Double](repeating: beyond, count: Self.size + 1)
        for index in (0..<Self.size).reversed() { tails[index] = tails[index + 1] + linear[index] }
        var best = (width: Self.size, divergence: divergence(width: Self.size, tail: beyond))
        for width in stride(from: Self.levels, to: Self.size, by: 16) {
            let divergence = divergence(width: width, tail: tails[width])
            if divergence < best.divergence { best = (width, divergence) }
        }
        return best.width
    }

    /// KL(P ‖ Q): P is the histogram with what is clipped in its last bin, Q the unclipped part through the levels.
    private func divergence(width: Int, tail: Double) -> Double {
        let total = linear[..<width].reduce(0, +) + tail
        let kept = total - tail
        guard total > 0, kept > 0 else { return .infinity }
        var sum = 0.0
        for level in 0..<Self.levels {
            let range = level * width / Self.levels..<(level + 1) * width / Self.levels
            var (mass, used) = (0.0, 0)
            for index in range where linear[index] > 0 {
                mass += linear[index]
                used += 1
            }
            let share = used > 0 ? mass / Double(used) / kept : 0
            for index in range {
                let p = (linear[index] + (index == width - 1 ? tail : 0)) / total
                // What only P has costs much, not infinitely much.
                if p > 0 { sum += p * log(p / max(linear[index] > 0 ? share : 0, 1e-9)) }
            }
        }
        return sum
    }
}
