import Foundation
import Testing

/// `out/report.html`, `pleach report` and `pleach compare` by real processes.
@Suite(.serialized)
struct ReportRunTests {
    private static let plan = """
        name: told
        seed: 7
        model: {architecture: cnn, width: 4}
        data: "synthetic:digits?seed=7&samples=300"
        fleet: {workers: 2, wait: 600s, lease: 10s, heartbeat: 1s}
        stages:
          - train: {rounds: 2, batch: 32, learningRate: 0.05}
          - prune: {granularity: channel, criterion: l2, sparsity: 0.5, multiple: 1, steps: 1, learningRate: 0.02}
          - quantize: {samples: 64}
        """

    @Test func aRunLeavesItsReportAndItIsMadeAgain() async throws {
        let folder = try ScratchFolder()
        let plan = try folder.file("plan.yaml", Self.plan)
        let state = folder.path + "/state"
        let (status, text) = try await PleachProcess.run(["run", plan, "--state", state])
        #expect(status == 0, "\(text)")
        let written = folder.bytes("state/out/report.html")
        let page = String(decoding: written, as: UTF8.self)
        for part in ["told", "Round by round", "2 · prune", "Layer by layer", "Quantization", "Who took part"] {
            #expect(page.contains(part), "\(part)")
        }

        let again = try await PleachProcess.run(["report", state, "--out", folder.path + "/again.html"])
        #expect(again.status == 0, "\(again.text)")
        #expect(folder.bytes("again.html") == written)
        let json = try await PleachProcess.run(["report", state, "--json"])
        #expect(json.status == 0 && Array(json.text.utf8) == folder.bytes("state/out/report.json"))
        try FileManager.default.removeItem(atPath: state + "/out/report.html")
        let inPlace = try await PleachProcess.run(["report", state])
        #expect(inPlace.status == 0 && folder.bytes("state/out/report.html") == written, "\(inPlace.text)")
        try await Self.compares(folder, state, plan)
    }

    /// With itself, and with a run of another seed and more rounds.
    private static func compares(_ folder: ScratchFolder, _ state: String, _ plan: String) async throws {
        let same = try await PleachProcess.run(["compare", state, state + "/out/report.json"])
        #expect(same.status == 0 && same.text.hasPrefix("comparable: "), "\(same.text)")
        let edited = try folder.file(
            "other.yaml",
            Self.plan.replacing("seed: 7\nmodel", with: "seed: 8\nmodel").replacing("rounds: 2", with: "rounds: 1"))
        let run = try await PleachProcess.run(["run", edited, "--state", folder.path + "/other"])
        #expect(run.status == 0, "\(run.text)")
        let two = try await PleachProcess.run([
            "compare", state, folder.path + "/other", "--out", folder.path + "/both.html",
        ])
        #expect(two.status == 0, "\(two.text)")
        #expect(two.text.hasPrefix("not like and like: another seed (7 and 8)"), "\(two.text)")
        #expect(two.text.contains("stages[1].train.rounds"))
        #expect(String(decoding: folder.bytes("both.html"), as: UTF8.self).contains("<polyline"))
        let json = try await PleachProcess.run(["compare", state, folder.path + "/other", "--json"])
        let object = try #require(
            try JSONSerialization.jsonObject(with: Data(json.text.utf8)) as? [String: Any])
        #expect(object["comparable"] as? Bool == false && object["a"] as? String == "state")
    }

    @Test func aRunThatGoesOnIsTold() async throws {
        let folder = try ScratchFolder()
        let plan = try folder.file("plan.yaml", Self.plan)
        let state = folder.path + "/state"
        let coordinator = try PleachProcess(["coordinator", plan, "--state", state, "--bind", "tcp://127.0.0.1:*"])
        try await waitUntil("the endpoint") { FileManager.default.fileExists(atPath: state + "/endpoint") }
        let report = try await PleachProcess.run(["report", state])
        #expect(report.status == 0, "\(report.text)")
        #expect(String(decoding: folder.bytes("state/out/report.html"), as: UTF8.self).contains("has not finished"))
        coordinator.killNow()
        _ = try await coordinator.wait()
        let stopped = try await PleachProcess.run(["report", state, "--json"])
        #expect(stopped.text.contains("\"state\" : \"stopped\""), "\(stopped.text)")
    }

    @Test func badInputIsOneLine() async throws {
        let folder = try ScratchFolder()
        let none = folder.path + "/none"
        let garbage = try folder.file("report.json", "{\"run\": 1}")
        let damaged = folder.path + "/damaged"
        try FileManager.default.createDirectory(atPath: damaged, withIntermediateDirectories: true)
        try Data(repeating: 7, count: 5000).write(to: URL(fileURLWithPath: damaged + "/ledger.sqlite"))
        for arguments in [
            ["report", none], ["report", folder.path], ["report", damaged], ["compare", none, garbage],
            ["compare", garbage, garbage], ["compare", damaged, garbage],
        ] {
            let (status, text) = try await PleachProcess.run(arguments)
            #expect(status == 9, "\(arguments): \(text)")
            #expect(text.hasPrefix("error: ") && text.split(separator: "\n").count == 1, "\(text)")
        }
        #expect(!FileManager.default.fileExists(atPath: none))
        let usage = try await PleachProcess.run(["compare", garbage])
        #expect(usage.status == 64)
    }
}
