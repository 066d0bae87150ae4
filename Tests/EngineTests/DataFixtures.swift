import CImages
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

enum ImageFormat: CaseIterable { case jpeg, png }

/// An encoded image whose samples `value` gives by row, column and channel.
func imageFile(
    _ format: ImageFormat, height: Int, width: Int, channels: Int = 3, quality: Int32 = 95,
    _ value: (Int, Int, Int) -> UInt8
) -> [UInt8] {
    var pixels: [UInt8] = []
    for y in 0..<height { for x in 0..<width { for c in 0..<channels { pixels.append(value(y, x, c)) } } }
    var bytes = [UInt8](repeating: 0, count: 4_096 + 8 * pixels.count)
    let count = ci_encode(
        Int32(format == .jpeg ? CI_JPEG : CI_PNG), pixels, Int32(width), Int32(height), Int32(channels), quality,
        &bytes, bytes.count)
    precondition(count > 0, "the fixture's image cannot be encoded")
    return Array(bytes[..<count])
}

/// An image of one color.
func plainImage(_ format: ImageFormat, _ red: UInt8, _ green: UInt8, _ blue: UInt8, side: Int = 8) -> [UInt8] {
    imageFile(format, height: side, width: side) { [red, green, blue][$2] }
}

/// Writes files by path under `folder`, with the folders they need.
func writeFiles(_ files: [String: [UInt8]], in folder: String) throws {
    for (name, bytes) in files {
        let path = "\(folder)/\(name)"
        try makeFolder(String(path[..<(path.lastIndex(of: "/") ?? path.endIndex)]))
        try FileBytes.write(bytes, path: path)
    }
}
