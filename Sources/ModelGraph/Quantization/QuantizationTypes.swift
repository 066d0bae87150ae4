import Tensors

/// How one activation tensor maps to 8-bit integers: real = scale (stored - zeroPoint).
public struct ActivationQuantization: Sendable, Equatable {
    /// How the integers are stored.
    public enum Storage: Sendable, Equatable {
        case uint8
        case int8

        /// The integers that it can hold.
        public var codes: ClosedRange<Int32> {
            switch self {
            case .uint8: 0...255
            case .int8: -128...127
            }
        }
    }

    public let scale: Float
    /// Among `storage.codes`.
    public let zeroPoint: Int32
    public let storage: Storage
    /// Whether the scale must stay a power of two where the range is changed.
    public let isPowerOfTwo: Bool

    /// Precondition: the storage holds the zero point.
    public init(scale: Float, zeroPoint: Int32, storage: Storage = .uint8, isPowerOfTwo: Bool = false) {
        precondition(storage.codes.contains(zeroPoint), "zero point \(zeroPoint) of \(storage)")
        (self.scale, self.zeroPoint, self.storage) = (scale, zeroPoint, storage)
        self.isPowerOfTwo = isPowerOfTwo
    }
}

/// A weight in integers of 2 to 8 bits: real = scale (code - zero point), or scale x codebook[code].
public struct QuantizedWeight: Sendable, Equatable {
    /// Runs of one channel's weights that have scales of their own.
    public struct Blocks: Sendable, Equatable {
        /// The axis along which runs lie: that of the inputs, not `QuantizedWeight.axis`.
        public let axis: Int
        /// Weights of a run; the last of an axis may be shorter.
        public let size: Int

        public init(axis: Int, size: Int) { (self.axis, self.size) = (axis, size) }
    }

    /// int8 of the float weight's shape: signed codes, or indices of the codebook.
    public let values: Tensor
    /// 2 to 8. Signed codes are in -(2^(bits-1) - 1)...2^(bits-1) - 1 where there are no zero points, else in
    /// -2^(bits-1)...2^(bits-1) - 1; indices are below 2^bits.
    public let bits: Int
    /// Positive. One per index of `axis`; with blocks, the weight's elements with `blocks.axis` divided by the blocks'
    /// size (rounded up), row-major.
    public let scales: [Float]
    /// As many as scales, or nil where all are 0. Not with a codebook.
    public let zeroPoints: [Int8]?
    /// The axis of the output channels, as `quantizableWeights` gives it.
    public let axis: Int
    public let blocks: Blocks?
    /// 2^bits levels or fewer, ascending, one of them 0; nil for uniform steps.
    public let codebook: [Float]?

    public init(
        values: Tensor, scales: [Float], axis: Int, bits: Int = 8, zeroPoints: [Int8]? = nil, blocks: Blocks? = nil,
        codebook: [Float]? = nil
    ) {
        (self.values, self.scales, self.axis, self.bits) = (values, scales, axis, bits)
        (self.zeroPoints, self.blocks, self.codebook) = (zeroPoints, blocks, codebook)
    }

    /// The same weight with larger scales for some channels, its values rounded to the coarser steps; powers of two where all
    /// scales are such. Precondition: neither blocks, zero points nor a codebook; every power of two is finite.
    func raisingScales(to least: [Float]) -> QuantizedWeight {
        guard least != scales else { return self }
        let arePowersOfTwo = scales.allSatisfy { $0.significand == 1 }
        let larger = zip(scales, least).map { scale, least in
            guard arePowersOfTwo, scale < least else { return least }
            return least.significand == 1 ? least : 2 * least.binade
        }
        precondition(blocks == nil && zeroPoints == nil && codebook == nil, "only scales of channels can be raised")
        let inner = values.shape.dimensions[(axis + 1)...].reduce(1, *)
        var integers = values.elements(as: Int8.self)
        for index in integers.indices {
            let channel = index / inner % scales.count
            guard larger[channel] != scales[channel] else { continue }
            // Steps grow, so the magnitude shrinks and stays in range.
            integers[index] = Int8(
                (Float(integers[index]) * (scales[channel] / larger[channel])).rounded(.toNearestOrEven))
        }
        return QuantizedWeight(
            values: Tensor(elements: integers, elementType: .int8, shape: values.shape), scales: larger, axis: axis,
            bits: bits)
    }
}
