import Compression
import Federation
import Foundation

/// What a compact file is and what quantizing did to each of its layers: a blob that the ledger names, so that a comparison made
/// later goes into it and the report is written from it.
package struct FileExplanation: Equatable, Codable {
    package var facts: QuantizationFacts
    /// Share of compared outputs whose largest number is at the same place; nil before a comparison.
    package var agreement: Double?
    /// What a budget could have had, the smallest first.
    package var front: [Point]
    /// The worst first once they were compared.
    package var layers: [LayerExplanation]

    /// A size in the budget's unit, and the least that its layers cost together.
    package struct Point: Equatable, Codable {
        package var size: Int
        package var cost: Double
    }

    /// How every one of them begins: keys in the order of the alphabet.
    package static let magic = Array("{\"agreement\":".utf8)
    /// More than any model's explanation takes.
    package static let byteLimit = 64 << 20

    /// Points that are kept of a front.
    private static let mostPoints = 200

    /// - Parameter front: of which the first and the last point stay, and some of those between.
    package init(facts: QuantizationFacts, front: [BitAllocation.Point], layers: [LayerExplanation]) {
        self.facts = facts
        let places =
            front.count > Self.mostPoints
            ? (0..<Self.mostPoints).map { $0 * (front.count - 1) / (Self.mostPoints - 1) } : Array(front.indices)
        self.front = places.map { Point(size: front[$0].size, cost: front[$0].cost) }
        self.layers = layers
        // Its own digest is no part of it.
        self.facts.explanation = nil
    }

    private enum Key: String, CodingKey { case agreement, facts, front, layers }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        facts = try container.decode(QuantizationFacts.self, forKey: .facts)
        agreement = try container.decode(Double?.self, forKey: .agreement)
        front = try container.decode([Point].self, forKey: .front)
        layers = try container.decode([LayerExplanation].self, forKey: .layers)
    }

    /// Every key is there, null where nothing was compared.
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(agreement, forKey: .agreement)
        try container.encode(facts, forKey: .facts)
        try container.encode(front, forKey: .front)
        try container.encode(layers, forKey: .layers)
    }

    /// The same explanation has the same bytes.
    package func serialized() throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // What no number says is said by a word.
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        return Array(try encoder.encode(self))
    }

    /// - Throws: `DecodingError` for bytes that are none.
    package init(parsing bytes: [UInt8]) throws {
        let decoder = JSONDecoder()
        decoder.nonConformingFloatDecodingStrategy = .convertFromString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        self = try decoder.decode(FileExplanation.self, from: Data(bytes))
    }

    /// With what a comparison says of the layers.
    package func compared(with sums: ComparisonSums) -> FileExplanation {
        var result = self
        (result.agreement, result.layers) = (sums.agreement, layers.compared(with: sums))
        return result
    }
}
