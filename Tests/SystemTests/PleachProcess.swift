import Foundation
import Testing

/// The `pleach` binary that the test build made, run as users run it.
final class PleachProcess: Sendable {
    private let process = Process()
    private let output: URL

    /// The folder that holds the test bundle and the binary.
    static let binary = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
        .appendingPathComponent("pleach")

    static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    /// Starts the binary; standard output and error go to a file.
    init(_ arguments: [String], environment: [String: String] = [:]) throws {
        output = FileManager.default.temporaryDirectory.appendingPathComponent("pleach-\(UUID().uuidString).log")
        _ = FileManager.default.createFile(atPath: output.path, contents: nil)
        process.executableURL = Self.binary
        process.arguments = arguments
        process.currentDirectoryURL = Self.root
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
            .merging(["OPENBLAS_NUM_THREADS": "1"]) { $1 }
        let handle = try FileHandle(forWritingTo: output)
        process.standardOutput = handle
        process.standardError = handle
        process.standardInput = FileHandle.nullDevice
        try process.run()
    }

    deinit {
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
        try? FileManager.default.removeItem(at: output)
    }

    var text: String { (try? String(contentsOf: output, encoding: .utf8)) ?? "" }
    var isRunning: Bool { process.isRunning }

    func killNow() { kill(process.processIdentifier, SIGKILL) }
    func interrupt() { kill(process.processIdentifier, SIGINT) }

    /// Exit status (negative: minus the signal); fails the test when the process outlives `seconds`.
    func wait(seconds: Double = 120) async throws -> Int32 {
        try await waitUntil("\(process.arguments?.first ?? "") to end: \(text.suffix(2000))", seconds: seconds) {
            !isRunning
        }
        return process.terminationReason == .exit ? process.terminationStatus : -process.terminationStatus
    }

    /// Runs to the end.
    static func run(_ arguments: [String], seconds: Double = 120) async throws -> (status: Int32, text: String) {
        let process = try PleachProcess(arguments)
        let status = try await process.wait(seconds: seconds)
        return (status, process.text)
    }
}

struct Timeout: Error, CustomStringConvertible {
    var description: String
}

/// Polls a condition that only the outside world can make true.
/// Waits long: on a disk that still takes in a build, a process's first sync can take a minute.
func waitUntil(_ what: String, seconds: Double = 240, _ condition: () throws -> Bool) async throws {
    let deadline = ContinuousClock.now + .seconds(seconds)
    while try !condition() {
        guard ContinuousClock.now < deadline else { throw Timeout(description: "waited \(seconds) s for \(what)") }
        try await Task.sleep(for: .milliseconds(20))
    }
}

/// Acts at the moment the outside world is ready for it, on a thread of its own: tests that compute may keep all threads
/// of the pool busy for a minute, and the processes under test do not wait for them.
func when<Result: Sendable>(
    _ what: String, seconds: Double = 240, _ condition: @escaping @Sendable () throws -> Bool,
    act: @escaping @Sendable () throws -> Result
) async throws -> Result {
    try await withCheckedThrowingContinuation { continuation in
        Thread.detachNewThread {
            continuation.resume(
                with: Swift.Result {
                    let deadline = ContinuousClock.now + .seconds(seconds)
                    while try !condition() {
                        guard ContinuousClock.now < deadline else {
                            throw Timeout(description: "waited \(seconds) s for \(what)")
                        }
                        Thread.sleep(forTimeInterval: 0.02)
                    }
                    return try act()
                })
        }
    }
}

/// A folder that goes away with the test.
final class ScratchFolder: Sendable {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.appendingPathComponent("pleach-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func file(_ name: String, _ text: String) throws -> String {
        let file = path + "/" + name
        try text.write(toFile: file, atomically: true, encoding: .utf8)
        return file
    }

    func bytes(_ name: String) -> [UInt8] { Array(FileManager.default.contents(atPath: path + "/" + name) ?? Data()) }
}

/// A plan of every stage that runs in seconds.
func smallPlan(workers: Int = 2, quorum: Int? = nil, rounds: Int = 3, wait: Int = 600) -> String {
    """
    name: small
    seed: 7
    model: {architecture: cnn, width: 4}
    data: "synthetic:digits?partition=dirichlet:1&seed=7&samples=600"
    fleet: {workers: \(workers), quorum: \(quorum ?? workers), wait: \(wait)s, lease: 10s, heartbeat: 1s}
    wire:
      up: {density: 0.1, values: int4}
      down: {density: 0.1, values: int4}
    stages:
      - train: {rounds: \(rounds), epochs: 1, batch: 32, learningRate: 0.05}
      - prune: {criterion: taylor, sparsity: 0.6, steps: 2, scoreSamples: 64, epochs: 0.5, learningRate: 0.03}
      - prune: {granularity: channel, budget: {macs: 0.6}, multiple: 1, steps: 2, epochs: 0.5, learningRate: 0.02}
      - distill: {teacher: {stage: 1}, rounds: 1, epochs: 0.5, learningRate: 0.02}
      - quantize: {samples: 64}
    """
}
