import Foundation
import Testing

/// Workers with models of two shapes learn together, by real processes.
@Suite(.serialized)
struct EnsembleRunTests {
    private static func plan(_ folder: ScratchFolder, mutual: Bool) throws -> String {
        try folder.file(
            "plan.yaml",
            """
            name: ensemble
            seed: 7
            model: {architecture: cnn, width: 4}
            data: "synthetic:digits?samples=400&holdout=80&partition=dirichlet:1&seed=7"
            public: "synthetic:digits?samples=400&holdout=80&part=public&seed=7"
            fleet: {workers: 2, students: [shared, mlp], wait: 600s, lease: 30s, heartbeat: 1s}
            stages:
              - distill: {rounds: 3, epochs: 3, batch: 16, learningRate: 0.05, ensemble: {temperature: 2, mutual: \(mutual)}}
            export: {target: float32, measure: false}
            """)
    }

    private static func events(_ folder: ScratchFolder, _ name: String) throws -> [[String: Any]] {
        let log = try String(contentsOfFile: folder.path + "/state/logs/coordinator.jsonl", encoding: .utf8)
        return try log.split(separator: "\n").compactMap {
            try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any]
        }.filter { $0["event"] as? String == name }
    }

    @Test(arguments: [false, true]) func membersOfTwoShapesLearnTogether(mutual: Bool) async throws {
        let folder = try ScratchFolder()
        let plan = try Self.plan(folder, mutual: mutual)
        let result = try await PleachProcess.run(["run", plan, "--state", folder.path + "/state"], seconds: 300)
        #expect(result.status == 0, "\(result.text)")
        let rounds = try Self.events(folder, "round.closed")
        #expect(
            rounds.compactMap { $0["task"] as? String } == Array(repeating: ["train", "logits"], count: 3).joined() + [
                "evaluate"
            ])
        // Two members speak, of different size; only one of them sends weights.
        let members = try Self.events(folder, "contribution.accepted").filter { $0["parameters"] != nil }
        let sizes = Set(members.compactMap { $0["parameters"] as? Int })
        #expect(members.count == 6 && sizes.count == 2 && members.allSatisfy { $0["accuracy"] != nil })
        #expect(rounds.compactMap { $0["rawBytesUp"] as? Int }.filter { $0 > 0 }.count == 3)
        let report = try FederationRunTests.report(folder, "state")
        let accuracy = try #require(report["accuracyAfter"] as? Double)
        #expect(accuracy > 0.25, "ten classes: chance is 0.1")
        #expect(folder.bytes("state/out/compact.onnx").count > 1_000)
    }

    @Test func aPlanWithoutAPublicSetIsRefusedBeforeAnythingStarts() async throws {
        let folder = try ScratchFolder()
        let plan = try folder.file(
            "plan.yaml",
            """
            model: {architecture: cnn, width: 4}
            data: "synthetic:digits"
            stages: [{distill: {ensemble: {}}}]
            """)
        let result = try await PleachProcess.run(["run", plan, "--state", folder.path + "/state"])
        #expect(result.status != 0 && result.text.contains("needs the key 'public'"), "\(result.text)")
    }
}
