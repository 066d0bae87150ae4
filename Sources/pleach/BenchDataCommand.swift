import ArgumentParser
import Engine
import Foundation

struct BenchDataCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "data", abstract: "Samples a second that the loader reads, decodes and augments.",
        discussion: "Example: pleach bench data --data 'folder:cifar10?crop=4&flip=true' --batch 64 --threads 2 --json")

    @Option(help: "The data SPEC.")
    var data: String

    @Option(help: "Samples per batch.")
    var batch = 64

    @Option(help: "Threads of the loader.")
    var threads = 1

    @Option(help: "Samples to read at most.")
    var samples = 20_000

    @Flag(help: "Print JSON.")
    var json = false

    func run() async throws {
        try await exitingOnError {
            guard batch > 0, samples > 0, (1...256).contains(threads) else {
                throw ValidationError("--batch and --samples must be positive, --threads 1 to 256")
            }
            let row = try DataBenchmark.run(
                loadDataset(data, defaultSplit: .train), batch: batch, threads: threads, samples: samples)
            if json { return try printJSON(row) }
            print(
                String(
                    format: "%d samples in %.2f s: %.0f samples/s, %.0f a thread, %.0f MB/s of batches; %d damaged",
                    row.samples, row.seconds, row.samplesPerSecond, row.samplesPerSecondPerThread,
                    row.megabytesPerSecond, row.damaged))
        }
    }
}
