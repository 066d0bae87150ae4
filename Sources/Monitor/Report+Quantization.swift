import Foundation

// What a quantized file is, and what quantizing did to each of its layers.

extension Report {
    /// Of the exported file; shares are 0 to 1, what was not measured is null.
    public struct Quantization: Sendable, Equatable, Codable {
        /// Something that a budget could have had.
        public struct Point: Sendable, Equatable, Codable {
            /// In the budget's unit.
            public var size: Int
            /// The sum of what its layers cost.
            public var cost: Double

            public init(size: Int, cost: Double) { (self.size, self.cost) = (size, cost) }
        }

        public var target: String
        /// Of all quantized weights' elements.
        public var averageBits: Double?
        /// How many weights are quantized.
        public var weights: Int
        /// Share of compared outputs on which the file and the float model say the same.
        public var agreement: Double?
        /// Share of multiply-accumulates in integer kernels.
        public var integerShare: Double?
        /// Layers whose bits were given up to hold the accuracy, and what they have instead.
        public var givenUp: [String]
        /// Nodes that the target's runtime is predicted to compute in float32, with the reason.
        public var floatNodes: [String]
        public var remarks: [String]
        /// The best cost for each size, the smallest first; empty without a budget.
        public var front: [Point]

        public init(
            target: String, averageBits: Double?, weights: Int, agreement: Double?, integerShare: Double?,
            givenUp: [String], floatNodes: [String], remarks: [String], front: [Point]
        ) {
            (self.target, self.averageBits, self.weights) = (target, averageBits, weights)
            (self.agreement, self.integerShare, self.givenUp) = (agreement, integerShare, givenUp)
            (self.floatNodes, self.remarks, self.front) = (floatNodes, remarks, front)
        }
    }

    /// One quantized weight.
    public struct Layer: Sendable, Equatable, Codable {
        public var layer: String
        public var bits: Int
        /// Elements.
        public var weights: Int
        /// Of all quantized weights.
        public var shareOfBytes = 0.0
        public var shareOfMacs: Double?
        /// What shares a scale: tensor, channel or block.
        public var scales = ""
        public var rounding = ""
        /// Share of the outputs' variance that rounding the weight alone adds.
        public var relativeError: Double?
        /// Of what the layer computes in the file: decibels, and -1 to 1.
        public var signalToNoise: Double?
        public var cosine: Double?
        /// The range of the values that it computes, and the share of values beyond it.
        public var low: Double?
        public var high: Double?
        public var clippedShare: Double?
        /// Mean divergence of the model's outputs with this layer alone at these bits.
        public var sensitivity: Double?
        /// What would help most, where something would.
        public var advice: String?

        public init(layer: String, bits: Int, weights: Int) {
            (self.layer, self.bits, self.weights) = (layer, bits, weights)
        }
    }
}

extension Report.Quantization.Point {
    private enum Key: String, CodingKey { case size, cost }

    /// A cost that is no number is 0.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(size, forKey: .size)
        try container.encode(cost.finiteOrZero, forKey: .cost)
    }
}

extension Report.Quantization {
    private enum Key: String, CodingKey {
        case target, averageBits, weights, agreement, integerShare, givenUp, floatNodes, remarks, front
    }

    /// Every key is there, null when not measured.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(target, forKey: .target)
        try container.encode(averageBits.finite, forKey: .averageBits)
        try container.encode(weights, forKey: .weights)
        try container.encode(agreement.finite, forKey: .agreement)
        try container.encode(integerShare.finite, forKey: .integerShare)
        try container.encode(givenUp, forKey: .givenUp)
        try container.encode(floatNodes, forKey: .floatNodes)
        try container.encode(remarks, forKey: .remarks)
        try container.encode(front, forKey: .front)
    }
}

extension Report.Layer {
    private enum Key: String, CodingKey {
        case layer, bits, weights, shareOfBytes, shareOfMacs, scales, rounding, relativeError, signalToNoise, cosine
        case low, high, clippedShare, sensitivity, advice
    }

    /// Every key is there, null when not measured.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(layer, forKey: .layer)
        try container.encode(bits, forKey: .bits)
        try container.encode(weights, forKey: .weights)
        try container.encode(shareOfBytes.finiteOrZero, forKey: .shareOfBytes)
        try container.encode(shareOfMacs.finite, forKey: .shareOfMacs)
        try container.encode(scales, forKey: .scales)
        try container.encode(rounding, forKey: .rounding)
        try container.encode(relativeError.finite, forKey: .relativeError)
        try container.encode(signalToNoise.finite, forKey: .signalToNoise)
        try container.encode(cosine.finite, forKey: .cosine)
        try container.encode(low.finite, forKey: .low)
        try container.encode(high.finite, forKey: .high)
        try container.encode(clippedShare.finite, forKey: .clippedShare)
        try container.encode(sensitivity.finite, forKey: .sensitivity)
        try container.encode(advice, forKey: .advice)
    }
}
