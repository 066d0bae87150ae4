/// The levels of an integer format in steps of 1, seen from magnitudes: offset, offset + 1, ... offset + last, and
/// their negatives. All errors are squared.
struct CodeLattice: Sendable, Equatable {
    /// ½ where no level is 0, else 0.
    let offset: Double
    let last: Double
    let isStochastic: Bool

    /// nil unless codes are integers.
    init?(_ format: ValueFormat, isStochastic: Bool) {
        guard format.isInteger else { return nil }
        offset = format.hasHalfSteps ? 0.5 : 0
        last = Double(format.levels)
        self.isStochastic = isStochastic
    }

    /// The largest level.
    var reach: Double { offset + last }

    /// Mean error of magnitudes up to `limit`.
    func meanError(of magnitudes: MagnitudeBins, upTo limit: Double, step: Double) -> Double {
        var total = 0.0
        var count = 0.0
        for bin in magnitudes.bins where bin.lower < limit || bin.upper <= limit {
            let upper = min(bin.upper, limit)
            let share = upper < bin.upper ? bin.count * (upper - bin.lower) / (bin.upper - bin.lower) : bin.count
            count += share
            total += share * meanError(from: bin.lower / step, to: upper / step)
        }
        return count > 0 ? total / count * step * step : 0
    }

    /// Mean error of a uniform density, in steps.
    private func meanError(from lower: Double, to upper: Double) -> Double {
        let width = upper - lower
        // Narrower than this the difference of the integrals would be mostly rounding.
        guard width > 0x1p-16 * max(1, upper) else { return error(at: (lower + upper) / 2) }
        return max(0, (integral(upper - offset) - integral(lower - offset)) / width)
    }

    /// Error of one magnitude, in steps.
    private func error(at magnitude: Double) -> Double {
        let x = magnitude - offset
        guard isStochastic, x < last else {
            let rest = x - min((x + 0.5).rounded(.down), last)
            return rest * rest
        }
        let fraction = x - x.rounded(.down)
        return fraction * (1 - fraction)
    }

    /// ∫ of the error from level 0 to x; each whole step contributes 1/12, or 1/6 with stochastic rounding.
    private func integral(_ x: Double) -> Double {
        if isStochastic, x < last {
            let whole = x.rounded(.down)
            let fraction = x - whole
            return whole / 6 + fraction * fraction * (0.5 - fraction / 3)
        }
        let level = min((x + 0.5).rounded(.down), last)
        let rest = x - level
        return level / (isStochastic ? 6 : 12) + rest * rest * rest / 3
    }
}
