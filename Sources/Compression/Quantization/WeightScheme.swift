import Tensors

/// How a weight's numbers become integers (METHODS "Quantization").
public struct WeightScheme: Sendable, Equatable {
    /// Which weights have one scale.
    public enum Granularity: Sendable, Equatable {
        case tensor
        /// Those of one output.
        case channel
        /// Runs of so many inputs of one output.
        case block(Int)
    }

    /// What the codes stand for, times the scale.
    public enum Levels: Sendable, Equatable {
        /// Steps of one width.
        case uniform
        /// 2^bits centres fitted to the tensor, one of them 0 (Han et al. 2016, "Deep Compression", section 3).
        case kMeans
        /// 0 and ±2^-k (Zhou et al. 2017, "Incremental Network Quantization", equation 1).
        case powersOfTwo
        /// Quantiles of the normal distribution (Dettmers et al. 2023, "QLoRA", section 3).
        case normalQuantiles
    }

    /// How a scale is chosen.
    public enum Range: Sendable, Equatable {
        /// Nothing is clipped.
        case minMax
        /// The least squared error, weighted where weights' importance is given.
        case leastSquares
    }

    /// 2 to 8.
    public var bits: Int
    /// Codes around 0, without zero points. Only uniform levels know the other kind.
    public var isSymmetric: Bool
    public var granularity: Granularity
    /// Scales are powers of two, so that dequantizing is a shift.
    public var hasPowerOfTwoScales: Bool
    public var levels: Levels
    public var range: Range
    /// The largest magnitude that levels of a codebook may have as the integers that the target's kernels multiply
    /// (`DeploymentTarget.largestWeightCode`).
    public var largestCode: Int

    public init(
        bits: Int = 8, isSymmetric: Bool = true, granularity: Granularity = .channel, hasPowerOfTwoScales: Bool = false,
        levels: Levels = .uniform, range: Range = .minMax, largestCode: Int = 127
    ) {
        self.largestCode = largestCode
        (self.bits, self.isSymmetric, self.granularity) = (bits, isSymmetric, granularity)
        (self.hasPowerOfTwoScales, self.levels, self.range) = (hasPowerOfTwoScales, levels, range)
    }

    /// - Throws: `CompressionError.valueOutOfRange`.
    public func validate() throws(CompressionError) {
        guard (2...8).contains(bits) else {
            throw .valueOutOfRange("weights of \(bits) bits are out of range: they must have 2 to 8")
        }
        if case .block(let size) = granularity, !(1...65_536).contains(size) {
            throw .valueOutOfRange("blocks of \(size) weights are out of range: they must have 1 to 65536")
        }
        guard bits <= levels.mostBits else {
            throw .valueOutOfRange(
                levels == .powersOfTwo
                    ? "powers of two have 2 to 4 bits, not \(bits): int8 holds no smaller shares of the largest"
                    : "a codebook of \(bits) bits cannot be stored: give weights 2 to 7")
        }
        guard (1...127).contains(largestCode) else {
            throw .valueOutOfRange("levels up to \(largestCode) are no int8: give 1 to 127")
        }
        guard isSymmetric || levels == .uniform else {
            throw .valueOutOfRange("a codebook has no zero points: make the scheme symmetric, or its levels uniform")
        }
    }

    /// The signed codes of uniform levels.
    var codes: ClosedRange<Int> {
        let half = 1 << (bits - 1)
        return isSymmetric ? -(half - 1)...(half - 1) : -half...(half - 1)
    }
}

extension WeightScheme.Levels {
    /// The most bits whose levels int8 can hold: of powers of two it has 1 to 64 and their negatives.
    public var mostBits: Int {
        switch self {
        case .uniform: 8
        case .kMeans, .normalQuantiles: 7
        case .powersOfTwo: 4
        }
    }
}
