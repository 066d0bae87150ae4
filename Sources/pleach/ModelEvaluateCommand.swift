import ArgumentParser
import Engine
import Foundation
import ModelGraph
import Monitor

struct ModelEvaluateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "evaluate",
        abstract:
            "Accuracy and loss of an ONNX model on a data set (its test split unless the SPEC says otherwise).",
        discussion: "Example: pleach model evaluate out/compact.onnx --data 'idx:../shared/data/mnist' --json")

    @Argument(help: "The ONNX file.")
    var file: String

    @Option(help: "The data SPEC.")
    var data: String

    @Flag(help: "Print JSON.")
    var json = false

    @Option(help: "Samples per batch. (default: 256, fewer where samples or outputs are large)")
    var batch: Int?

    @Option(help: "Threads of libtorch.")
    var threads = 2

    @OptionGroup var engine: EngineOptions

    struct Result: Codable {
        var accuracy: Double
        var loss: Double
        var samples: Int
    }

    func run() async throws {
        try await exitingOnError {
            guard batch ?? 1 > 0, threads > 0 else { throw ValidationError("--batch and --threads must be positive") }
            try engine.apply()
            EngineRuntime.setThreads(threads)
            let graph = try Graph.load(path: file)
            try graph.validateOperators(supported: SupportedOperators.table)
            let dataset = try loadDataset(data, defaultSplit: .test)
            try dataset.checkFits(graph)
            let executable = try Executable(graph)
            let loss = dataset.usualLoss()
            var total = Evaluation()
            let size = batch ?? dataset.evaluationBatch(for: graph)
            let damage = try dataset.visit(Array(0..<dataset.count), batch: size) { loaded, _ in
                total += try executable.evaluate(loaded.batch, loss: loss)
            }
            if let warning = damage.warning { printWarning(warning) }
            let result = Result(accuracy: total.accuracy ?? 0, loss: total.loss ?? 0, samples: total.samples)
            if json { return try printJSON(result) }
            print(
                String(
                    format: "accuracy %.2f %%   loss %.4f   samples %d", result.accuracy * 100, result.loss,
                    result.samples))
        }
    }
}
