import Foundation
import Tensors
import Testing

#if canImport(Engine)
    @testable import Engine
#else
    @testable import EngineData
#endif

/// Runs `body` with a fresh folder that is removed afterwards.
func withDataFolder(_ body: (String) throws -> Void) throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("pleach-data-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    try body(folder.path)
}

func makeFolder(_ path: String) throws {
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
}

/// An IDX file of bytes.
func idxFile(_ shape: [Int], _ content: [UInt8]) -> [UInt8] {
    [0, 0, 8, UInt8(shape.count)] + shape.flatMap { extent in (0..<4).map { UInt8(extent >> (24 - 8 * $0) & 255) } }
        + content
}

func loadDataset(_ text: String) throws -> Dataset { try Dataset.load(DataSpec(parsing: text, environment: [:])) }

/// The message of the `DataError` that `body` must throw.
func dataErrorMessage(_ body: () throws -> some Any) -> String {
    do {
        let value = try body()
        return "no error but \(value)"
    } catch let error as DataError { return error.description } catch { return "another error: \(error)" }
}

/// Expects that `body` throws a `DataError` whose message contains `part`.
func expectRefusal(
    _ part: String, sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> some Any
) {
    let message = dataErrorMessage(body)
    #expect(message.contains(part), "\(message)", sourceLocation: sourceLocation)
}
