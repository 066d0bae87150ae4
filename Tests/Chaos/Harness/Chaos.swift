// Kills, freezes and cuts off the processes of a real federation while it works, until it is done; then looks whether
// anything of it shows in the result.
//
// What must hold: out/compact.onnx has the bytes of an undisturbed run, every round is in the ledger exactly once, and so
// is every (round, worker). Choices follow a seed; the instants they meet depend on the machine, so a seed gives the same
// kind of disturbance, not the same run.
// Left out: damage to durable files. Only what may be lost at any instant is cut: partial blobs, temporary files.

import Federation
import Foundation
import Tensors

/// What a run of the harness is about.
public struct ChaosOptions {
    public var binary: String
    public var workers = 3
    public var kills = 20
    public var seed: UInt64 = 1
    /// Rounds of the first stage: enough for the kills to fall into.
    public var rounds = 4
    public var namespaces = false
    /// Freezes and partitions cost a lease each.
    public var freezes = true
    public var limitSeconds = 300.0
    /// Stays, for a look, when the result differs.
    public var keepsFolder = false

    public init(binary: String) { self.binary = binary }

    static let leaseSeconds = 3.0

    var plan: String {
        """
        name: chaos
        seed: 7
        model: {architecture: cnn, width: 4}
        data: "synthetic:digits?partition=dirichlet:1&seed=7&samples=1200"
        fleet: {workers: \(workers), quorum: \(workers), wait: 300s, lease: \(Int(Self.leaseSeconds))s, heartbeat: 0.5s}
        wire:
          up: {density: 0.1, values: int4}
          down: {density: 0.1, values: int4}
        stages:
          - train: {rounds: \(rounds), epochs: 2, batch: 32, learningRate: 0.05, momentum: 0.5, correction: scaffold}
          - prune:
              {criterion: taylor, sparsity: 0.6, steps: 2, scoreSamples: 64, epochs: 0.5, learningRate: 0.03,
               server: {optimizer: adam}}
          - prune:
              {granularity: channel, budget: {macs: 0.6}, multiple: 2, steps: 2, scoreSamples: 64, epochs: 0.5,
               learningRate: 0.02, server: {optimizer: momentum}, teacher: {stage: 1}}
          - quantize: {samples: 64}
        """
    }
}

/// What happened, and whether it shows.
public struct ChaosResult {
    public var coordinatorKills = 0
    public var workerKills = 0
    public var freezes = 0
    public var partitions = 0
    public var cutFiles = 0
    public var rounds = 0
    public var contributions = 0
    public var seconds = 0.0
    public var digestsEqual = false
    /// Everything that must not be; empty when all is well.
    public var faults: [String] = []

    public var kills: Int { coordinatorKills + workerKills }

    public var table: String {
        """
        kills of the coordinator   \(coordinatorKills)
        kills of workers           \(workerKills)
        freezes beyond a lease     \(freezes)
        partitions                 \(partitions)
        files cut                  \(cutFiles)
        rounds                     \(rounds)
        contributions              \(contributions)
        wall time                  \(Int(seconds.rounded())) s
        digests equal              \(digestsEqual ? "yes" : "NO")
        """
    }
}

/// One disturbed federation.
public final class Chaos {
    let options: ChaosOptions
    let folder: String
    let print: (String) -> Void
    let started = Date()
    var random: SeededGenerator
    var result = ChaosResult()
    var nodes: [Node] = []
    var network: ChaosNetwork?
    /// Set from a signal handler: end early and clean up.
    let isCancelled: () -> Bool

    public init(
        _ options: ChaosOptions, isCancelled: @escaping () -> Bool = { false }, print: @escaping (String) -> Void
    ) {
        self.options = options
        self.isCancelled = isCancelled
        self.print = print
        random = SeededGenerator(seed: options.seed, labels: "chaos")
        folder =
            FileManager.default.temporaryDirectory.appendingPathComponent("pleach-chaos-\(getpid())-\(options.seed)")
            .path
    }

    /// Runs an undisturbed and a disturbed federation and compares them. Leaves nothing behind, however it ends.
    public func run() throws -> ChaosResult {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { cleanUp() }
        let plan = folder + "/plan.yaml"
        try options.plan.write(toFile: plan, atomically: true, encoding: .utf8)
        say("calm run")
        let calm = try spawn(
            [options.binary, "run", plan, "--workers", "\(options.workers)", "--state", calmState],
            output: folder + "/calm.log")
        defer { if !calmIsOver { kill(calm, SIGKILL) } }
        try wait(for: calm)
        try prepare(plan: plan)
        let began = Date()
        for node in nodes { try node.start() }
        try disturb()
        result.seconds = Date().timeIntervalSince(began)
        try compare()
        return result
    }

    var calmState: String { folder + "/calm" }
    var roughState: String { folder + "/rough" }
    private var calmIsOver = false

    private func wait(for calm: pid_t) throws {
        let deadline = Date(timeIntervalSinceNow: options.limitSeconds)
        while true {
            if let ending = reap(calm, blocking: false) {
                calmIsOver = true
                guard ending == .exited(0) else { throw ChaosError("the calm run: \(ending); \(folder)/calm.log") }
                return
            }
            guard !isCancelled() else { throw ChaosError("interrupted") }
            guard Date() < deadline else { throw ChaosError("the calm run does not end") }
            usleep(20_000)
        }
    }

    func say(_ text: String) {
        let seconds = Date().timeIntervalSince(started)
        print(String(format: "%8.2f s  ", seconds) + text)
    }

    private func cleanUp() {
        for node in nodes { node.killNow() }
        network?.remove()
        if !(options.keepsFolder && !result.faults.isEmpty) { try? FileManager.default.removeItem(atPath: folder) }
    }
}
