import Foundation
import FuzzDecoders
import Testing

/// Every decoder of bytes from the network and from files against a fixed number of seeded mutants. `make fuzz` goes on where this stops.
@Suite(.serialized)
struct FuzzingTests {
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    private static let binary = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        .deletingLastPathComponent().appendingPathComponent("pleach-fuzz")

    /// A decoder runs in a process of its own, so that a trap is a failed test with its input.
    private static func run(_ arguments: [String]) throws -> (status: Int32, text: String) {
        let process = Process()
        let output = Pipe()
        process.executableURL = binary
        process.arguments = arguments
        process.standardOutput = output
        process.standardError = output
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return (process.terminationStatus, text)
    }

    @Test(arguments: FuzzTarget.allCases) func mutantsAreDecodedOrRefused(_ target: FuzzTarget) throws {
        let input = FileManager.default.temporaryDirectory.appendingPathComponent("pleach-fuzz-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: input) }
        let (status, text) = try Self.run([
            target.rawValue, "--iterations", "3000", "--seed", "1", "--input", input.path,
        ])
        guard status != 0 else { return }
        let data = try Data(contentsOf: input)
        let count = data.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
        let kept = FileManager.default.temporaryDirectory.appendingPathComponent("pleach-\(target)-failure.bin")
        try data.dropFirst(8).prefix(count).write(to: kept)
        Issue.record("\(target) fails on \(kept.path) (move it to Regressions/\(target)): \(text.suffix(1500))")
    }

    /// Inputs that once made a decoder fail.
    @Test(arguments: FuzzTarget.allCases) func regressionsStayMended(_ target: FuzzTarget) throws {
        let folder = Self.root.appendingPathComponent("Regressions/\(target)").path
        let files = ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).sorted()
        guard !files.isEmpty else { return }
        let (status, text) = try Self.run([target.rawValue, "--replay"] + files.map { "\(folder)/\($0)" })
        #expect(status == 0, "\(text.suffix(1500))")
    }
}
