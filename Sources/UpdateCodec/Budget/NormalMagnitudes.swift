extension MagnitudeBins {
    /// Magnitudes of a normal distribution of variance 1, in bins of a twelfth up to 5¹⁄₃; the counts' sum is 1.
    private static let unitNormal: [MagnitudeBin] = {
        let width = 1.0 / 12
        let raw = (0..<64).map { index in
            let lower = Double(index) * width
            let middle = lower + width / 2
            // e^(−x²/2) as (1 − x²/2^21)^(2^20): 1e-4 off at most, and the same on every machine.
            let density = power(1 - middle * middle * 0x1p-21, 1 << 20)
            return MagnitudeBin(lower: lower, upper: lower + width, count: density)
        }
        let total = raw.reduce(0) { $0 + $1.count }
        return raw.map { MagnitudeBin(lower: $0.lower, upper: $0.upper, count: $0.count / total) }
    }()

    /// What a random rotation makes of these: as many values, as large a Σx², nearly normal (Vargaftik et al. 2021,
    /// "DRIVE", section 4).
    var rotated: MagnitudeBins {
        guard count > 0 else { return self }
        let deviation = (squares / count).squareRoot()
        return MagnitudeBins(
            Self.unitNormal.map {
                MagnitudeBin(lower: $0.lower * deviation, upper: $0.upper * deviation, count: $0.count * count)
            })
    }
}
