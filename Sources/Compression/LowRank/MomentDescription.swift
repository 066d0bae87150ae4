/// A set of second moments explained from its bytes alone, without the model.
public struct MomentDescription: Sendable, Equatable, Codable {
    public struct LayerDescription: Sendable, Equatable, Codable {
        /// The weight's name.
        public let name: String
        /// Rows of the symmetric matrix.
        public let size: Int
        /// Of what was measured: the root of the mean square.
        public let rootMeanSquare: Double
        /// The largest mean square of one of them.
        public let largest: Float
    }

    /// The most layers accepted.
    static let layerLimit = 1 << 16

    public let layers: [LayerDescription]

    /// - Throws: `CompressionError.malformedMoments`.
    public init(describing bytes: [UInt8]) throws(CompressionError) {
        guard bytes.starts(with: MomentSet.magic) else { throw Self.malformed("they do not begin as such") }
        var reader = VarintReader(bytes: bytes, offset: MomentSet.magic.count)
        var heads: [(name: String, size: Int)] = []
        var numbers = 0
        guard let count = try? reader.fixed(UInt32.self), count <= Self.layerLimit else {
            throw Self.malformed("they count too many layers")
        }
        for _ in 0..<count {
            guard let length = try? reader.fixed(UInt32.self), let text = try? reader.take(UInt64(length)),
                let name = String(validating: text, as: UTF8.self), let size = try? Int(reader.fixed(UInt32.self)),
                (1...MomentLayout.largestSize).contains(size)
            else { throw Self.malformed("a layer's name or extent is none") }
            heads.append((name, size))
            numbers += MomentLayout.numbers(size)
            guard numbers <= MomentLayout.mostNumbers else { throw Self.malformed("they are too large") }
        }
        guard bytes.count - reader.offset == 4 * numbers else {
            throw Self.malformed("\(bytes.count - reader.offset) bytes stand where \(4 * numbers) are needed")
        }
        var offset = reader.offset
        var layers: [LayerDescription] = []
        for (name, size) in heads {
            let triangle = MomentSet.floats(bytes, offset, MomentLayout.numbers(size))
            offset += 4 * triangle.count
            if let reason = MomentSet.objection(to: triangle, size: size) {
                throw .malformedMoments(tensor: name, reason: reason)
            }
            var diagonal: [Float] = []
            var next = 0
            for row in 0..<size {
                diagonal.append(triangle[next])
                next += size - row
            }
            let mean = diagonal.reduce(0.0) { $0 + Double($1) } / Double(size)
            layers.append(
                LayerDescription(
                    name: name, size: size, rootMeanSquare: mean.squareRoot(), largest: diagonal.max() ?? 0))
        }
        self.layers = layers
    }

    private static func malformed(_ reason: String) -> CompressionError {
        .malformedMoments(tensor: "", reason: reason)
    }
}
