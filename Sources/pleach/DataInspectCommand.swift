import ArgumentParser
import Engine
import Foundation
import ModelGraph

struct DataInspectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Inputs, targets, classes and a histogram per shard of a data SPEC; and whether a model can use it.",
        discussion: """
            Example: pleach data inspect 'idx:../shared/data/mnist?partition=dirichlet:0.5&seed=7' --shards 4 --model cnn.onnx

            Ranges, means and damaged files are those of up to \(DataReport.sampleLimit) samples. Data that do not fit the \
            model are refused in one line, with exit code 4. protocols/data.md lists every kind and option.
            """)

    @Argument(help: "The data SPEC.")
    var spec: String

    @Option(help: "An ONNX file whose inputs, types, shapes and classes the data must fit.")
    var model: String?

    @Option(help: "Deal the data to this many shards; otherwise to as many as the SPEC says.")
    var shards: Int?

    @Flag(help: "Print JSON.")
    var json = false

    func run() async throws {
        try await exitingOnError {
            if let shards, !(1...10_000).contains(shards) { throw ValidationError("--shards must be 1 to 10000") }
            let parsed = try DataSpec(parsing: spec, environment: ProcessInfo.processInfo.environment)
            let (report, data) = try DataReport.make(parsed, shards: shards)
            if let model { try data.checkFits(Graph.load(path: model)) }
            if json { return try printJSON(report) }
            print(report.lines.joined(separator: "\n"))
            if let model { print("\nfits \(model)") }
        }
    }
}
