/// Steps of one width for a run of weights: real = scale (code − zeroPoint).
struct UniformGrid: Sendable, Equatable {
    var scale: Float
    var zeroPoint: Int
}

/// Finds the steps of runs of weights.
struct UniformFit {
    let codes: ClosedRange<Int>
    let isSymmetric: Bool
    let hasPowerOfTwoScales: Bool
    let range: WeightScheme.Range

    init(_ scheme: WeightScheme) {
        (codes, isSymmetric, range) = (scheme.codes, scheme.isSymmetric, scheme.range)
        hasPowerOfTwoScales = scheme.hasPowerOfTwoScales
    }

    /// The grid for a run, with the importance of each value if errors are weighted. A run of zeros has scale 1.
    /// Precondition: values are finite.
    func grid(_ values: [Float], importance: [Float]?) -> UniformGrid {
        var (low, high): (Float, Float) = (0, 0)
        for value in values { (low, high) = (min(low, value), max(high, value)) }
        guard low < high else { return UniformGrid(scale: 1, zeroPoint: 0) }
        var search = LeastSquaresGrid(fit: self, values: values, importance: importance)
        for grid in candidates(low: low, high: high) { search.consider(grid) }
        guard range == .leastSquares, !hasPowerOfTwoScales else { return search.best }
        isSymmetric ? search.shrinkScale() : search.drawIn(low: low, high: high)
        search.refit()
        return search.best
    }

    /// The grids to begin with; where nothing may be clipped, the only one.
    private func candidates(low: Float, high: Float) -> [UniformGrid] {
        let full = whole(low: low, high: high)
        guard hasPowerOfTwoScales else { return [full] }
        var scale = Self.powerOfTwo(atLeast: full.scale)
        guard range == .leastSquares else { return [anchored(scale, low: low)] }
        var grids: [UniformGrid] = []
        for _ in 0..<6 where scale >= .leastNormalMagnitude {
            grids.append(anchored(scale, low: low))
            if !isSymmetric {
                // Where not all fits, either end or the middle may be what is worth keeping.
                let top = (Double(codes.upperBound) - Double(high) / Double(scale)).rounded(.toNearestOrEven)
                let zeroPoint = Int(min(max(top, Double(codes.lowerBound)), Double(codes.upperBound)))
                grids.append(UniformGrid(scale: scale, zeroPoint: zeroPoint))
                grids.append(UniformGrid(scale: scale, zeroPoint: (zeroPoint + grids[grids.count - 2].zeroPoint) / 2))
            }
            scale /= 2
        }
        return grids
    }

    /// Covers a range that contains 0 and is not empty.
    func whole(low: Float, high: Float) -> UniformGrid {
        guard !isSymmetric else {
            let scale = max(max(-low, high) / Float(codes.upperBound), .leastNormalMagnitude)
            return UniformGrid(scale: scale, zeroPoint: 0)
        }
        let steps = Double(codes.upperBound - codes.lowerBound)
        return anchored(max(Float((Double(high) - Double(low)) / steps), .leastNormalMagnitude), low: low)
    }

    /// With the lowest code at `low`.
    private func anchored(_ scale: Float, low: Float) -> UniformGrid {
        guard !isSymmetric else { return UniformGrid(scale: scale, zeroPoint: 0) }
        let zeroPoint = (Double(codes.lowerBound) - Double(low) / Double(scale)).rounded(.toNearestOrEven)
        return UniformGrid(
            scale: scale, zeroPoint: Int(min(max(zeroPoint, Double(codes.lowerBound)), Double(codes.upperBound))))
    }

    /// Steps from 0 of a value, within the codes.
    @inline(__always)
    func steps(_ value: Float, _ grid: UniformGrid) -> Float {
        let low = Float(codes.lowerBound - grid.zeroPoint)
        let high = Float(codes.upperBound - grid.zeroPoint)
        // Numbers near 1.5·2^23 are 1 apart, so the sum rounds, ties to even, and unlike a call is vectorised.
        return min(max(value / grid.scale, low), high) + 0x1.8p23 - 0x1.8p23
    }

    /// The least power of two that is not below a positive number, or 2^127.
    static func powerOfTwo(atLeast value: Float) -> Float {
        guard value < 0x1p127 else { return 0x1p127 }
        let floor = max(value.binade, .leastNormalMagnitude)
        return floor < value ? 2 * floor : floor
    }
}

/// The best grid seen so far, by (weighted) squared error.
struct LeastSquaresGrid {
    private(set) var best = UniformGrid(scale: 1, zeroPoint: 0)
    private var error = Double.infinity
    private let fit: UniformFit
    private let values: [Float]
    private let importance: [Float]?

    init(fit: UniformFit, values: [Float], importance: [Float]?) {
        (self.fit, self.values, self.importance) = (fit, values, importance)
    }

    mutating func consider(_ grid: UniformGrid) {
        guard grid.scale >= .leastNormalMagnitude, grid.scale.isFinite else { return }
        // With one candidate there is nothing to compare.
        guard fit.range == .leastSquares else {
            best = grid
            return
        }
        let candidate = squaredError(grid)
        guard candidate < error || error == .infinity else { return }
        (best, error) = (grid, candidate)
    }

    func squaredError(_ grid: UniformGrid) -> Double {
        var sum = 0.0
        if let importance {
            for (value, weight) in zip(values, importance) {
                let difference = Double(value) - Double(fit.steps(value, grid) * grid.scale)
                sum += Double(weight) * difference * difference
            }
        } else {
            for value in values {
                let difference = Double(value) - Double(fit.steps(value, grid) * grid.scale)
                sum += difference * difference
            }
        }
        return sum
    }

    /// Eighths of octaves down to 1/32, then 1/32 octaves around the best. Factors come from products, so that every machine
    /// tries the same ones.
    mutating func shrinkScale() {
        let full = best
        for factor in Self.factors { consider(UniformGrid(scale: full.scale * factor, zeroPoint: 0)) }
        let center = best
        for factor in Self.fineFactors { consider(UniformGrid(scale: center.scale * factor, zeroPoint: 0)) }
    }

    /// Both ends together, then each, until neither helps (coordinate descent).
    mutating func drawIn(low: Float, high: Float) {
        var ends = (low: low, high: high)
        for factor in Self.factors where improves(low * factor, high * factor) {
            ends = (low * factor, high * factor)
        }
        // A range on one side of 0 has no other end.
        guard low < 0, high > 0 else { return }
        for _ in 0..<2 {
            let top = ends.high
            for factor in Self.factors where improves(low * factor, top) { ends.low = low * factor }
            let bottom = ends.low
            for factor in Self.factors where improves(bottom, high * factor) { ends.high = high * factor }
        }
    }

    /// Takes the grid over a range if it is better than the best.
    private mutating func improves(_ low: Float, _ high: Float) -> Bool {
        let before = error
        consider(fit.whole(low: low, high: high))
        return error < before
    }

    /// The scale that fits the codes best, Σ v q / Σ q², and the codes that fit it, in turns: neither makes the error larger.
    mutating func refit() {
        for _ in 0..<4 {
            var (product, square) = (0.0, 0.0)
            for (index, value) in values.enumerated() {
                let weight = Double(importance?[index] ?? 1)
                let steps = Double(fit.steps(value, best))
                product += weight * steps * Double(value)
                square += weight * steps * steps
            }
            let before = error
            guard square > 0 else { return }
            consider(UniformGrid(scale: Float(product / square), zeroPoint: best.zeroPoint))
            if error == before { return }
        }
    }

    /// 2^(-1/8) to the powers 1 to 40.
    static let factors = powers(of: 0.917_004, count: 40)
    /// 2^(±1/32) to the powers 1 to 3.
    static let fineFactors = powers(of: 0.978_572_06, count: 3) + powers(of: 1.021_897_1, count: 3)

    private static func powers(of base: Float, count: Int) -> [Float] {
        var power: Float = 1
        return (0..<count).map { _ in
            power *= base
            return power
        }
    }
}
