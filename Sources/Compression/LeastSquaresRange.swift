import ModelGraph

/// Finds the range whose uint8 quantization has the least expected squared error, on the histogram alone.
///
/// Both ends are first drawn in together, then one at a time until neither helps (coordinate descent). Candidates are
/// log-spaced, as bins are: outliers up to 4,000 times beyond the bulk can be cut off.
struct LeastSquaresRange {
    private(set) var low: Double
    private(set) var high: Double
    private(set) var error: Double
    private let bins: [BinInterval]
    private let full: (low: Double, high: Double)

    /// - Parameter full: the range of all values, containing 0.
    init(_ bins: [BinInterval], full: (low: Double, high: Double)) {
        self.bins = bins
        self.full = full
        (low, high) = full
        error = Self.squaredError(bins, low: low, high: high)
        drawIn(movesLow: true, movesHigh: true)
        guard full.low < 0, full.high > 0 else { return }
        for _ in 0..<4 {
            let before = error
            drawIn(movesLow: true, movesHigh: false)
            drawIn(movesLow: false, movesHigh: true)
            if error == before { break }
        }
    }

    /// Tries quarter octaves from the full range inwards, then 1/32 octaves around the best. Factors come from products,
    /// not from a library's power function, so that every machine tries the same ones.
    private mutating func drawIn(movesLow: Bool, movesHigh: Bool) {
        let fixed = (low: low, high: high)
        var factor = 1.0
        for _ in 0..<48 {
            factor *= 0.840_896_415_253_714_5  // 2^(-1/4)
            consider(movesLow ? full.low * factor : fixed.low, movesHigh ? full.high * factor : fixed.high)
        }
        let center = (low: low, high: high)
        for step in [0.978_572_062_087_700_1, 1.021_897_148_654_116_7] {  // 2^(-1/32), 2^(1/32)
            factor = 1
            for _ in 0..<7 {
                factor *= step
                consider(movesLow ? center.low * factor : center.low, movesHigh ? center.high * factor : center.high)
            }
        }
    }

    private mutating func consider(_ low: Double, _ high: Double) {
        let (low, high) = (max(full.low, low), min(full.high, high))
        let candidate = Self.squaredError(bins, low: low, high: high)
        guard candidate < error else { return }
        (self.low, self.high, error) = (low, high, candidate)
    }

    /// Sum over all values of (dequantized − value)², with each bin's values spread evenly. Bins wider than a step err by
    /// step²/12; narrower ones by their centre's distance to the grid, which is none for the many zeros of a Relu;
    /// those beyond the range by their distance to its end.
    static func squaredError(_ bins: [BinInterval], low: Double, high: Double) -> Double {
        let quantization = ActivationQuantization(low: low, high: high)
        let step = Double(quantization.scale)
        let bottom = -Double(quantization.zeroPoint) * step
        let top = (255 - Double(quantization.zeroPoint)) * step
        var sum = 0.0
        for bin in bins {
            let center = bin.center
            let own = bin.width * bin.width / 12
            let beyond = max(bottom - center, center - top)
            if beyond > step / 2 {
                sum += bin.count * (beyond * beyond + own)
            } else if bin.width >= step {
                sum += bin.count * step * step / 12
            } else {
                let distance = center - (center / step).rounded(.toNearestOrEven) * step
                sum += bin.count * (distance * distance + own)
            }
        }
        return sum
    }
}
