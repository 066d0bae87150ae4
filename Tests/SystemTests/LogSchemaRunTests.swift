import EventSchema
import Foundation
import Testing
import Transport

/// What real processes log fits `protocols/log-events.schema.json`, and tells no secret.
@Suite(.serialized, .timeLimit(.minutes(10)))
struct LogSchemaRunTests {
    /// Every line of these files, and how often each event stands in them; what does not fit fails the test.
    private static func check(_ paths: [String], _ schema: EventSchema) throws -> [String: Int] {
        var seen: [String: Int] = [:]
        for path in paths {
            let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
            #expect(!lines.isEmpty, "\(path)")
            for line in lines {
                if let complaint = schema.complaint(about: String(line)) { Issue.record("\(path): \(complaint)") }
                let name = try JSONValue(parsing: String(line))["event"]?.string ?? ""
                seen[name, default: 0] += 1
            }
        }
        return seen
    }

    private static func files(below folder: String, ending suffix: String) throws -> [String] {
        try FileManager.default.subpathsOfDirectory(atPath: folder).filter { $0.hasSuffix(suffix) }.sorted().map {
            "\(folder)/\($0)"
        }
    }

    @Test func aNormalRunFitsAndKeepsItsSecrets() async throws {
        let folder = try ScratchFolder()
        let plan = try folder.file("plan.yaml", smallPlan(rounds: 1))
        let state = folder.path + "/state"
        let token = "page-token-that-nobody-may-be-told"
        let tokenFile = try folder.file("page.token", token)
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: tokenFile)
        let (status, text) = try await PleachProcess.run([
            "run", plan, "--state", state, "--json", "--http", "127.0.0.1:0", "--http-token", tokenFile,
        ])
        #expect(status == 0, "\(text)")
        let schema = try EventSchema.ofRepository()
        let logs = try Self.files(below: state, ending: ".jsonl")
        #expect(logs.count == 3, "the coordinator's and two workers': \(logs)")
        let seen = try Self.check(logs, schema)
        for name in [
            "run.started", "worker.joined", "stage.started", "round.opened", "task.assigned", "task.started",
            "task.finished", "transfer.finished", "contribution.accepted", "round.closed", "snapshot.published",
            "mask.decided", "stage.finished", "export.finished", "run.finished",
        ] { #expect(seen[name, default: 0] > 0, "no \(name)") }
        // Standard output has the same lines.
        let printed = text.split(separator: "\n").filter { $0.hasPrefix("{") }
        #expect(printed.count > 20)
        for line in printed { #expect(schema.complaint(about: String(line)) == nil, "\(line)") }
        try Self.noSecretIsTold(state, token: token, logs: logs, output: text)
        try await Self.summaryAgrees(state)
    }

    /// Whatever stands in a file of a secret stands in no log, no output and no report.
    private static func noSecretIsTold(_ state: String, token: String, logs: [String], output: String) throws {
        let keys = try files(below: state, ending: ".secret").map {
            try String(contentsOfFile: $0, encoding: .utf8).trimmingCharacters(in: .whitespacesAndNewlines)
        }
        #expect(keys.count == 3, "the server's and two workers'")
        #expect(keys.allSatisfy { $0.count >= 40 })
        let reports = try [".json", ".html"].flatMap { try files(below: state + "/out", ending: $0) }
        #expect(reports.count == 2)
        let told = try (logs + reports).map { try String(contentsOfFile: $0, encoding: .utf8) }
        // A key has characters that JSON escapes: compare with what a JSON string makes of it too.
        let secrets = keys.flatMap { $0.split(separator: "\n").map(String.init) }.filter { $0.count >= 40 }
        for secret in secrets + [token] {
            let encoded = String(decoding: try JSONEncoder().encode(secret), as: UTF8.self).dropFirst().dropLast()
            for text in told + [output] {
                #expect(!text.contains(secret))
                #expect(!text.contains(encoded))
            }
        }
    }

    private static func summaryAgrees(_ state: String) async throws {
        let (status, text) = try await PleachProcess.run(["logs", "--state", state, "--summary", "--json"])
        #expect(status == 0, "\(text)")
        let summary = try JSONValue(parsing: text)
        let report = try JSONValue(parsing: String(contentsOfFile: state + "/out/report.json", encoding: .utf8))
        #expect(summary["rounds"]?["count"] == report["rounds"])
        #expect(summary["finished"] == .bool(true))
        #expect(summary["workers"]?.array?.count == 2)
        let filtered = try await PleachProcess.run([
            "logs", "--state", state, "--json", "--event", "contribution", "--round", "0", "--worker", "worker-1",
        ])
        #expect(filtered.text.split(separator: "\n").count == 1, "\(filtered.text)")
    }

    @Test func aRefusedUpdateALostWorkerAndARestartFit() async throws {
        let stage = try await HostileStage(HostileWorkerTests.plan)
        let state = stage.state
        do {
            let mallory = try stage.worker("mallory")
            mallory.send(.ready(held: []))
            let offer = try await mallory.task()
            let (honest, _) = try ScriptedWorker.update(for: offer, width: 3)
            mallory.submit(offer, serving: Array(honest.dropLast(7)))
            let isAccepted = try await mallory.verdict().isAccepted
            #expect(!isAccepted)
        }
        try await waitUntil("mallory to be lost") { try FederationRunTests.events("worker.lost", in: state) == 1 }
        stage.coordinator.interrupt()
        #expect(try await stage.coordinator.wait() == 10)
        let again = try PleachProcess([
            "coordinator", stage.folder.path + "/plan.yaml", "--state", state, "--bind", "tcp://127.0.0.1:*", "--json",
        ])
        try await waitUntil("the endpoint") { FileManager.default.fileExists(atPath: state + "/endpoint") }
        let endpoint = try String(contentsOfFile: state + "/endpoint", encoding: .utf8)
        let alice = try stage.worker("alice", endpoint: endpoint.trimmingCharacters(in: .newlines))
        try await alice.finishRun(width: 3)
        #expect(try await again.wait() == 0, "\(again.text)")
        let seen = try Self.check([state + "/logs/coordinator.jsonl"], try EventSchema.ofRepository())
        for name in ["contribution.refused", "worker.lost", "run.stopped", "run.resumed", "run.finished"] {
            #expect(seen[name] == 1, "\(name)")
        }
    }

    /// /dev/full takes no byte, as a full disk; the run's own files are elsewhere.
    @Test func aFullLogDiskCostsOneWarning() async throws {
        let folder = try ScratchFolder()
        let plan = try folder.file(
            "plan.yaml",
            """
            name: full
            seed: 7
            model: {architecture: cnn, width: 4}
            data: "synthetic:digits?seed=7&samples=100"
            fleet: {workers: 1, quorum: 1, wait: 600s}
            stages:
              - train: {rounds: 2, epochs: 1, batch: 32, learningRate: 0.05}
            """)
        let state = folder.path + "/state"
        for (logs, name) in [(state + "/logs", "coordinator"), (state + "/workers/worker-1/logs", "worker-1")] {
            try FileManager.default.createDirectory(atPath: logs, withIntermediateDirectories: true)
            try FileManager.default.createSymbolicLink(
                atPath: "\(logs)/\(name).jsonl", withDestinationPath: "/dev/full")
        }
        let (status, text) = try await PleachProcess.run(["run", plan, "--state", state])
        #expect(status == 0, "\(text)")
        #expect(text.components(separatedBy: "events are not written").count == 2, "\(text)")
        #expect(text.contains("run finished"))
        let worker = try String(contentsOfFile: state + "/workers/worker-1/output.log", encoding: .utf8)
        #expect(worker.components(separatedBy: "events are not written").count == 2, "\(worker)")
    }

    @Test func theLevelLeavesOutWhatIsBelowIt() async throws {
        let folder = try ScratchFolder()
        let plan = try folder.file("plan.yaml", smallPlan(workers: 1, wait: 1))
        let (status, text) = try await PleachProcess.run([
            "coordinator", plan, "--state", folder.path + "/state", "--bind", "tcp://127.0.0.1:*", "--log-level",
            "error", "--json",
        ])
        #expect(status == 7, "\(text)")
        let log = String(decoding: folder.bytes("state/logs/coordinator.jsonl"), as: UTF8.self)
        #expect(log.split(separator: "\n").count == 1)
        #expect(log.contains("\"event\":\"run.failed\""))
    }
}
