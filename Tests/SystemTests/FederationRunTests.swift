import Federation
import Foundation
import Testing

/// Real processes, real sockets, real training.
@Suite(.serialized)
struct FederationRunTests {
    static func report(_ folder: ScratchFolder, _ state: String) throws -> [String: Any] {
        let data = try #require(FileManager.default.contents(atPath: "\(folder.path)/\(state)/out/report.json"))
        return try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    }

    @Test func aFederationTurnsAModelIntoACompactOne() async throws {
        let folder = try ScratchFolder()
        let plan = try folder.file("plan.yaml", smallPlan())
        let (status, text) = try await PleachProcess.run(["run", plan, "--state", folder.path + "/state"])
        #expect(status == 0, "\(text)")
        let report = try Self.report(folder, "state")
        for key in [
            "accuracyBefore", "accuracyAfter", "bytesBefore", "bytesAfter", "sparsity", "wireBytesUp", "wireBytesDown",
            "wireBytesFloat32", "rounds", "seconds", "stages", "millisecondsBefore", "millisecondsAfter",
        ] {
            #expect(report[key] != nil, "report.json lacks \(key)")
        }
        let before = try #require(report["bytesBefore"] as? Int)
        let after = try #require(report["bytesAfter"] as? Int)
        #expect(after == folder.bytes("state/out/compact.onnx").count)
        #expect(Double(after) < 0.5 * Double(before))
        try Self.costsAreTold(report)
        #expect(text.contains("5 quantize"), "the table has a row for each stage")
        #expect(!FileManager.default.fileExists(atPath: folder.path + "/state/out/measured"))
        let up = try #require(report["wireBytesUp"] as? Int)
        let down = try #require(report["wireBytesDown"] as? Int)
        let float32 = try #require(report["wireBytesFloat32"] as? Int)
        #expect(up > 0 && down > 0 && up + down < float32)
        // What the fleet measured on its test shards is what one machine measures on the whole test split.
        let evaluation = try await PleachProcess.run([
            "model", "evaluate", folder.path + "/state/out/compact.onnx", "--data",
            "synthetic:digits?seed=7&samples=600", "--json",
        ])
        #expect(evaluation.status == 0, "\(evaluation.text)")
        let measured = try #require(
            try JSONSerialization.jsonObject(with: Data(evaluation.text.utf8)) as? [String: Any])
        let accuracy = try #require(measured["accuracy"] as? Double)
        let reported = try #require(report["accuracyAfter"] as? Double)
        #expect(abs(accuracy - reported) < 1e-9)
        #expect(accuracy > 0.3, "ten classes: chance is 0.1")
        try await Self.everyBlobIsExplained(in: folder.path + "/state")
    }

    /// What does not need an ONNX Runtime: sizes of models, and what each round moved.
    private static func costsAreTold(_ report: [String: Any]) throws {
        let stages = try #require(report["stages"] as? [[String: Any]])
        #expect(stages.count == 5)
        let parameters = try #require(report["parametersBefore"] as? Int)
        let macs = try #require(report["macsBefore"] as? Int)
        // The third stage removes channels; what the mask before it left dead goes with them.
        #expect(stages.prefix(2).allSatisfy { $0["parametersAfter"] as? Int == parameters })
        #expect(try #require(stages[1]["sparsity"] as? Double) > 0.59)
        let left = try #require(stages[2]["parametersAfter"] as? Int)
        #expect(left < parameters)
        #expect(Double(try #require(stages[2]["macsAfter"] as? Int)) <= 0.6 * Double(macs))
        #expect(stages.suffix(2).allSatisfy { $0["parametersAfter"] as? Int == left })
        #expect(stages.last?["bytesAfter"] as? Int == report["bytesAfter"] as? Int)
        let rounds = try #require(report["roundDetails"] as? [[String: Any]])
        #expect(rounds.count == report["rounds"] as? Int)
        let sizes = rounds.map { $0["parameters"] as? Int ?? 0 }
        #expect(sizes.first == parameters && sizes.last == left && sizes == sizes.sorted(by: >))
        #expect(rounds.allSatisfy { $0["wireBytesUp"] as? Int ?? 0 > 0 })
        #expect(rounds.first?["sparsity"] as? Double == 0)
    }

    /// Coordinator's and workers' alike, each once.
    private static func everyBlobIsExplained(in state: String) async throws {
        var paths: [String: String] = [:]
        for path in try FileManager.default.subpathsOfDirectory(atPath: state) where path.contains("blobs/") {
            let name = path.split(separator: "/").last.map(String.init) ?? ""
            if Digest(hex: name) != nil { paths[name] = state + "/" + path }
        }
        var kinds: Set<String> = []
        for (name, path) in paths.sorted(by: { $0.key < $1.key }) {
            let json = try await InspectTests.json(path)
            #expect(json["digest"] as? String == name)
            kinds.insert(try #require(json["kind"] as? String))
        }
        #expect(kinds.isSuperset(of: ["delta", "graph", "model", "snapshot", "residual", "explanation"]), "\(kinds)")
    }

    @Test func aKilledCoordinatorAndAKilledWorkerChangeNothing() async throws {
        let folder = try ScratchFolder()
        let plan = try folder.file("plan.yaml", smallPlan())
        let calm = try await PleachProcess.run(["run", plan, "--state", folder.path + "/calm"])
        #expect(calm.status == 0, "\(calm.text)")
        let state = folder.path + "/rough"
        for kill in 1...3 {
            let run = try PleachProcess(["run", plan, "--state", state, "--json"])
            // In the middle of a round: one contribution of it is in the ledger, the round is not closed.
            let victim = try await when(
                "progress before kill \(kill)", seconds: 90,
                { try !run.isRunning || Self.events("contribution.accepted", in: state) >= 3 * kill },
                act: { Self.kill(kill == 2 ? "worker-1" : "coordinator", state: state) })
            #expect(victim != nil, "\(run.text)")
            if kill == 2 {
                // A worker is replaced within the run; then the whole family goes.
                try await when(
                    "the run to go on", seconds: 90,
                    { try !run.isRunning || Self.events("contribution.accepted", in: state) >= 3 * kill + 1 },
                    act: { run.killNow() })
                try await waitUntil("orphans to end", seconds: 30) {
                    Self.processes(matching: "", state: state).isEmpty
                }
            }
            #expect(try await run.wait() != 0)
        }
        let last = try await PleachProcess.run(["run", plan, "--state", state])
        #expect(last.status == 0, "\(last.text)")
        #expect(folder.bytes("rough/out/compact.onnx") == folder.bytes("calm/out/compact.onnx"))
        #expect(!folder.bytes("calm/out/compact.onnx").isEmpty)
    }

    /// The page's token is the coordinator's alone.
    @Test func workersAreNotToldThePagesToken() async throws {
        let folder = try ScratchFolder()
        let plan = try folder.file("plan.yaml", smallPlan(workers: 1, rounds: 1000))
        let state = folder.path + "/state"
        let token = "page-token-that-nobody-may-be-told"
        let run = try PleachProcess(
            ["run", plan, "--state", state, "--http", "127.0.0.1:0"], environment: ["PLEACH_HTTP_TOKEN": token])
        try await waitUntil("a worker: \(run.text)") { !Self.processes(matching: "worker", state: state).isEmpty }
        for (kind, isTold) in [("coordinator", true), ("worker", false)] {
            let process = try #require(Self.processes(matching: kind, state: state).first)
            let environment = try #require(FileManager.default.contents(atPath: "/proc/\(process)/environ"))
            #expect(environment.count > 10)
            #expect((environment.range(of: Data(token.utf8)) != nil) == isTold, "\(kind)")
        }
        run.interrupt()
        #expect(try await run.wait() == 10, "\(run.text)")
    }

    /// How often an event stands in the coordinator's log.
    static func events(_ name: String, in state: String) throws -> Int {
        let log = (try? String(contentsOfFile: state + "/logs/coordinator.jsonl", encoding: .utf8)) ?? ""
        return log.components(separatedBy: "\"event\":\"\(name)\"").count - 1
    }

    /// Kills the first process that `processes` finds.
    static func kill(_ word: String, state: String) -> pid_t? {
        let victim = processes(matching: word, state: state).first
        if let victim { Foundation.kill(victim, SIGKILL) }
        return victim
    }

    /// Processes of this state folder whose command line holds a word.
    static func processes(matching word: String, state: String) -> [pid_t] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return names.compactMap { pid_t($0) }.filter { pid in
            guard let data = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline") else { return false }
            let line = String(decoding: data, as: UTF8.self).split(separator: "\0").map(String.init)
            guard let command = line.dropFirst().first, command == "coordinator" || command == "worker" else {
                return false
            }
            return line.contains { $0.hasPrefix(state) } && (word.isEmpty || line.contains(word))
        }
    }
}
