import Engine
import Foundation
import Ledger

/// Writes a whole file atomically: the old one or the new one, never half.
func writeFile(_ bytes: [UInt8], to path: String) throws {
    try AtomicFile.write(bytes, to: path)
}

/// Loads the data a SPEC names, from `defaultSplit` unless the SPEC names a split itself.
func loadDataset(_ text: String, defaultSplit: DataSpec.Split) throws -> Dataset {
    let spec = try DataSpec(parsing: text, environment: ProcessInfo.processInfo.environment)
    return try Dataset.load(spec.split == nil ? spec.with(split: defaultSplit) : spec)
}
