import Federation
import Foundation
import Ledger
import ModelGraph
import Shell
import Tensors

/// The numbers of a compact file without its graph, for those who have the architecture: `out/compact.safetensors`.
enum CompactTensors {
    /// What the metadata call the form.
    private static let format = "pleach compact"
    /// A name that safetensors keeps for itself.
    private static let reservedName = "__metadata__"

    /// Writes every initializer as it is in the file; codes of 4 bits take a byte each. Metadata: the form, the target, and the bits
    /// of each quantized weight as JSON.
    /// - Throws: `LedgerError` naming the path.
    static func write(_ graph: Graph, target: ExportTarget, bits: [String: Int], to path: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let metadata = [
            "format": format, "target": target.rawValue,
            "bits": String(decoding: try encoder.encode(bits), as: UTF8.self),
        ]
        let tensors = graph.initializers.ordered.filter { $0.name != reservedName }
        let header = Safetensors.header(
            of: tensors.map { (name: $0.name, elementType: $0.tensor.elementType, shape: $0.tensor.shape) },
            metadata: metadata)
        try AtomicFile.write(to: path) { append in
            append(header)
            for (_, tensor) in tensors { append(tensor.bytes) }
        }
    }
}

extension FileExplanation {
    /// By weight.
    var bits: [String: Int] {
        Dictionary(layers.map { ($0.layer, $0.bits) }, uniquingKeysWith: { first, _ in first })
    }
}
