import ArgumentParser
import Engine
import ModelGraph

struct ModelInspectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract:
            "What an ONNX file holds: operators, parameters, MACs, memory, what can be trained, pruned, quantized.",
        discussion: """
            MACs and memory are those of one batch. Axes that the file leaves open need an extent for them; without it \
            the rest is shown.

            Examples:
              pleach model inspect compact.onnx --json
              pleach model inspect bert.onnx --batch 8 --extent sequence=128
            """)

    @Argument(help: "The ONNX file.")
    var file: String

    @Flag(help: "Print JSON.")
    var json = false

    @Option(help: "Samples in the batch that MACs and memory are given for.")
    var batch = 1

    @Option(help: "Extent of an open axis, as NAME=N; may be repeated.")
    var extent: [String] = []

    func run() async throws {
        try await exitingOnError {
            let (graph, fileBytes, externalBytes) = try Graph.loadMeasuring(path: file)
            let summary = try graph.summary(
                fileBytes: fileBytes, externalBytes: externalBytes, batch: batch, extents: try extents(),
                supported: SupportedOperators.table)
            if json { return try printJSON(summary) }
            print(summary.report.joined(separator: "\n"))
        }
    }

    private func extents() throws -> [String: Int] {
        var extents: [String: Int] = [:]
        for text in extent {
            guard let sign = text.lastIndex(of: "="), sign != text.startIndex,
                let value = Int(text[text.index(after: sign)...]), value >= 0
            else { throw ValidationError("--extent '\(text)' is not of the form NAME=N, such as sequence=128") }
            guard extents.updateValue(value, forKey: String(text[..<sign])) == nil else {
                throw ValidationError("--extent '\(text)' gives that axis a second extent")
            }
        }
        return extents
    }
}
