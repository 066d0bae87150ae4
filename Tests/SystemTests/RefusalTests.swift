import Foundation
import Testing

/// What goes wrong is said in one line, with the documented exit status, and leaves nothing behind.
@Suite(.serialized)
struct RefusalTests {
    @Test func anUnknownKeyIsTurnedAwayOnBothSides() async throws {
        let folder = try ScratchFolder()
        let plan = try folder.file("plan.yaml", smallPlan(workers: 1))
        let state = folder.path + "/state"
        let coordinator = try PleachProcess([
            "coordinator", plan, "--state", state, "--bind", "tcp://127.0.0.1:*", "--json",
        ])
        try await waitUntil("the endpoint") { FileManager.default.fileExists(atPath: state + "/endpoint") }
        let endpoint = try String(contentsOfFile: state + "/endpoint", encoding: .utf8).trimmingCharacters(
            in: .newlines)
        let stranger = try await PleachProcess.run([
            "worker", "--coordinator", endpoint, "--server-key", state + "/keys/server.key", "--data",
            "synthetic:digits?samples=100", "--state", folder.path + "/stranger", "--patience", "2",
        ])
        #expect(stranger.status == 6, "\(stranger.text)")
        #expect(stranger.text.contains("pleach keys allow"))
        #expect(coordinator.text.contains("\"event\":\"worker.refused\""))
        #expect(!coordinator.text.contains("worker.joined"))
        coordinator.interrupt()
        #expect(try await coordinator.wait() == 10)
    }

    @Test func aWrongServerKeyIsAKeyProblem() async throws {
        let folder = try ScratchFolder()
        let plan = try folder.file("plan.yaml", smallPlan(workers: 1))
        let state = folder.path + "/state"
        let coordinator = try PleachProcess(["coordinator", plan, "--state", state, "--bind", "tcp://127.0.0.1:*"])
        try await waitUntil("the endpoint") { FileManager.default.fileExists(atPath: state + "/endpoint") }
        let endpoint = try String(contentsOfFile: state + "/endpoint", encoding: .utf8).trimmingCharacters(
            in: .newlines)
        _ = try await PleachProcess.run(["keys", "new", folder.path + "/other", "--name", "server"])
        let worker = try await PleachProcess.run([
            "worker", "--coordinator", endpoint, "--server-key", folder.path + "/other/server.key", "--data",
            "synthetic:digits?samples=100", "--state", folder.path + "/worker", "--patience", "4",
        ])
        #expect(worker.status == 6, "\(worker.text)")
        coordinator.killNow()
    }

    @Test func aPortInUseIsNamed() async throws {
        let folder = try ScratchFolder()
        let plan = try folder.file("plan.yaml", smallPlan(workers: 1))
        let first = try PleachProcess([
            "coordinator", plan, "--state", folder.path + "/one", "--bind", "tcp://127.0.0.1:*",
        ])
        try await waitUntil("the endpoint") { FileManager.default.fileExists(atPath: folder.path + "/one/endpoint") }
        let endpoint = try String(contentsOfFile: folder.path + "/one/endpoint", encoding: .utf8)
            .trimmingCharacters(in: .newlines)
        let second = try await PleachProcess.run([
            "coordinator", plan, "--state", folder.path + "/two", "--bind", endpoint,
        ])
        #expect(second.status == 5, "\(second.text)")
        #expect(second.text.contains(endpoint))
        first.killNow()
        // Nothing of a run was begun, so the folder is free for any plan.
        let left = try FileManager.default.subpathsOfDirectory(atPath: folder.path + "/two")
        #expect(
            !left.contains { $0.hasPrefix("ledger") || $0.hasPrefix("blobs") || $0.hasPrefix("endpoint") }, "\(left)")
        let other = try folder.file("other.yaml", smallPlan(workers: 1, rounds: 2, wait: 1))
        let third = try await PleachProcess.run([
            "coordinator", other, "--state", folder.path + "/two", "--bind", "tcp://127.0.0.1:*",
        ])
        #expect(third.status == 7, "\(third.text)")
    }

    @Test func noWorkersWithinTheWaitingTimeEndsResumably() async throws {
        let folder = try ScratchFolder()
        let plan = try folder.file("plan.yaml", smallPlan(workers: 1, wait: 1))
        let (status, text) = try await PleachProcess.run([
            "coordinator", plan, "--state", folder.path + "/state", "--bind", "tcp://127.0.0.1:*",
        ])
        #expect(status == 7, "\(text)")
        #expect(text.contains("start workers"))
    }

    @Test func aStateFolderInUseAndAChangedPlanAreRefused() async throws {
        let folder = try ScratchFolder()
        let plan = try folder.file("plan.yaml", smallPlan(workers: 1))
        let state = folder.path + "/state"
        let first = try PleachProcess(["coordinator", plan, "--state", state, "--bind", "tcp://127.0.0.1:*"])
        try await waitUntil("the endpoint") { FileManager.default.fileExists(atPath: state + "/endpoint") }
        let second = try await PleachProcess.run(["coordinator", plan, "--state", state, "--bind", "tcp://127.0.0.1:*"])
        #expect(second.status == 9, "\(second.text)")
        first.interrupt()
        #expect(try await first.wait() == 10)
        let other = try folder.file("other.yaml", smallPlan(workers: 1, rounds: 9))
        let third = try await PleachProcess.run(["coordinator", other, "--state", state, "--bind", "tcp://127.0.0.1:*"])
        #expect(third.status == 9, "\(third.text)")
        #expect(third.text.contains("--fresh"))
    }

    @Test(arguments: [
        ("model: {architecture: cnn}\nstages:\n  - trian: {rounds: 1}\n", 2, "did you mean 'train'"),
        ("model: {architecture: cnn}\nstages:\n  - train: {roundz: 1}\n", 2, "did you mean 'rounds'"),
        ("model: {architecture: cnm}\ndata: synthetic:digits\nstages:\n  - train: {rounds: 1}\n", 2, "'cnn'"),
        ("model: {file: missing.onnx}\ndata: synthetic:digits\nstages:\n  - train: {rounds: 1}\n", 3, "missing.onnx"),
        ("model: {architecture: cnn}\ndata: synthetic:digit\nstages:\n  - train: {rounds: 1}\n", 4, "digits"),
        (
            "model: {architecture: resnet20}\nfleet: {workers: 1}\ndata: synthetic:digits?samples=100\n"
                + "stages:\n  - train: {rounds: 1}\n", 4, "28"
        ),
    ])
    func mistakesInPlansAreNamed(text: String, status: Int32, phrase: String) async throws {
        let folder = try ScratchFolder()
        let plan = try folder.file("plan.yaml", text)
        let result = try await PleachProcess.run(["run", plan, "--state", folder.path + "/state"])
        #expect(result.status == status, "\(result.text)")
        #expect(result.text.contains(phrase), "\(result.text)")
    }
}
