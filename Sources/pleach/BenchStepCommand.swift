import ArgumentParser
import Engine
import Foundation
import ModelGraph

struct BenchStepCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "step", abstract: "Milliseconds of a training step, samples a second, peak memory.",
        discussion: "Example: pleach bench step --model cnn.onnx --batch 64")

    @Option(help: "An ONNX file.")
    var model: String

    @Option(help: "Samples per step.")
    var batch = 64

    @Option(help: "Threads of libtorch.")
    var threads = 1

    @Option(help: "Steps to time.")
    var steps = 20

    @Option(help: "float32, or bfloat16 for convolutions and matrix products.")
    var precision = "float32"

    @Option(help: "sgd, adamw or lamb.")
    var optimizer = "sgd"

    @Option(help: "The extent of a dynamic axis of an input, NAME=N; may be repeated.")
    var extent: [String] = []

    @OptionGroup var engine: EngineOptions

    @Flag(help: "Print JSON.")
    var json = false

    func run() async throws {
        try await exitingOnError {
            guard (1...1 << 20).contains(batch), (1...1024).contains(threads), (1...1_000_000).contains(steps) else {
                throw ValidationError(
                    "--batch is 1 to 1048576, --threads 1 to 1024 and --steps 1 to 1000000")
            }
            guard let precision = Precision(rawValue: precision) else {
                throw ValidationError("--precision is '\(precision)'; take float32 or bfloat16")
            }
            guard let optimizer = OptimizerMethod(rawValue: optimizer) else {
                throw ValidationError("--optimizer is '\(optimizer)'; take sgd, adamw or lamb")
            }
            try engine.apply()
            let row = try StepBenchmark.run(
                graph: Graph.load(path: model),
                options: StepBenchmark.Options(
                    batch: batch, threads: threads, steps: steps, optimizer: optimizer, precision: precision,
                    extents: try Extents.parse(extent)))
            if json { return try printJSON(row) }
            print(
                String(
                    format: "%.2f ms a step of %d on %d threads, %.0f samples/s, peak %.0f MB (before: %.0f MB)",
                    row.millisecondsPerStep, row.batch, row.threads, row.samplesPerSecond, Double(row.peakBytes) / 1e6,
                    Double(row.residentBytesBefore) / 1e6))
        }
    }
}

/// `--extent NAME=N` options.
enum Extents {
    static func parse(_ options: [String]) throws(ValidationError) -> [String: Int] {
        var found: [String: Int] = [:]
        for text in options {
            let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, !parts[0].isEmpty, let extent = Int(parts[1]), (1...1 << 20).contains(extent) else {
                throw ValidationError("--extent is '\(text)'; give NAME=N, such as length=128")
            }
            found[String(parts[0])] = extent
        }
        return found
    }
}
