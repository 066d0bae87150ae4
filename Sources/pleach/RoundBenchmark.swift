import Federation
import Foundation
import ModelGraph
import Monitor
import Tensors
import Transport
import UpdateCodec

/// What `pleach bench rounds` prints.
struct RoundFigures: Codable {
    var workers: Int
    var processes: Int
    var modelBytes: Int
    var wire: String
    var rounds: Int
    /// From one round's close to the next's, the mean over all rounds but the first.
    var secondsPerRound: Double
    /// Per round, means of: the longest wait of a worker for its snapshot; the longest transfer of a result; the folds
    /// together. They overlap, so they need not add up to a round.
    var downSeconds: Double
    var upSeconds: Double
    var foldSeconds: Double
    /// Resident bytes of the coordinator when it listens, when all rounds are done and all sessions still there, and at most
    /// (loading the libraries alone takes about 190 MB for a moment).
    var coordinatorIdleBytes: Int
    var coordinatorEndBytes: Int
    var coordinatorPeakBytes: Int
    /// Each worker process's.
    var workerPeakBytes: [Int]
    var wireBytesUpPerRound: Int
    var wireBytesDownPerRound: Int

    var table: String {
        func megabytes(_ bytes: Int) -> String { String(format: "%.0f MB", Double(bytes) / 1e6) }
        return """
            \(workers) workers in \(processes) processes, \(megabytes(modelBytes)) of float32 parameters, wire \(wire)
            seconds a round      \(String(format: "%.3f", secondsPerRound))   (mean of \(rounds - 1))
              down, at most      \(String(format: "%.3f", downSeconds))
              up, at most        \(String(format: "%.3f", upSeconds))
              folds together     \(String(format: "%.3f", foldSeconds))
            coordinator memory   \(megabytes(coordinatorPeakBytes)) at most, \(megabytes(coordinatorIdleBytes)) idle, \(megabytes(coordinatorEndBytes)) at the end
            worker memory        \(workerPeakBytes.map(megabytes).joined(separator: ", ")) at most
            wire a round         \(megabytes(wireBytesUpPerRound)) up, \(megabytes(wireBytesDownPerRound)) down
            """
    }
}

/// Why a benchmark has no figures.
struct BenchmarkFailure: Error, CustomStringConvertible {
    var description: String
}

/// Runs a real federation of processes whose workers do not train, and reads its figures from its log.
final class RoundBenchmark {
    private let workers: Int
    private let processes: Int
    private let rounds: Int
    private let wire: String
    private let state: String
    private let modelBytes: Int
    private var children: [ChildProcess] = []
    private var peaks: [Int]

    /// Writes model, plan and keys into a fresh folder.
    init(
        workers: Int, processes: Int, parameterBytes: Int, rounds: Int, wire: String, format: ValueFormat,
        scratch: String?
    ) throws {
        self.workers = workers
        self.processes = processes
        self.rounds = rounds
        self.wire = wire
        peaks = Array(repeating: 0, count: processes + 1)
        let base = scratch ?? NSTemporaryDirectory()
        state = (base as NSString).appendingPathComponent("pleach-bench-\(getpid())")
        try FileManager.default.createDirectory(atPath: state, withIntermediateDirectories: true)
        let graph = try ModelBuilder.denseStack(parameterBytes: parameterBytes, seed: 1)
        modelBytes = graph.parameterTensors().elementCount * 4
        try FileBytes.write(graph.serialized(), path: state + "/model.onnx")
        try FileBytes.write(Array(plan(format).utf8), path: state + "/plan.yaml")
        let allowed = AllowList(directory: state + "/run/keys/allowed")
        for index in 0..<workers {
            let pair = try KeyPair.generate()
            try KeyFile.write(pair, directory: "\(state)/echo-\(index)/keys", name: "worker")
            try allowed.allow(key: pair.publicKey, name: "echo-\(index)")
        }
    }

    private func plan(_ format: ValueFormat) -> String {
        let small = format == .float32 ? "float32" : "float16"
        let direction = "{values: \(format), small: \(small)}"
        return """
            name: bench-rounds
            model: {file: model.onnx}
            fleet: {workers: \(workers), lease: 120s, deadline: 1h, wait: 5m}
            wire: {up: \(direction), down: \(direction), maximumNormRatio: 1000}
            stages:
              - train: {rounds: \(rounds)}
            export: {target: float32}

            """
    }

    func run() async throws -> RoundFigures {
        defer {
            for child in children.reversed() { child.terminate() }
            for child in children.reversed() { child.waitOrKill() }
            try? FileManager.default.removeItem(atPath: state)
        }
        let run = state + "/run"
        let coordinator = try ChildProcess(
            [
                "coordinator", state + "/plan.yaml", "--bind", "tcp://127.0.0.1:*", "--state", run, "--json",
                "--exit-with-standard-input",
            ], log: state + "/coordinator.log")
        children.append(coordinator)
        let endpoint = try await endpoint(of: coordinator, run)
        let idle = ProcessMemory.bytes(ofProcess: coordinator.identifier).resident
        for index in 0..<processes {
            let first = workers * index / processes
            children.append(
                try ChildProcess(
                    [
                        "bench-workers", "--coordinator", endpoint, "--server-key", run + "/keys/server.key", "--state",
                        state, "--first", String(first), "--count",
                        String(workers * (index + 1) / processes - first),
                    ], log: "\(state)/workers-\(index).log"))
        }
        while coordinator.isRunning {
            try watch()
            try await Task.sleep(for: .milliseconds(100))
        }
        guard coordinator.status == .exited(0) else {
            throw BenchmarkFailure(description: "the coordinator ended early: \(coordinator.lastLogLine)")
        }
        return try figures(run, idle: idle)
    }

    private func endpoint(of coordinator: ChildProcess, _ run: String) async throws -> String {
        while coordinator.isRunning {
            if let text = try? String(contentsOfFile: run + "/endpoint", encoding: .utf8), text.hasSuffix("\n") {
                return text.trimmingCharacters(in: .newlines)
            }
            try await Task.sleep(for: .milliseconds(20))
        }
        throw BenchmarkFailure(description: "the coordinator did not start: \(coordinator.lastLogLine)")
    }

    /// Notes peaks; a worker process that fails ends the benchmark.
    private func watch() throws {
        for (index, child) in children.enumerated() {
            peaks[index] = max(peaks[index], ProcessMemory.bytes(ofProcess: child.identifier).peak)
            switch child.status {
            case .running, .exited(0): continue
            case .exited, .signalled:
                throw BenchmarkFailure(description: "a process of the benchmark failed: \(child.lastLogLine)")
            }
        }
    }

    private func figures(_ run: String, idle: Int) throws -> RoundFigures {
        var closed: [(round: Int, time: Date, fold: Double, up: Int, down: Int)] = []
        var waits: [Int: (down: Double, up: Double)] = [:]
        var end = 0
        let format = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
        for case .event(let logged) in try EventFile(state: run).poll() {
            let event = logged.event
            guard let round = event.integer("round") else { continue }
            switch event.name {
            case "contribution.accepted":
                let (down, up) = waits[round] ?? (0, 0)
                waits[round] = (
                    max(down, event.number("fetchSeconds") ?? 0), max(up, event.number("uploadSeconds") ?? 0)
                )
            case "round.closed" where event["task"] != .string("train"): end = event.integer("residentBytes") ?? 0
            case "round.closed":
                closed.append(
                    (
                        round, try format.parse(logged.time), event.number("foldSeconds") ?? 0,
                        event.integer("wireBytesUp") ?? 0, event.integer("wireBytesDown") ?? 0
                    ))
            default: continue
            }
        }
        guard closed.count == rounds, let first = closed.first, let last = closed.last else {
            throw BenchmarkFailure(description: "the log shows \(closed.count) of \(rounds) rounds")
        }
        let counted = closed.dropFirst()
        func mean(_ value: (Int) -> Double) -> Double {
            counted.reduce(0) { $0 + value($1.round) } / Double(counted.count)
        }
        let folds = counted.reduce(0) { $0 + $1.fold } / Double(counted.count)
        return RoundFigures(
            workers: workers, processes: processes, modelBytes: modelBytes, wire: wire, rounds: rounds,
            secondsPerRound: last.time.timeIntervalSince(first.time) / Double(counted.count),
            downSeconds: mean { waits[$0]?.down ?? 0 }, upSeconds: mean { waits[$0]?.up ?? 0 }, foldSeconds: folds,
            coordinatorIdleBytes: idle, coordinatorEndBytes: end, coordinatorPeakBytes: peaks[0],
            workerPeakBytes: Array(peaks.dropFirst()),
            wireBytesUpPerRound: counted.reduce(0) { $0 + $1.up } / counted.count,
            wireBytesDownPerRound: counted.reduce(0) { $0 + $1.down } / counted.count)
    }
}

extension LogEvent {
    fileprivate func integer(_ key: String) -> Int? { if case .int(let value)? = self[key] { value } else { nil } }

    fileprivate func number(_ key: String) -> Double? {
        switch self[key] {
        case .double(let value)?: value
        case .int(let value)?: Double(value)
        default: nil
        }
    }
}
