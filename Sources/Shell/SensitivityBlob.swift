import Compression
import Foundation
import Tensors

/// How sensitivities travel and are kept (`protocols/session.md`, "Quantized files"): safetensors with one float32 tensor [layers,
/// bits], layers and bits named in the metadata.
package enum SensitivityBlob {
    package static let tensorName = "sensitivities"
    private static let formatKey = "format"
    private static let format = "pleach sensitivities"
    private static let layersKey = "layers"
    private static let bitsKey = "bits"
    /// The largest file that is read: more than any model's table takes.
    package static let byteLimit = 1 << 28
    /// More layers than any model has.
    private static let layerLimit = 1 << 20

    /// Whether a safetensors file holds a table.
    package static func isMeant(by metadata: [String: String]) -> Bool { metadata[formatKey] == format }

    /// The same table has the same bytes.
    package static func serialize(_ table: SensitivityTable) throws -> [UInt8] {
        let layers = String(decoding: try JSONEncoder().encode(table.layers), as: UTF8.self)
        let bits = table.bits.map(String.init).joined(separator: ",")
        return Safetensors.serialize(
            NamedTensors([(tensorName, table.tensor)]),
            metadata: [formatKey: format, layersKey: layers, bitsKey: bits])
    }

    /// - Throws: `TensorError` for bytes that hold no table; `CompressionError.valueOutOfRange`.
    package static func parse(_ bytes: [UInt8], path: String) throws -> SensitivityTable {
        let (tensors, metadata) = try Safetensors.parse(bytes, path: path)
        func malformed(_ reason: String) -> TensorError { .malformedFile(path: path, reason: reason) }
        guard isMeant(by: metadata) else { throw malformed("it holds no sensitivities") }
        let layers = metadata[layersKey].flatMap {
            try? JSONDecoder().decode([String].self, from: Data($0.utf8))
        }
        guard let layers, layers.count <= layerLimit, Set(layers).count == layers.count else {
            throw malformed("it does not name its layers, or one of them twice")
        }
        let words = metadata[bitsKey]?.split(separator: ",", omittingEmptySubsequences: false) ?? []
        let bits = words.compactMap { Int($0) }
        guard bits.count == words.count, bits.allSatisfy((2...8).contains), bits == Set(bits).sorted() else {
            throw malformed("it names no ascending numbers of bits from 2 to 8")
        }
        return try SensitivityTable(layers: layers, bits: bits, tensor: tensors.require(tensorName))
    }
}
