import Foundation
import Testing

/// Whole runs with teachers, through the program.
struct DistillRunTests {
    @Test func studentsLearnFromFilesStagesAndOwnTeachers() async throws {
        let folder = try ScratchFolder()
        for (name, input) in [("wide", "1,28,28"), ("large", "1,32,32")] {
            let made = try await PleachProcess.run([
                "model", "new", "resnet20", "--input", input, "--classes", "10", "--width", "6", "--out",
                "\(folder.path)/\(name).onnx",
            ])
            #expect(made.status == 0, "\(made.text)")
        }
        let path = try folder.file(
            "plan.yaml",
            """
            name: teachers
            seed: 3
            model: {architecture: resnet20, input: [1, 28, 28], classes: 10, width: 8, keepEvery: 2}
            data: "synthetic:digits?samples=120&partition=iid&seed=7"
            fleet: {workers: 2, teachers: [wide.onnx]}
            stages:
              - train: {rounds: 1, learningRate: 0.02, teacher: [{file: large.onnx, resize: bilinear}, {own: true}]}
              - distill: {rounds: 2, learningRate: 0.02, teacher: {file: wide.onnx}, hiddenStates: 0.1, attentionMaps: 1}
              - prune: {granularity: channel, criterion: l2, multiple: 4, sparsity: 0.5, steps: 1, schedule: oneShot,
                        teacher: {stage: 2}, hiddenStates: 0.1, learningRate: 0.02}
            export: {target: float32, measure: false}
            """)
        let state = folder.path + "/state"
        let (status, text) = try await PleachProcess.run(["run", path, "--state", state])
        #expect(status == 0, "\(text)")
        let report = try FederationRunTests.report(folder, "state")
        let stages = try #require(report["stages"] as? [[String: Any]])
        #expect(stages.compactMap { $0["kind"] as? String } == ["train", "distill", "prune"])
        #expect(report["accuracyAfter"] as? Double != nil)
    }

    @Test func ownTeachersNeedTheirFiles() async throws {
        let folder = try ScratchFolder()
        let path = try folder.file(
            "plan.yaml",
            """
            model: {architecture: cnn}
            data: "synthetic:digits?samples=20"
            stages: [{distill: {teacher: {own: true}}}]
            """)
        let (status, text) = try await PleachProcess.run(["run", path, "--state", folder.path + "/state"])
        #expect(status == 2 && text.contains("under 'teachers' in fleet"), "\(text)")
    }

    /// A run knows its teachers by their paths: a plan of the same text in another folder names others.
    @Test func aRunGoesOnByTheSamePathsOnly() async throws {
        let folder = try ScratchFolder()
        _ = try await Self.model(4, in: folder)
        let text = """
            model: {architecture: resnet20, input: [1, 28, 28], classes: 10, width: 4}
            data: "synthetic:digits?samples=20&partition=iid"
            fleet: {workers: 1}
            stages: [{distill: {rounds: 1, teacher: {file: 4.onnx}}}]
            export: {target: float32, measure: false}
            """
        let path = try folder.file("plan.yaml", text)
        let first = try await PleachProcess.run(["run", path, "--state", folder.path + "/state"])
        #expect(first.status == 0, "\(first.text)")
        try FileManager.default.createDirectory(atPath: folder.path + "/other", withIntermediateDirectories: true)
        let other = try folder.file("other/plan.yaml", text)
        let second = try await PleachProcess.run(["run", other, "--state", folder.path + "/state"])
        #expect(second.status == 9 && second.text.contains("named by other paths"), "\(second.text)")
    }

    private static func model(_ width: Int, in folder: ScratchFolder) async throws -> String {
        let path = "\(folder.path)/\(width).onnx"
        let made = try await PleachProcess.run([
            "model", "new", "resnet20", "--input", "1,28,28", "--classes", "10", "--width", "\(width)", "--out", path,
        ])
        #expect(made.status == 0, "\(made.text)")
        return path
    }

    @Test func inspectListsValuesAndTheirPairs() async throws {
        let folder = try ScratchFolder()
        let (student, teacher) = (try await Self.model(4, in: folder), try await Self.model(6, in: folder))
        let (status, text) = try await PleachProcess.run(
            ["model", "inspect", student, "--values", "--teacher", teacher, "--json"])
        #expect(status == 0, "\(text)")
        let report = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        let stages = try #require(report["stages"] as? [[String: Any]])
        #expect(stages.compactMap { ($0["shape"] as? [Int])?.first } == [4, 8, 16])
        let pairs = try #require(report["stagePairs"] as? [[String: String]])
        #expect(pairs.compactMap { $0["student"] } == stages.compactMap { $0["name"] as? String })
        #expect((report["attentionPairs"] as? [Any])?.isEmpty == true)
        let refused = try await PleachProcess.run(["model", "inspect", student, "--teacher", teacher])
        #expect(refused.status != 0 && refused.text.contains("--teacher needs --values"), "\(refused.text)")
    }

    @Test func benchTellsWhatRememberingSaves() async throws {
        let folder = try ScratchFolder()
        let (student, teacher) = (try await Self.model(4, in: folder), try await Self.model(6, in: folder))
        func bench(_ data: String) async throws -> (status: Int32, text: String) {
            let result = try await PleachProcess.run([
                "bench", "teacher", "--model", student, "--teacher", teacher, "--data", data, "--batch", "16",
                "--passes",
                "2", "--json",
            ])
            return (result.status, result.text)
        }
        let (status, text) = try await bench("synthetic:digits?samples=40")
        #expect(status == 0, "\(text)")
        let row = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        #expect(row["samples"] as? Int == 40 && row["passes"] as? Int == 2)
        for key in ["step", "fresh", "cached", "cachedLater"] { #expect(row[key] as? Double ?? 0 > 0, "\(key)") }
        let refused = try await bench("synthetic:digits?samples=40&flip=true")
        #expect(refused.status != 0 && refused.text.contains("flip"), "\(refused.text)")
    }
}
