import Foundation
import Testing

/// `plan explain` beside what a run really sends, and `--check` beside a real start.
@Suite(.serialized)
struct PlanExplainTests {
    @Test func estimatedBytesAreThoseOfARun() async throws {
        let folder = try ScratchFolder()
        let plan = try folder.file("plan.yaml", smallPlan())
        let explained = try await PleachProcess.run(["plan", "explain", plan, "--json"])
        #expect(explained.status == 0, "\(explained.text)")
        let estimate = try #require(try JSONSerialization.jsonObject(with: Data(explained.text.utf8)) as? [String: Any])
        let (status, text) = try await PleachProcess.run(["run", plan, "--state", folder.path + "/state"])
        #expect(status == 0, "\(text)")
        let report = try FederationRunTests.report(folder, "state")
        for (ours, theirs) in [("bytesUp", "wireBytesUp"), ("bytesDown", "wireBytesDown")] {
            let (expected, real) = (try #require(estimate[ours] as? Double), try #require(report[theirs] as? Double))
            // The model is tiny, so messages and headers weigh more than in any real run.
            #expect(abs(expected / real - 1) < 0.25, "\(ours): \(expected) estimated, \(real) sent")
        }
        #expect(estimate["rounds"] as? Int == report["rounds"] as? Int)
        let forecast = try #require(estimate["forecast"] as? [String: Any])
        let (float32, real) = (
            try #require(forecast["bytesFloat32"] as? Double), try #require(report["wireBytesFloat32"] as? Double)
        )
        #expect(abs(float32 / real - 1) < 0.1, "\(float32) estimated, \(real) counted")
        // The plan's data are here, so there is a time too.
        #expect(estimate["duration"] is [String: Any])
    }

    @Test func aPlanIsSaidInWords() async throws {
        let folder = try ScratchFolder()
        let plan = try folder.file("plan.yaml", smallPlan())
        let (status, text) = try await PleachProcess.run(["plan", "explain", plan, "--rate", "1e9", "--samples", "300"])
        #expect(status == 0, "\(text)")
        for word in ["Stage 5: quantize", "Samples never leave a worker", "Estimated, a worker", "as given by --rate"] {
            #expect(text.contains(word), "\(word): \(text)")
        }
    }

    /// Beyond the plan's own bounds numbers would not fit into what is made of them.
    @Test func numbersBesideThePlanKeepItsBounds() async throws {
        let folder = try ScratchFolder()
        let plan = try folder.file("plan.yaml", smallPlan())
        for count in ["0", "1025", "9223372036854775807"] {
            for command in [["plan", "explain", plan], ["coordinator", plan, "--check"], ["doctor", plan]] {
                let (status, text) = try await PleachProcess.run(command + ["--workers", count])
                #expect(status == 64, "\(command) \(count): \(text)")
                #expect(text.contains("--workers is 1 to 1024"), "\(text)")
            }
        }
    }

    @Test func aTokenThatEverybodyReadsEndsAsKeysDo() async throws {
        let folder = try ScratchFolder()
        let token = try folder.file("token", String(repeating: "a", count: 32))
        try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: token)
        let page = ["--http", "127.0.0.1:0", "--http-token", token]
        let plan = try folder.file("plan.yaml", smallPlan())
        let (status, text) = try await PleachProcess.run(["coordinator", plan, "--check"] + page)
        #expect(status == 6 && text.contains("chmod 600"), "\(text)")
        #expect(try await PleachProcess.run(["doctor", "--http-token", token]).status == 64, "a token for no page")
    }

    @Test func aCheckHasTheStartsExitCodeAndLeavesNothing() async throws {
        let folder = try ScratchFolder()
        let state = folder.path + "/state"
        let good = try folder.file("good.yaml", smallPlan())
        let checked = try await PleachProcess.run([
            "coordinator", good, "--state", state, "--bind", "tcp://127.0.0.1:*", "--check",
        ])
        #expect(checked.status == 0 && checked.text.contains("nothing stands against it"), "\(checked.text)")
        for (name, text, status) in [
            ("syntax", "model: {architecture: cnn}\nstages: [trian]\n", 2),
            ("model", "model: {file: missing.onnx}\nstages: [train]\n", 3),
            ("stage", "model: {architecture: cnn}\nstages: [{prune: {exclude: [nothing]}}]\n", 3),
        ] {
            let plan = try folder.file("\(name).yaml", text)
            let arguments = ["coordinator", plan, "--state", state, "--bind", "tcp://127.0.0.1:*"]
            let look = try await PleachProcess.run(arguments + ["--check"])
            #expect(look.status == Int32(status), "\(look.text)")
            #expect(!FileManager.default.fileExists(atPath: state))
            let start = try await PleachProcess.run(arguments)
            #expect(start.status == look.status, "\(start.text)")
            let errors = [look.text, start.text].map { text in
                text.split(separator: "\n").filter { $0.hasPrefix("error: ") }
            }
            #expect(errors[0].count == 1 && errors[0] == errors[1], "\(look.text) / \(start.text)")
            try? FileManager.default.removeItem(atPath: state)
        }
        let run = try await PleachProcess.run(["run", good, "--state", state, "--check"])
        #expect(run.status == 0 && run.text.contains("fits the model"), "\(run.text)")
        let data = try folder.file(
            "data.yaml",
            "model: {architecture: resnet20}\ndata: synthetic:digits?samples=60\nfleet: {workers: 1}\nstages: [train]\n"
        )
        let refused = try await PleachProcess.run(["run", data, "--state", state, "--check", "--json"])
        #expect(refused.status == 4)
        let findings = try Self.findings(in: refused.text)
        #expect(findings.last?["check"] as? String == "data" && findings.last?["exitCode"] as? Int == 4)
        #expect(findings.dropLast().allSatisfy { $0["outcome"] as? String == "ok" } && findings.count > 3)
        let unsound = try folder.file("unsound.yaml", "model: {architecture: cnn}\nstages: [trian]\n")
        for command in ["run", "coordinator"] {
            let look = try await PleachProcess.run([command, unsound, "--state", state, "--check", "--json"])
            #expect(look.status == 2)
            let only = try #require(try Self.findings(in: look.text).first)
            #expect(only["check"] as? String == "plan" && only["outcome"] as? String == "failed", "\(look.text)")
            #expect((only["found"] as? String)?.contains("trian") == true, "\(look.text)")
        }
        #expect(!FileManager.default.fileExists(atPath: state))
    }

    /// Of what a check printed beside its error line.
    private static func findings(in text: String) throws -> [[String: Any]] {
        let start = try #require(text.firstIndex(of: "{"), "\(text)")
        let end = try #require(text.lastIndex(of: "}"), "\(text)")
        let report = try JSONSerialization.jsonObject(with: Data(text[start...end].utf8)) as? [String: Any]
        return try #require(report?["findings"] as? [[String: Any]], "\(text)")
    }
}
