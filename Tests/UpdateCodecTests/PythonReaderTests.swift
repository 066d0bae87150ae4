import Foundation
import Testing

/// The reader that was written from protocols/update-format.md alone, on every golden vector. Skipped where there is no
/// Python with numpy and lz4; PLEACH_PYTHON names another interpreter than `python3`.
struct PythonReaderTests {
    private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()
    private static let python = ProcessInfo.processInfo.environment["PLEACH_PYTHON"] ?? "python3"

    private static func run(_ arguments: [String]) throws -> (status: Int32, output: String) {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = [python, "-B"] + arguments
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return (process.terminationStatus, output)
    }

    private static let isThere = (try? run(["-c", "import numpy, lz4.block"]).status) == 0

    @Test(.enabled(if: isThere, "needs python3 with numpy and lz4"))
    func readsEveryVectorToTheBit() throws {
        let result = try Self.run([Self.root.appending(path: "protocols/python/test_vectors.py").path])
        #expect(result.status == 0, "\(result.output)")
        let files = try FileManager.default.contentsOfDirectory(
            atPath: Self.root.appending(path: "protocols/vectors").path)
        for file in files where file.hasSuffix(".bin") { #expect(result.output.contains("ok   \(file):")) }
    }
}
