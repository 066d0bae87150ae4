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
            let rows: [(String, String)] = [
                ("parameters", "\(summary.parameters)"),
                ("nonzero parameters", "\(summary.nonzeroParameters)"),
                ("MACs", "\(summary.macs)"),
                ("bytes", "\(summary.bytes)"),
                ("opset", "\(summary.opset)"),
                (
                    "operators",
                    summary.operators.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
                ),
                ("inputs", summary.inputs.map { "\($0)" }.joined(separator: "; ")),
                ("outputs", summary.outputs.map { "\($0)" }.joined(separator: "; ")),
            ]
            for (label, value) in rows { print(label.padding(toLength: 20, withPad: " ", startingAt: 0) + value) }
        }
    }
}
