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
              pleach model inspect cnn.onnx --groups
            """)

    @Argument(help: "The ONNX file.")
    var file: String

    @Flag(help: "Print JSON.")
    var json = false

    @Option(help: "Samples in the batch that MACs and memory are given for.")
    var batch = 1

    @OptionGroup var extents: ExtentOptions

    @Flag(
        help: "List the groups of channels and the residual blocks that pruning can remove, and what is fixed and why.")
    var groups = false

    func run() async throws {
        try await exitingOnError {
            let (graph, fileBytes, externalBytes) = try Graph.loadMeasuring(path: file)
            if groups {
                let report = try GroupsReport(graph)
                if json { return try printJSON(report) }
                return print(report.lines.joined(separator: "\n"))
            }
            let summary = try graph.summary(
                fileBytes: fileBytes, externalBytes: externalBytes, batch: batch, extents: try extents.parsed(),
                supported: SupportedOperators.table)
            if json { return try printJSON(summary) }
            print(summary.report.joined(separator: "\n"))
        }
    }
}
