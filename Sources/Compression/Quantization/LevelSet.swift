import Foundation

/// Levels that are not evenly spaced: ascending, different, one of them 0.
struct LevelSet: Sendable, Equatable {
    let levels: [Float]
    /// The index of 0.
    let zero: Int
    /// Halfway between neighbours.
    private let borders: [Float]

    /// Sorts and takes each level once. Precondition: all are finite, and one is 0.
    init(_ unsorted: [Float]) {
        var found: [Float] = []
        for level in unsorted.sorted() where found.last != level { found.append(level) }
        guard let zero = found.firstIndex(of: 0) else { preconditionFailure("levels without 0: \(found)") }
        // One spelling of zero.
        found[zero] = 0
        (levels, self.zero) = (found, zero)
        borders = zip(found, found.dropFirst()).map { $0 + ($1 - $0) / 2 }
    }

    /// The index of the nearest level; 0 is its own.
    @inline(__always)
    func nearest(_ value: Float) -> Int {
        if value == 0 { return zero }
        var (low, high) = (0, borders.count)
        while low < high {
            let middle = (low + high) / 2
            if borders[middle] < value { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// 0 and ±2^-k: as many as codes of so many bits can name, none below 2^-30.
    static func powersOfTwo(bits: Int) -> LevelSet {
        var levels: [Float] = [0]
        var power: Float = 1
        for _ in 0..<min((1 << (bits - 1)) - 1, 31) {
            levels += [power, -power]
            power /= 2
        }
        return LevelSet(levels)
    }

    /// Quantiles of the normal distribution, −1...1, one more above 0 than below (Dettmers et al. 2023, "QLoRA", section 3 and
    /// appendix E: for 4 bits these are NF4's).
    static func normalQuantiles(bits: Int) -> LevelSet {
        let count = Double(1 << bits)
        // Halfway between the outermost quantiles of either side's division.
        let outermost = 1 - (1 / (2 * (count - 1)) + 1 / (2 * count)) / 2
        let half = 1 << (bits - 1)
        let largest = normalQuantile(outermost)
        var levels: [Float] = [0]
        for step in 0..<half {
            levels.append(Float(normalQuantile(outermost - (outermost - 0.5) * Double(step) / Double(half)) / largest))
        }
        for step in 0..<half - 1 {
            let share = outermost - (outermost - 0.5) * Double(step) / Double(half - 1)
            levels.append(Float(-normalQuantile(share) / largest))
        }
        return LevelSet(levels)
    }

    /// The x that a normal variable stays below with a probability of 0.5 or more, below 1, by bisection.
    static func normalQuantile(_ probability: Double) -> Double {
        var (low, high) = (0.0, 10.0)
        for _ in 0..<60 {
            let middle = (low + high) / 2
            if 1 - erfc(middle / 2.0.squareRoot()) / 2 < probability { low = middle } else { high = middle }
        }
        return (low + high) / 2
    }
}
