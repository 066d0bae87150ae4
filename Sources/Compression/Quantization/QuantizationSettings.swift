import ModelGraph

/// Everything that decides a quantized file besides the model and what its data say.
public struct QuantizationSettings: Sendable, Equatable {
    /// How many bits weights get.
    public enum Amount: Sendable, Equatable {
        /// All those of the scheme.
        case same
        /// So many on average over all quantized weights, each layer its own.
        case averageBits(Double)
        /// Bytes of all quantized weights as the file holds them (`WeightStorage`).
        case bytes(Int)
        /// Sum over layers of multiply-accumulates x bits of the weights x bits of the activations.
        case bitOperations(Double)
        /// Of one sample: layers that save time become integers of the scheme's bits, and the others stay float32.
        case milliseconds(Double)
    }

    public var target: DeploymentTarget
    public var weights: WeightScheme
    public var rounding: RoundingMethod
    public var amount: Amount
    /// The numbers of bits that a budget chooses from, ascending.
    public var candidates: [Int]
    /// Weights or nodes that stay float.
    public var excluded: [String]
    /// Whether channels of neighbouring layers are brought to one range first.
    public var equalizes: Bool
    /// Whether biases take back what rounding adds to the means, where moments say what that is.
    public var correctsBiases: Bool
    public var calibration: CalibrationMethod
    /// Whether activations' scales are powers of two.
    public var hasPowerOfTwoActivations: Bool
    /// Of the file; nil is the oldest that the target and the model can have, 17 at least.
    public var opset: Int64?
    /// Whether weights below 8 bits lie packed in the file.
    public var packs: Bool

    /// - Parameters:
    ///   - weights: nil is the target's own (`WeightScheme.init(for:)`).
    ///   - candidates: nil is those of 2 to 6 bits that the target can hold, and its most.
    public init(
        target: DeploymentTarget = .x86, weights: WeightScheme? = nil, rounding: RoundingMethod = .nearest,
        amount: Amount = .same, candidates: [Int]? = nil, excluded: [String] = [],
        equalizes: Bool = false, correctsBiases: Bool = true, calibration: CalibrationMethod = .percentile(99.999),
        hasPowerOfTwoActivations: Bool = false, opset: Int64? = nil, packs: Bool = true
    ) {
        self.target = target
        self.weights = weights ?? WeightScheme(for: target)
        let most = target.mostBits(levels: self.weights.levels)
        self.candidates = candidates ?? [2, 3, 4, 5, 6].filter { $0 < most } + [most]
        (self.rounding, self.amount, self.excluded) = (rounding, amount, excluded)
        (self.equalizes, self.correctsBiases, self.calibration) = (equalizes, correctsBiases, calibration)
        (self.hasPowerOfTwoActivations, self.opset, self.packs) = (hasPowerOfTwoActivations, opset, packs)
    }

    /// - Throws: `CompressionError.valueOutOfRange`.
    public func validate() throws(CompressionError) {
        try weights.validate()
        guard !candidates.isEmpty, candidates.allSatisfy((2...8).contains), candidates == candidates.sorted(),
            Set(candidates).count == candidates.count
        else {
            throw .valueOutOfRange("candidates \(candidates) are no ascending numbers of bits from 2 to 8")
        }
        var plain = WeightScheme(for: target)
        plain.largestCode = weights.largestCode
        guard target.hasIntegerWeights || (amount == .same && rounding == .nearest && !equalizes && weights == plain)
        else {
            throw .valueOutOfRange(
                "target '\(target.rawValue)' has no integer weights, so bits, levels, scales, rounding and equalization say nothing "
                    + "of it: leave them away, or choose another target")
        }
        try validateAmount()
    }

    private func validateAmount() throws(CompressionError) {
        let most = target.mostBits(levels: weights.levels)
        func tooMany(_ bits: Int) -> CompressionError {
            .valueOutOfRange("target '\(target.rawValue)' holds weights of \(most) bits at most, not \(bits)")
        }
        var widest = weights.bits
        switch amount {
        case .same: break
        case .averageBits(let bits):
            guard (2...8).contains(bits) else {
                throw .valueOutOfRange("an average of \(bits) bits is out of range: it must lie between 2 and 8")
            }
        case .bytes(let bytes):
            guard bytes > 0 else { throw .valueOutOfRange("a budget of \(bytes) bytes holds nothing") }
        case .bitOperations(let operations):
            guard operations > 0, operations.isFinite else {
                throw .valueOutOfRange("a budget of \(operations) bit operations is none")
            }
        case .milliseconds(let milliseconds):
            guard milliseconds > 0, milliseconds.isFinite else {
                throw .valueOutOfRange("a budget of \(milliseconds) milliseconds is none")
            }
        }
        guard target.hasIntegerWeights else { return }
        switch amount {
        case .same, .milliseconds: break
        case .averageBits, .bytes, .bitOperations: widest = candidates.last ?? widest
        }
        if widest > most { throw tooMany(widest) }
    }
}

extension QuantizationSettings {
    /// What depends on the model: whether it is quantized already, and whether its file can hold the scheme.
    /// - Parameter deployed: for inference.
    func check(_ deployed: Graph) throws(CompressionError) {
        guard target != .float32 else { return }
        if let reason = deployed.reasonAlreadyQuantized { throw .valueOutOfRange(reason) }
        let opset = opset(for: deployed)
        guard opset >= target.leastOpset else {
            throw .valueOutOfRange(
                "target '\(target.rawValue)' needs opset \(target.leastOpset) or newer, not \(opset); raise the opset")
        }
        guard target.hasIntegerWeights else { return }
        var size: Int?
        if case .block(let found) = weights.granularity { size = found }
        let form = WeightForm(
            bits: min(weights.bits, target.mostBits(levels: weights.levels)), hasZeroPoints: !weights.isSymmetric,
            blockSize: size, hasCodebook: weights.levels != .uniform)
        if let refusal = target.refusal(of: form, isMatrix: true, opset: opset) {
            throw .valueOutOfRange("target '\(target.rawValue)' cannot hold weights \(refusal.what); \(refusal.mend)")
        }
    }

    /// Of the file.
    func opset(for deployed: Graph) -> Int64 { opset ?? max(deployed.opset, target.leastOpset, 17) }
}

extension WeightScheme {
    /// What a target's kernels take, at their most bits.
    public init(for target: DeploymentTarget) {
        switch target {
        case .x86NoVNNI: self.init(bits: 7, largestCode: target.largestWeightCode)
        case .int4: self.init(bits: 4, granularity: .block(32), range: .leastSquares)
        case .float32, .x86, .arm, .tensorrt, .int8Weights, .dynamic, .float16, .bfloat16: self.init()
        }
    }
}

extension DeploymentTarget {
    /// The most bits of a weight. Codebooks have fewer: their levels become int8.
    public func mostBits(levels: WeightScheme.Levels = .uniform) -> Int {
        min(WeightScheme(for: self).bits, levels.mostBits)
    }

    /// Whether weights are stored as integers.
    public var hasIntegerWeights: Bool {
        switch self {
        case .x86, .x86NoVNNI, .arm, .tensorrt, .int4, .int8Weights, .dynamic: true
        case .float32, .float16, .bfloat16: false
        }
    }
}
