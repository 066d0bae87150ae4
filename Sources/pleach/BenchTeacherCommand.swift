import ArgumentParser
import Compression
import Engine
import Foundation
import ModelGraph

struct BenchTeacherCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "teacher", abstract: "What a teacher adds to a training step, asked anew and remembered.",
        discussion: """
            Example: pleach bench teacher --model student.onnx --teacher teacher.onnx --data 'idx:../shared/data/mnist?limit=2000'
            """)

    @Option(help: "The student, an ONNX file.")
    var model: String

    @Option(help: "The teacher, an ONNX file.")
    var teacher: String

    @Option(help: "Data SPEC with class labels and without augmentation, the samples that both see.")
    var data: String

    @Option(help: "Samples per step.")
    var batch = 64

    @Option(help: "Passes over the data: epochs of a round times rounds.")
    var passes = 4

    @Option(help: "Threads of libtorch.")
    var threads = 1

    @OptionGroup var engine: EngineOptions

    @Flag(help: "Print JSON.")
    var json = false

    func run() async throws {
        try await exitingOnError {
            guard (2...1 << 20).contains(batch), (1...1024).contains(threads), (1...1000).contains(passes) else {
                throw ValidationError("--batch is 2 to 1048576, --threads 1 to 1024 and --passes 1 to 1000")
            }
            try engine.apply()
            let dataset = try Dataset.load(
                DataSpec(parsing: data, environment: ProcessInfo.processInfo.environment))
            guard dataset.targets == .classes, dataset.inputs.count == 1, !dataset.isAugmented else {
                throw ValidationError(
                    "--data '\(data)' is nothing to remember: give one input, class labels, no augmentation")
            }
            let row = try TeacherBenchmark.run(
                student: Graph.load(path: model), teacher: Graph.load(path: teacher), dataset: dataset, batch: batch,
                passes: passes, threads: threads)
            if json { return try printJSON(row) }
            print(
                String(
                    format: """
                        %d passes over %d samples in batches of %d on %d threads, milliseconds a batch:
                          step      %8.2f
                          teacher   %8.2f
                          remembered%8.2f, %.2f after the first pass: %.0f %% of the teacher's cost
                        """, row.passes, row.samples, row.batch, row.threads, row.step, row.fresh, row.cached,
                    row.cachedLater, 100 * row.share))
        }
    }
}
