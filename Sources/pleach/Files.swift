import Engine
import Foundation
import Ledger
import ModelGraph
import Tensors

/// Reads a whole file.
func readFile(_ path: String) throws -> [UInt8] {
    guard let data = FileManager.default.contents(atPath: path) else {
        throw TensorError.unreadableFile(path: path, reason: "no such file, or no permission to read it")
    }
    return Array(data)
}

/// Writes a whole file atomically: the old one or the new one, never half.
func writeFile(_ bytes: [UInt8], to path: String) throws {
    try AtomicFile.write(bytes, to: path)
}

/// Loads the data a SPEC names, from `defaultSplit` unless the SPEC names a split itself.
func loadDataset(_ text: String, defaultSplit: DataSpec.Split) throws -> Dataset {
    let spec = try DataSpec(parsing: text, environment: ProcessInfo.processInfo.environment)
    return try Dataset.load(spec.split == nil ? spec.with(split: defaultSplit) : spec)
}

extension Dataset {
    /// Checks samples and labels against the model's first input and output.
    func check(fits graph: Graph) throws {
        let dimensions = graph.inputs.first?.dimensions?.dropFirst().map { dimension -> Int? in
            if case .fixed(let extent) = dimension { extent } else { nil }
        }
        let classes = try graph.outputs.first.flatMap { try graph.inferShapes(batch: 1)[$0.name]?.dimensions.last }
        try checkFits(inputDimensions: dimensions.map(Array.init) ?? [], classes: classes)
    }
}
