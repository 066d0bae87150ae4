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
              pleach model inspect student.onnx --values --teacher teacher.onnx
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

    @Flag(
        help: "List the values inside that a student can be taught by: ends of stages and layers, attention matrices.")
    var values = false

    @Option(help: "With --values: the teacher whose values are paired with this model's.")
    var teacher: String?

    func run() async throws {
        try await exitingOnError {
            guard values || teacher == nil, !(values && groups) else {
                throw ValidationError(
                    values ? "--values and --groups are two lists: ask for one" : "--teacher needs --values")
            }
            let (graph, fileBytes, externalBytes) = try Graph.loadMeasuring(path: file)
            if values {
                let report = try ValuesReport(graph, teacher: teacher.map { try Graph.load(path: $0) })
                if json { return try printJSON(report) }
                return print(report.lines.joined(separator: "\n"))
            }
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
