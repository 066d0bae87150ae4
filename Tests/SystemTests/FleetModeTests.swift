import Foundation
import Testing
import Transport

/// Fleets that are uneven, larger than needed, or shrink while they run.
@Suite(.serialized)
struct FleetModeTests {
    static func plan(_ fleet: String, rounds: Int = 3, epochs: Double = 0.5) -> String {
        """
        name: fleet
        seed: 7
        model: {architecture: cnn, width: 4}
        data: "synthetic:digits?partition=iid&seed=7&samples=600"
        fleet: {\(fleet), wait: 300s, lease: 10s, heartbeat: 1s}
        wire: {up: {values: int8}, down: {values: int8}}
        stages:
          - train: {rounds: \(rounds), epochs: \(epochs), batch: 32, learningRate: 0.05}
          - prune: {criterion: magnitude, sparsity: 0.5, steps: 1, epochs: 0.5}
        """
    }

    @Test func asynchronousRoundsFinishAlsoWhenTheCoordinatorIsKilled() async throws {
        let folder = try ScratchFolder()
        let path = try folder.file(
            "plan.yaml", Self.plan("workers: 3, rounds: asynchronous, buffer: 2", rounds: 40, epochs: 1))
        let state = folder.path + "/state"
        let run = try PleachProcess(["run", path, "--state", state, "--json"])
        // Most of the run is still to come, so that a busy machine cannot end it before the kill.
        let victim = try await when(
            "contributions", seconds: 90,
            { try !run.isRunning || FederationRunTests.events("contribution.accepted", in: state) >= 5 },
            act: { FederationRunTests.kill("coordinator", state: state) })
        #expect(victim != nil, "\(run.text)")
        #expect(try await run.wait() != 0)
        let (status, text) = try await PleachProcess.run(["run", path, "--state", state])
        #expect(status == 0, "\(text)")
        let report = try FederationRunTests.report(folder, "state")
        #expect(report["rounds"] as? Int == 40 + 1 + 1 + 1)
        #expect(try #require(report["accuracyAfter"] as? Double) > 0.3)
        // That many aggregations of two cannot have waited for all three workers each time.
        let log = try String(contentsOfFile: state + "/logs/coordinator.jsonl", encoding: .utf8)
        #expect(log.contains("\"staleness\":"), "nobody was ever late")
    }

    /// Full models and parts of them in one fold, before and after the model has become smaller.
    @Test func workersOfDifferentStrengthTrainDifferentWidths() async throws {
        let folder = try ScratchFolder()
        let plan = Self.plan("workers: 3, widths: [1, 0.5, 0.25], strengths: [1, 0.6, 0.1]", rounds: 8, epochs: 1)
            .replacingOccurrences(of: "width: 4", with: "width: 8")
            .replacingOccurrences(of: "samples=600", with: "samples=1200")
            .replacingOccurrences(
                of: "{sparsity: 0.5, steps: 1,",
                with: "{granularity: channel, criterion: l2, multiple: 1, sparsity: 0.5, steps: 1,")
        let state = folder.path + "/state"
        let (status, text) = try await PleachProcess.run([
            "run", try folder.file("plan.yaml", plan), "--state", state,
        ])
        #expect(status == 0, "\(text)")
        let log = try String(contentsOfFile: state + "/logs/coordinator.jsonl", encoding: .utf8)
        let accepted = log.split(separator: "\n").filter { $0.contains("\"event\":\"contribution.accepted\"") }
        for (worker, width) in [("worker-1", nil), ("worker-2", "0.5"), ("worker-3", "0.25")] as [(String, String?)] {
            let own = accepted.filter { $0.contains("\"worker\":\"\(worker)\"") }
            let narrow = own.filter { $0.contains("\"width\":") }
            // Evaluations are of the whole model.
            #expect(own.count == 8 + 1 + 1 + 1 && narrow.count == (width == nil ? 0 : 8 + 1))
            #expect(narrow.allSatisfy { $0.contains("\"width\":\(width ?? "")") })
        }
        let report = try FederationRunTests.report(folder, "state")
        #expect(try #require(report["accuracyAfter"] as? Double) > 0.3, "ten classes: chance is 0.1")
    }

    @Test func overSelectedWorkersAreToldToStopAndTheRunEndsForAll() async throws {
        let folder = try ScratchFolder()
        let path = try folder.file("plan.yaml", Self.plan("workers: 2, overSelect: 1"))
        let state = folder.path + "/state"
        let (status, text) = try await PleachProcess.run(["run", path, "--state", state])
        #expect(status == 0, "\(text)")
        #expect(FileManager.default.fileExists(atPath: state + "/workers/worker-3"))
        let log = try String(contentsOfFile: state + "/logs/coordinator.jsonl", encoding: .utf8)
        let assigned = log.components(separatedBy: "\"event\":\"task.assigned\"").count - 1
        let accepted = try FederationRunTests.events("contribution.accepted", in: state)
        #expect(accepted == 2 * (3 + 1 + 1 + 1))
        #expect(assigned > accepted)
    }

    @Test func aRevokedWorkerIsCutOffAndTheOthersGoOn() async throws {
        let folder = try ScratchFolder()
        let path = try folder.file("plan.yaml", Self.plan("workers: 2, quorum: 1, deadline: 3s"))
        let state = folder.path + "/state"
        var workers: [PleachProcess] = []
        for name in ["left", "right"] {
            let pair = try KeyPair.generate()
            try KeyFile.write(pair, directory: "\(folder.path)/\(name)/keys", name: "worker")
            let allowed = try await PleachProcess.run([
                "keys", "allow", state + "/keys", pair.publicKey, "--name", name,
            ])
            #expect(allowed.status == 0, "\(allowed.text)")
        }
        let coordinator = try PleachProcess(["coordinator", path, "--state", state, "--bind", "tcp://127.0.0.1:*"])
        try await waitUntil("the endpoint") { FileManager.default.fileExists(atPath: state + "/endpoint") }
        let endpoint = try String(contentsOfFile: state + "/endpoint", encoding: .utf8).trimmingCharacters(
            in: .newlines)
        for name in ["left", "right"] {
            workers.append(
                try PleachProcess([
                    "worker", "--coordinator", endpoint, "--server-key", state + "/keys/server.key", "--data",
                    "synthetic:digits?samples=600&shard=\(name == "left" ? 1 : 2)/2", "--name", name, "--state",
                    "\(folder.path)/\(name)", "--patience", "4",
                ]))
        }
        try await when(
            "a contribution of the right worker",
            {
                let log = (try? String(contentsOfFile: state + "/logs/coordinator.jsonl", encoding: .utf8)) ?? ""
                return log.contains("\"event\":\"contribution.accepted\"") && log.contains("\"worker\":\"right\"")
            }, act: { try AllowList(directory: state + "/keys/allowed").revoke(name: "right") })
        // Exit code 6: keys.
        #expect(try await workers[1].wait() == 6, "\(workers[1].text)")
        #expect(try await workers[0].wait() == 0)
        #expect(try await coordinator.wait() == 0, "\(coordinator.text)")
        // The command does the same, to a name that is there.
        for status in [0, 6] as [Int32] {
            let revoked = try await PleachProcess.run(["keys", "revoke", state + "/keys", "left"])
            #expect(revoked.status == status, "\(revoked.text)")
        }
    }
}
