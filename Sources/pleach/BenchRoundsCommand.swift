import ArgumentParser
import Engine
import Federation
import Foundation
import UpdateCodec
import Worker

struct BenchRoundsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rounds",
        abstract: "Seconds and memory of a round: one real coordinator, real workers, no training.",
        discussion: """
            Starts a coordinator and worker processes over TCP loopback with CURVE. Workers add noise, which \
            nothing packs, and return the update; ledger, disk, codec and transport are what a run uses. \
            Example: pleach bench rounds --workers 4 --megabytes 95 --wire f32
            """)

    @Option(help: "Workers, each a session with its own key and folder.")
    var workers = 4

    @Option(help: "MiB of float32 parameters.")
    var megabytes = 95.0

    @Option(help: "Values on the wire, both ways: f32, f16, int8, int4, ternary.")
    var wire = "f32"

    @Option(help: "Rounds; the first one, with its cold caches, is left out of the means.")
    var rounds = 6

    @Option(help: "Worker processes; more workers than processes share them (default: one each, at most 8).")
    var processes: Int?

    @Option(help: "Folder for the run's state; removed at the end. Default: a temporary one.")
    var scratch: String?

    @Flag(help: "Print JSON.")
    var json = false

    func run() async throws {
        try await exitingOnError {
            let formats: [String: ValueFormat] = [
                "f32": .float32, "f16": .float16, "int8": .int8, "int4": .int4, "ternary": .ternary,
            ]
            guard let format = formats[wire] else {
                throw ValidationError("--wire '\(wire)' is not one of f32, f16, int8, int4, ternary")
            }
            guard (1...1024).contains(workers), rounds >= 2, (0.1...4000).contains(megabytes) else {
                throw ValidationError("--workers is 1 to 1024, --rounds at least 2, --megabytes 0.1 to 4000")
            }
            let processes = min(workers, max(1, processes ?? min(workers, 8)))
            let benchmark = try RoundBenchmark(
                workers: workers, processes: processes, parameterBytes: Int(megabytes * 1_048_576), rounds: rounds,
                wire: wire, format: format, scratch: scratch)
            let figures = try await benchmark.run()
            if json { return try printJSON(figures) }
            print(figures.table)
        }
    }
}

/// What `bench rounds` starts for the workers of one process.
struct BenchWorkersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench-workers", abstract: "The workers of 'pleach bench rounds'.", shouldDisplay: false)

    @Option var coordinator: String
    @Option var serverKey: String
    @Option var state: String
    @Option var first: Int
    @Option var count: Int

    func run() async throws {
        try await exitingOnError {
            let data = try DataSpec(parsing: "synthetic:digits?limit=8", environment: [:])
            let services = try (first..<first + count).map { index in
                try WorkerService(
                    WorkerOptions(
                        coordinator: coordinator, serverKey: serverKey, data: data, name: "echo-\(index)",
                        state: "\(state)/echo-\(index)", threads: 1, patienceSeconds: 120, echoes: true),
                    sink: { if $0.level >= .warning { printError("echo-\(index): \($0)") } })
            }
            let signals = StopSignals { for service in services { service.stop() } }
            signals.stopAtEndOfInput()
            let outcomes = try await withThrowingTaskGroup(of: WorkerOutcome.self) { group in
                for service in services { group.addTask { try await service.run() } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            for outcome in outcomes where outcome != .runFinished {
                printError("a worker ended with \(outcome)")
                try endProcess(PleachExit(outcome))
            }
        }
    }
}
