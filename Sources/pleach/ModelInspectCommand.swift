import ArgumentParser
import ModelGraph

struct ModelInspectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Parameters, MACs, bytes, operators, inputs and outputs of an ONNX file.",
        discussion: "Example: pleach model inspect compact.onnx --json")

    @Argument(help: "The ONNX file.")
    var file: String

    @Flag(help: "Print JSON.")
    var json = false

    func run() async throws {
        try await exitingOnError {
            let bytes = try readFile(file)
            let summary = try Graph.load(bytes, path: file).summary(fileBytes: bytes.count)
            if json { return try printJSON(summary) }
            print(summary.lines.joined(separator: "\n"))
        }
    }
}
