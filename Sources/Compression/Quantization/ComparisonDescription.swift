/// A comparison explained from its bytes alone, without the model.
public struct ComparisonDescription: Sendable, Equatable, Codable {
    public struct LayerDescription: Sendable, Equatable, Codable {
        /// The weight's name.
        public let name: String
        /// Decibels, and -1 to 1; nil where nothing was compared.
        public let signalToNoise: Double?
        public let cosine: Double?
    }

    /// The largest file that is read: more than any model's comparison takes.
    public static let byteLimit = 1 << 28
    /// The most layers accepted.
    static let layerLimit = 1 << 20

    /// Outputs that were compared, and those whose largest number is at the same place in both models.
    public let outputs: Int
    public let agreeing: Int
    public let layers: [LayerDescription]

    /// - Throws: `CompressionError.malformedComparison`, as `ComparisonSums(parsing:expecting:)`.
    public init(describing bytes: [UInt8]) throws(CompressionError) {
        guard bytes.starts(with: ComparisonSums.magic) else { throw .malformedComparison("it does not begin as one") }
        // Two counts of outputs stand before that of layers.
        var reader = VarintReader(bytes: bytes, offset: ComparisonSums.magic.count)
        guard (try? reader.take(16)) != nil, let count = try? reader.fixed(UInt32.self), count <= Self.layerLimit else {
            throw .malformedComparison("it is cut short, or counts too many layers")
        }
        var names: [String] = []
        for _ in 0..<count {
            guard let length = try? reader.fixed(UInt32.self), let text = try? reader.take(UInt64(length)),
                let name = String(validating: text, as: UTF8.self), (try? reader.take(32)) != nil
            else { throw .malformedComparison("it is cut short, or a name is not UTF-8") }
            names.append(name)
        }
        let sums = try ComparisonSums(parsing: bytes, expecting: names)
        (outputs, agreeing) = (sums.outputs, sums.agreeing)
        layers = zip(sums.layers, sums.agreements).map {
            LayerDescription(name: $0, signalToNoise: $1.signalToNoise, cosine: $1.cosine)
        }
    }
}
