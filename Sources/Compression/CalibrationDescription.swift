import Tensors

/// A calibration set explained from its bytes alone, without the model. One histogram is in memory at a time.
public struct CalibrationDescription: Sendable, Equatable, Codable {
    /// One calibrated tensor. What needs a value is nil where none was counted.
    public struct TensorDescription: Sendable, Equatable, Codable {
        public let name: String
        /// How many values were counted.
        public let values: UInt64
        public let minimum: Float?
        public let maximum: Float?
        public let mean: Double?
        public let rootMeanSquare: Double?
        /// Bins that hold values, of `ActivationHistogram`'s 4,096.
        public let usedBins: Int
    }

    /// The largest file that is read: more than any model's set takes.
    public static let byteLimit = 1 << 30
    /// The most tensors accepted: a histogram in memory is some thousand times the bytes of an empty one in a file.
    static let tensorLimit = 1 << 16

    public let tensors: [TensorDescription]

    /// - Throws: `CompressionError.malformedCalibration`, as `CalibrationSet(parsing:expecting:)`.
    public init(describing bytes: [UInt8]) throws(CompressionError) {
        guard bytes.starts(with: CalibrationSet.magic) else { throw .malformedCalibration("it does not begin as one") }
        var reader = VarintReader(bytes: bytes, offset: CalibrationSet.magic.count)
        let count = try reader.varint()
        guard count <= UInt64(Self.tensorLimit) else {
            throw .malformedCalibration("it counts \(count) tensors, above the limit of \(Self.tensorLimit)")
        }
        var tensors: [TensorDescription] = []
        var names: Set<String> = []
        for _ in 0..<count {
            guard let name = String(validating: try reader.take(reader.varint()), as: UTF8.self) else {
                throw .malformedCalibration("a name is not UTF-8")
            }
            guard names.insert(name).inserted else { throw .malformedCalibration("a name appears twice") }
            tensors.append(TensorDescription(name, try CalibrationSet.histogram(&reader)))
        }
        guard reader.isAtEnd else { throw .malformedCalibration("bytes follow its end") }
        self.tensors = tensors
    }
}

extension CalibrationDescription.TensorDescription {
    init(_ name: String, _ histogram: ActivationHistogram) {
        let isEmpty = histogram.count == 0
        self.name = name
        values = histogram.count
        minimum = isEmpty ? nil : histogram.minimum
        maximum = isEmpty ? nil : histogram.maximum
        mean = isEmpty ? nil : histogram.mean
        rootMeanSquare = isEmpty ? nil : histogram.meanSquare.squareRoot()
        usedBins = histogram.counts.reduce(0) { $0 + ($1 == 0 ? 0 : 1) }
    }
}
