/// One-dimensional k-means with a centre that stays at 0.
///
/// Values are counted in 65,536 cells of one width with their exact sums, so that a turn costs as much for a thousand values as
/// for a hundred million, and no value is kept. Exact zeros belong to the zero centre and move no other: they are not counted.
struct LevelClusters {
    private static let cells = 1 << 16
    /// Largest magnitude.
    private var reach: Float = 0
    /// Sums up to a cell of weight, weight x value and weight x value²; one more than cells.
    private var weights = [0.0]
    private var products = [0.0]
    private var squares = [0.0]

    /// Each run divided by its scale. An error there counts with the scale's square, as it does in the weights.
    init(_ runs: [[Float]], _ scales: [Float], _ importance: [[Float]]?) {
        for (run, values) in runs.enumerated() {
            for value in values { reach = max(reach, abs(value / scales[run])) }
        }
        var sums = [SIMD4<Double>](repeating: .zero, count: Self.cells)
        for (run, values) in runs.enumerated() {
            for (index, value) in values.enumerated() where value != 0 {
                let place = value / scales[run]
                let scale = Double(scales[run])
                let weight = Double(importance?[run][index] ?? 1) * scale * scale
                let x = Double(place)
                sums[cell(place)] += SIMD4(weight, weight * x, weight * x * x, 0)
            }
        }
        for sum in sums {
            weights.append(weights[weights.count - 1] + sum[0])
            products.append(products[products.count - 1] + sum[1])
            squares.append(squares[squares.count - 1] + sum[2])
        }
    }

    /// Precondition: finite.
    private func cell(_ value: Float) -> Int {
        guard reach > 0 else { return 0 }
        let place = (value / reach + 1) * 0.5 * Float(Self.cells)
        return min(max(Int(place), 0), Self.cells - 1)
    }

    /// The best of several starts after Lloyd's iterations; the earlier where two are equal.
    mutating func refined(from starts: [LevelSet]) -> LevelSet {
        var best: (levels: LevelSet, error: Double)?
        for start in starts {
            var (levels, error) = (start, error(of: start))
            for _ in 0..<100 {
                let next = moved(levels)
                let found = self.error(of: next)
                guard found < error else { break }
                (levels, error) = (next, found)
            }
            if error < best?.error ?? .infinity { best = (levels, error) }
        }
        return best?.levels ?? starts[0]
    }

    /// The first cell of each level, and the end.
    private func ranges(_ levels: [Float]) -> [Int] {
        [0] + zip(levels, levels.dropFirst()).map { cell($0 + ($1 - $0) / 2) } + [Self.cells]
    }

    /// Every centre to the mean of its values; those without values, and 0, stay.
    private func moved(_ set: LevelSet) -> LevelSet {
        let ranges = self.ranges(set.levels)
        return LevelSet(
            set.levels.indices.map { level in
                let (first, end) = (ranges[level], ranges[level + 1])
                let weight = weights[end] - weights[first]
                guard level != set.zero, weight > 0 else { return set.levels[level] }
                let mean = Float((products[end] - products[first]) / weight)
                return mean.isFinite ? mean : set.levels[level]
            })
    }

    private func error(of set: LevelSet) -> Double {
        let ranges = self.ranges(set.levels)
        var sum = 0.0
        for (level, center) in set.levels.enumerated() {
            let (first, end) = (ranges[level], ranges[level + 1])
            let center = Double(center)
            sum +=
                squares[end] - squares[first] - 2 * center * (products[end] - products[first])
                + center * center * (weights[end] - weights[first])
        }
        return sum
    }
}
