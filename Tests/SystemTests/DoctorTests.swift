import Foundation
import Testing
import Transport

/// What `doctor` says of a coordinator that runs: the right key, a wrong one, one that is not allowed, data that do not fit, nobody.
@Suite(.serialized)
struct DoctorTests {
    private struct Found: Decodable {
        struct Finding: Decodable {
            var check: String
            var outcome: String
            var found: String
            var mend: String?
            var exitCode: Int?
        }

        var findings: [Finding]

        func of(_ check: String) -> Finding? { findings.first { $0.check == check } }
    }

    /// A coordinator with an `mlp` for drawn digits, and a worker's folder whose key it may allow.
    private final class Stage {
        let folder: ScratchFolder
        let coordinator: PleachProcess
        let endpoint: String
        let key: String

        init(isAllowed: Bool, classes: Int = 10) async throws {
            folder = try ScratchFolder()
            let plan = try folder.file(
                "plan.yaml",
                "model: {architecture: mlp, input: [1, 28, 28], classes: \(classes), width: 4}\nfleet: {workers: 1, wait: 10m}\nstages: [train]\n"
            )
            let state = folder.path + "/state"
            coordinator = try PleachProcess([
                "coordinator", plan, "--state", state, "--bind", "tcp://127.0.0.1:*", "--json",
            ])
            try await waitUntil("the endpoint") { FileManager.default.fileExists(atPath: state + "/endpoint") }
            endpoint = try String(contentsOfFile: state + "/endpoint", encoding: .utf8).trimmingCharacters(
                in: .newlines)
            key = state + "/keys/server.key"
            let pair = try KeyPair.generate()
            try KeyFile.write(pair, directory: folder.path + "/worker/keys", name: "worker")
            if isAllowed { try AllowList(directory: state + "/keys/allowed").allow(key: pair.publicKey, name: "site") }
        }

        func doctor(_ more: [String] = [], endpoint: String? = nil, key: String? = nil) async throws -> (
            status: Int32, found: Found
        ) {
            let (status, text) = try await PleachProcess.run(
                [
                    "doctor", "--coordinator", endpoint ?? self.endpoint, "--server-key", key ?? self.key, "--state",
                    folder.path + "/worker", "--json",
                ] + more)
            return (status, try JSONDecoder().decode(Found.self, from: Data(text.utf8)))
        }
    }

    @Test func theRightKeyIsWelcomeAndNobodyJoins() async throws {
        let stage = try await Stage(isAllowed: true)
        let before = try FileManager.default.subpathsOfDirectory(atPath: stage.folder.path + "/worker").sorted()
        let (status, found) = try await stage.doctor(["--data", "synthetic:digits?samples=60"])
        #expect(status == 0, "\(found)")
        #expect(found.of("welcome")?.outcome == "ok", "\(found)")
        #expect(found.of("welcome")?.found.contains("so do the data") == true)
        for check in [
            "libtorch", "images", "SQLite", "LZ4", "ZeroMQ", "keys", "key pair", "memory", "disk", "writing", "reached",
        ] {
            #expect(found.of(check) != nil, "\(check) was not looked at")
            #expect(found.of(check)?.outcome != "failed", "\(String(describing: found.of(check)))")
        }
        #expect(!stage.coordinator.text.contains("worker.joined"))
        #expect(!stage.coordinator.text.contains("worker.refused"))
        #expect(try FileManager.default.subpathsOfDirectory(atPath: stage.folder.path + "/worker").sorted() == before)
    }

    @Test func dataThatDoNotFitAreRefusedByTheCoordinatorsWord() async throws {
        let stage = try await Stage(isAllowed: true, classes: 5)
        let (status, found) = try await stage.doctor(["--data", "synthetic:digits?samples=60"])
        #expect(status == 4, "\(found)")
        // The data are sound by themselves.
        #expect(found.of("data")?.outcome == "ok" && found.of("welcome")?.outcome == "failed", "\(found)")
        #expect(found.of("welcome")?.found.contains("10 classes but the model has 5") == true, "\(found)")
        #expect(!stage.coordinator.text.contains("worker.refused"), "a question is no attempt")
    }

    @Test func aWrongServerKeyAKeyThatIsNotAllowedAndNobodyThereAreToldApart() async throws {
        let stage = try await Stage(isAllowed: false)
        let notAllowed = try await stage.doctor()
        #expect(notAllowed.status == 6, "\(notAllowed)")
        #expect(notAllowed.found.of("welcome")?.mend?.contains("pleach keys allow") == true, "\(notAllowed)")
        #expect(notAllowed.found.of("reached")?.outcome == "ok")
        // This one begins with a hyphen, as a key may that another tool made.
        let wrong = try await stage.doctor(key: "-DJYXpbd+YQ:>@x..}*?=E1ElfLnWd::&M]W*+{&")
        #expect(wrong.status == 6, "\(wrong)")
        #expect(wrong.found.of("welcome")?.found.contains("server key") == true, "\(wrong)")
        stage.coordinator.interrupt()
        #expect(try await stage.coordinator.wait() == 10)
        let nobody = try await stage.doctor(["--patience", "2"])
        #expect(nobody.status == 5, "\(nobody)")
        #expect(nobody.found.of("reached")?.outcome == "failed" && nobody.found.of("welcome") == nil, "\(nobody)")
        let nowhere = try await stage.doctor(["--patience", "2"], endpoint: "tcp://nowhere.invalid:7700")
        #expect(nowhere.status == 5 && nowhere.found.of("reached")?.found.contains("nowhere.invalid") == true)
    }

    @Test func aCoordinatorsMachineIsLookedAt() async throws {
        let folder = try ScratchFolder()
        let plan = try folder.file("plan.yaml", smallPlan())
        let arguments = ["doctor", plan, "--state", folder.path + "/state", "--bind", "tcp://127.0.0.1:*"]
        let (status, text) = try await PleachProcess.run(arguments)
        #expect(status == 0, "\(text)")
        for word in ["plan", "state folder", "model", "memory", "disk", "fits the model", "nothing stands against it"] {
            #expect(text.contains(word), "\(word): \(text)")
        }
        #expect(!FileManager.default.fileExists(atPath: folder.path + "/state"))
        // A pair whose halves belong to others.
        let keys = folder.path + "/state/keys"
        try KeyFile.write(try KeyPair.generate(), directory: keys, name: "server")
        try "# Pleach public key of server\n\(try KeyPair.generate().publicKey)\n".write(
            toFile: keys + "/server.key", atomically: true, encoding: .utf8)
        let mixed = try await PleachProcess.run(arguments)
        #expect(mixed.status == 6 && mixed.text.contains("not the other half"), "\(mixed.text)")
    }
}
