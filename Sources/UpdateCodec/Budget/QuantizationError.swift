/// What writing values in a format is expected to cost, Σ(x − decoded x)², from their magnitudes' distribution alone.
struct QuantizationError: Sendable {
    /// A binary16 scale is rounded up by a share uniform in [0, 2^-10 / significand): its mean square is 2^-20 / 6.
    private static let scaleRounding = 0x1p-20 / 6

    let scheme: WireScheme

    init(_ scheme: WireScheme) { self.scheme = scheme }

    private var isStochastic: Bool { scheme.rounding == .stochastic }

    func expected(_ values: MagnitudeBins, _ format: ValueFormat) -> Double {
        guard values.count > 0, values.squares > 0 else { return 0 }
        let written = scheme.rotates && format.takesRotation ? values.rotated : values
        let blocks = (written.count / Double(max(1, scheme.blockSize))).rounded(.up)
        switch format {
        case .float32: return 0
        case .float16: return halfError(written)
        case .int8, .int6, .int4, .int3, .int2: return integerError(written, format, blocks)
        case .sign where isStochastic:
            // ±M with E = x has the error M² − x².
            let maxima = blockMaxima(written, blocks)
            let square = maxima.reduce(0) { $0 + $1 * $1 } / Double(maxima.count)
            return max(0, written.count * square - written.squares) + Self.scaleRounding * written.squares
        case .ternary, .sign:
            // Each block has a mean of its own, so it has one degree of freedom less than values.
            let mean = written.sum / written.count
            let variance = max(0, written.squares / written.count - mean * mean)
            return max(0, written.count - blocks) * variance + Self.scaleRounding * written.squares
        case .bfloat16, .codebook16, .codebook256:
            preconditionFailure("a budget does not choose \(format)")
        }
    }

    private func blockMaxima(_ values: MagnitudeBins, _ blocks: Double) -> [Double] {
        // The blocks' mean size: the last one is shorter, which shows where there are few.
        values.blockMaxima(max(1, Int((values.count / blocks).rounded())))
    }

    /// Σ over a few equally likely largest magnitudes of a block; given the largest one, the others are distributed as
    /// all values below it are.
    private func integerError(_ values: MagnitudeBins, _ format: ValueFormat, _ blocks: Double) -> Double {
        guard let lattice = CodeLattice(format, isStochastic: isStochastic) else { return 0 }
        let clips = scheme.clips(format)
        func error(_ largest: Double, _ clip: Double) -> Double {
            let step = clip * largest / lattice.reach
            let cut = (1 - clip) * largest
            return (values.count - blocks) * lattice.meanError(of: values, upTo: largest, step: step) + blocks * cut
                * cut
        }
        let maxima = blockMaxima(values, blocks)
        let total = maxima.reduce(0) { total, largest in
            guard largest > 0 else { return total }
            return total + (clips ? leastError { error(largest, $0) } : error(largest, 1))
        }
        return total / Double(maxima.count) + Self.scaleRounding * values.squares
    }

    /// The least of the encoder's clip factors, 1 to 0.3: every fifth, then the neighbours of the best.
    private func leastError(_ error: (_ clip: Double) -> Double) -> Double {
        let coarse = [1, 0.8, 0.6, 0.4].map { (clip: $0, error: error($0)) }
        guard var best = coarse.first else { return 0 }
        for some in coarse where some.error < best.error { best = some }
        let neighbours = [best.clip - 0.1, best.clip + 0.1].filter { $0 < 1 }
        return neighbours.reduce(best.error) { min($0, error($1)) }
    }

    /// Spacing²/12 of binary16, which has 10 bits behind the leading one and goes denormal 2^29 below the power of two at
    /// or below the largest value.
    private func halfError(_ values: MagnitudeBins) -> Double {
        guard let top = values.bins.last else { return 0 }
        let finest = top.lower.binade * 0x1p-38
        return values.bins.reduce(0) { total, bin in
            let spacing = max(bin.mean.binade * 0x1p-10, finest)
            return total + bin.count * min(spacing * spacing / 12, bin.meanSquare)
        }
    }
}
