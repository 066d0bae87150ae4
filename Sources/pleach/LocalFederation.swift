import Coordinator
import Engine
import Federation
import Foundation
import Ledger
import Monitor
import Transport
import Worker

/// `pleach run`: starts exactly what a user would start by hand, as child processes, and ends them together.
final class LocalFederation {
    private let options: PlanOptions
    /// What the workers compute on.
    private let device: String
    private let plan: Plan
    private let shards: [DataSpec]
    private var coordinator: ChildProcess?
    private var workers: [ChildProcess?]
    private var restarts: [Int]

    private static let restartLimit = 3

    /// Makes keys for everybody and checks the data SPEC, before anything is started.
    init(options: PlanOptions, plan: Plan, data: String, device: String, workers count: Int) throws {
        self.options = options
        self.device = device
        self.plan = plan
        let spec = try DataSpec(parsing: data, environment: ProcessInfo.processInfo.environment)
        // So that a mistake in it is one error, not one a worker.
        if let set = plan.publicData {
            _ = try DataSpec(parsing: set, environment: ProcessInfo.processInfo.environment)
        }
        shards = (1...count).map { spec.with(shardIndex: $0, count: count) }
        workers = Array(repeating: nil, count: count)
        restarts = Array(repeating: 0, count: count)
        try RunState.prepareFolder(options.state)
        if options.fresh {
            try RunState.erase(directory: options.state)
            for index in 0..<count { try WorkerStore.erase(directory: Self.workerState(options.state, index)) }
        }
        let keys = try CoordinatorKeys.open(directory: options.state + "/keys")
        for index in 0..<count { try Self.allow(worker: index, state: options.state, keys: keys.allowList) }
    }

    /// Makes a worker's key pair on first use and lets exactly that key in under its name.
    private static func allow(worker index: Int, state: String, keys: AllowList) throws {
        let folder = workerState(state, index) + "/keys"
        let name = workerName(index)
        if !FileManager.default.fileExists(atPath: folder + "/worker.secret") {
            try KeyFile.write(try KeyPair.generate(), directory: folder, name: "worker")
        }
        let key = try KeyFile.readPublic(folder + "/worker.key")
        // These workers are ours: a key left from a folder that was since removed gives way.
        if keys.list().contains(where: { $0.name == name && $0.publicKey != key }) { try keys.revoke(name: name) }
        try keys.allow(key: key, name: name)
    }

    private static func workerName(_ index: Int) -> String { "worker-\(index + 1)" }
    private static func workerState(_ state: String, _ index: Int) -> String { "\(state)/workers/\(workerName(index))" }

    /// Runs to the end; the status is the coordinator's.
    func run() async throws -> PleachExit {
        // Throws where a coordinator is at work: its endpoint file is not ours to remove.
        withExtendedLifetime(try StateLock(directory: options.state)) {}
        try? FileManager.default.removeItem(atPath: options.state + "/endpoint")
        var arguments = ["coordinator", options.plan, "--bind", "tcp://127.0.0.1:*", "--state", options.state]
        if let workers = options.workers { arguments += ["--workers", String(workers)] }
        if let http = options.http { arguments += ["--http", http] }
        if let token = options.httpToken { arguments += ["--http-token", token] }
        if options.json { arguments.append("--json") }
        arguments += ["--log-level", options.log.logLevel.rawValue]
        let coordinator = try ChildProcess(arguments + ["--exit-with-standard-input"], log: nil)
        self.coordinator = coordinator
        let signals = StopSignals { coordinator.terminate() }
        defer { withExtendedLifetime(signals) {} }
        let endpoint = await waitForEndpoint(coordinator)
        if let endpoint {
            for index in shards.indices { try start(worker: index, endpoint: endpoint) }
        }
        while coordinator.isRunning {
            if let failure = try supervise(endpoint: endpoint ?? "") {
                coordinator.terminate()
                await coordinator.wait()
                stopWorkers()
                // Behind what the coordinator says of its end, which is not why the run ends.
                printError(failure.reason)
                return failure.status
            }
            try? await Task.sleep(for: .milliseconds(100))
        }
        let status = coordinator.status
        if status == .exited(0) { await letWorkersFinish() }
        stopWorkers()
        switch status {
        case .exited(let code): return PleachExit(rawValue: code) ?? .internalError
        case .signalled(let number):
            printError(
                "the coordinator was killed by signal \(number); nothing is lost: "
                    + "run 'pleach run \(options.plan) --state \(options.state)' again to go on")
            return .internalError
        case .running: preconditionFailure("the coordinator was waited for")
        }
    }

    private func waitForEndpoint(_ coordinator: ChildProcess) async -> String? {
        while coordinator.isRunning {
            if let text = try? String(contentsOfFile: options.state + "/endpoint", encoding: .utf8),
                text.hasSuffix("\n")
            {
                return text.trimmingCharacters(in: .newlines)
            }
            try? await Task.sleep(for: .milliseconds(20))
        }
        return nil
    }

    private func start(worker index: Int, endpoint: String) throws {
        let state = Self.workerState(options.state, index)
        try FileManager.default.createDirectory(atPath: state, withIntermediateDirectories: true)
        var own = plan.fleet.teacher(ofWorker: index).map { ["--teacher", $0] } ?? []
        if let publicData = plan.publicData { own += ["--public", publicData] }
        if let student = plan.fleet.student(ofWorker: index).argument { own += ["--student", student] }
        workers[index] = try ChildProcess(
            [
                "worker", "--coordinator", endpoint, "--server-key", options.state + "/keys/server.key", "--data",
                shards[index].description, "--name", Self.workerName(index), "--state", state, "--threads",
                String(plan.fleet.threads), "--strength", String(plan.fleet.strength(ofWorker: index)), "--device",
                device, "--patience", "30", "--quiet", "--log-level", options.log.logLevel.rawValue,
                "--exit-with-standard-input",
            ] + own, log: state + "/output.log", withheld: [AccessToken.variable])
    }

    /// Restarts workers that died; a worker that says why it cannot work ends the run.
    private func supervise(endpoint: String) throws -> (status: PleachExit, reason: String)? {
        for index in workers.indices {
            guard let worker = workers[index], !worker.isRunning else { continue }
            switch worker.status {
            case .running, .exited(0): continue
            case .exited(let code) where PleachExit(rawValue: code) == .stopped: continue
            case .exited(let code):
                let line = worker.lastLogLine
                let reason = line.hasPrefix("error: ") ? String(line.dropFirst("error: ".count)) : line
                return (
                    PleachExit(rawValue: code) ?? .internalError,
                    "\(Self.workerName(index)) ended with status \(code): \(reason)"
                )
            case .signalled(let number):
                guard restarts[index] < Self.restartLimit else {
                    return (
                        .taskFailed,
                        "\(Self.workerName(index)) was killed by signal \(number) \(restarts[index] + 1) times"
                    )
                }
                restarts[index] += 1
                try start(worker: index, endpoint: endpoint)
            }
        }
        return nil
    }

    /// Workers end by themselves once told that the run is over; those that do not hear it are stopped.
    private func letWorkersFinish() async {
        for _ in 0..<50 where workers.contains(where: { $0?.isRunning == true }) {
            try? await Task.sleep(for: .milliseconds(50))
        }
    }

    private func stopWorkers() {
        for worker in workers { worker?.terminate() }
        for worker in workers { worker?.waitOrKill() }
    }
}
