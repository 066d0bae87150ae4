import ArgumentParser
import Coordinator
import Engine
import Foundation
import ModelGraph
import UpdateCodec

struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measure the codec, the fold, the loader, a training step and models on this machine.",
        discussion: "Example: pleach bench codec --json",
        subcommands: [
            BenchCodecCommand.self, BenchFoldCommand.self, BenchPublishCommand.self, BenchStepCommand.self,
            BenchTeacherCommand.self,
            BenchRoundsCommand.self,
            BenchTransportCommand.self, BenchDataCommand.self, BenchModelCommand.self, BenchPageCommand.self,
            BenchLogsCommand.self,
        ])
}

struct BenchCodecCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "codec",
        abstract: "Size, error and speed of each scheme.",
        discussion: "Example: pleach bench codec --elements 25000000 --json")

    @Option(help: "Weights to code.")
    var elements = 4_000_000

    @Option(help: "How the weights are distributed: normal, laplace or both.")
    var distribution = "both"

    @Option(help: "Threads that share the work.")
    var threads = 1

    @Option(help: "Only schemes whose name contains this.")
    var scheme = ""

    @Flag(help: "Print JSON.")
    var json = false

    func run() async throws {
        try await exitingOnError {
            guard elements > 0 else { throw ValidationError("--elements must be positive") }
            guard (1...256).contains(threads) else { throw ValidationError("--threads must be 1 to 256") }
            let all = WeightDistribution.allCases
            let distributions = distribution == "both" ? all : all.filter { $0.rawValue == distribution }
            guard !distributions.isEmpty else {
                throw ValidationError("--distribution is '\(distribution)'; take normal, laplace or both")
            }
            var last: String?
            let rows = try CodecBenchmark.run(
                elements: elements, seed: 1, distributions: distributions, threads: threads, schemes: scheme
            ) { row in
                guard !json else { return }
                if row.distribution != last { print(Self.head(of: row)) }
                last = row.distribution
                print(Self.line(row))
            }
            guard !rows.isEmpty else { throw ValidationError("no scheme's name contains '\(scheme)'") }
            if json { try printJSON(rows) }
        }
    }

    private static func head(of row: CodecBenchmark.Row) -> String {
        let title = String(
            format: "%@ weights, %d thread(s); memory of one thread: reads %.0f MB/s, copies %.0f MB/s",
            row.distribution, row.threads, row.memoryReadMegabytesPerSecond, row.memoryCopyMegabytesPerSecond)
        return title + "\nscheme                          density  bits/w    ratio  entropy   over  rel.sq.err"
            + "   encode +residual  decode    fold  MB/s of float32"
    }

    private static func line(_ row: CodecBenchmark.Row) -> String {
        row.scheme.padding(toLength: 31, withPad: " ", startingAt: 0)
            + String(
                format: "%8.4f %7.3f %8.1f %8.1f %6.3f  %10.2e %8.0f %9.0f %7.0f %7.0f", row.density, row.bitsPerWeight,
                row.ratio, row.entropyRatio, row.entropyRatio / row.ratio, row.relativeSquaredError,
                row.encodeMegabytesPerSecond,
                row.residualMegabytesPerSecond, row.decodeMegabytesPerSecond, row.foldMegabytesPerSecond)
    }
}

struct BenchFoldCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fold", abstract: "Speed of the fixed-point fold, one thread.",
        discussion: "Example: pleach bench fold --json")

    @Option(help: "Parameters per contribution.")
    var elements = 4_000_000

    @Option(help: "Contributions to fold.")
    var contributions = 8

    @Flag(help: "Print JSON.")
    var json = false

    func run() async throws {
        try await exitingOnError {
            guard elements > 0, contributions > 0 else {
                throw ValidationError("--elements and --contributions must be positive")
            }
            let row = try FoldBenchmark.run(elements: elements, contributions: contributions, seed: 1)
            if json { return try printJSON(row) }
            print(
                String(
                    format: "%d contributions of %d parameters: %.0f million parameters/s", row.contributions,
                    row.parameters, row.millionParametersPerSecond))
        }
    }
}

struct BenchPublishCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "publish", abstract: "Time and memory of a round's arithmetic in a coordinator, network aside.",
        discussion: "Example: pleach bench publish --width 4600 --wire float32 --json")

    @Option(help: "Hidden units of the mlp; 4600 gives 24.8 million parameters.")
    var width = 1400

    @Option(help: "Contributions to fold.")
    var contributions = 4

    @Option(help: "Values on the wire, both ways: float32, float16, int8, int4 or ternary.")
    var wire = "int8"

    @Flag(help: "Print JSON.")
    var json = false

    func run() async throws {
        try await exitingOnError {
            guard width > 0, contributions > 0 else {
                throw ValidationError("--width and --contributions must be positive")
            }
            let folder = FileManager.default.temporaryDirectory.appendingPathComponent("pleach-\(UUID().uuidString)")
            defer { try? FileManager.default.removeItem(at: folder) }
            let row = try PublishBenchmark.run(
                width: width, contributions: contributions, wire: wire, directory: folder.path)
            if json { return try printJSON(row) }
            print(
                String(
                    format: "%@, %d parameters: fold of %d %.3f s, publish %.3f s, peak %.0f MB (before: %.0f MB)",
                    row.wire, row.parameters, row.contributions, row.foldSeconds, row.publishSeconds,
                    Double(row.peakBytes) / 1e6, Double(row.residentBytes) / 1e6))
        }
    }
}
