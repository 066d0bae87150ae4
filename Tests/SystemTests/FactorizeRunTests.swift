import Foundation
import Testing

/// Low rank by real processes: a run from the plan to the report, and the command on one file.
@Suite(.serialized)
struct FactorizeRunTests {
    private static let head = """
        name: factorizing
        seed: 7
        model: {architecture: cnn, width: 4}
        data: "synthetic:digits?partition=dirichlet:1&seed=7&samples=200"
        fleet: {workers: 2, wait: 600s, lease: 30s, heartbeat: 1s}
        wire: {up: {density: 0.3, values: int8}, down: {values: int8}}

        """

    private static func number(_ stage: [String: Any], _ key: String) throws -> Double {
        try #require((stage[key] as? NSNumber)?.doubleValue, "\(key) of \(stage)")
    }

    /// Moments, a smaller model, rounds with a teacher of another structure, channels that leave the factors, integers.
    @Test func layersBecomeProductsWhileTheRunGoesOn() async throws {
        let folder = try ScratchFolder()
        let plan = try folder.file(
            "plan.yaml",
            Self.head + """
                stages:
                  - train: {rounds: 1}
                  - factorize: {budget: {parameters: 0.5}, samples: 64, multiple: 4, rounds: 2, teacher: {stage: 1}}
                  - prune: {granularity: channel, criterion: l2, multiple: 1, sparsity: 0.2, schedule: oneShot}
                  - quantize: {samples: 32}
                export: {measure: false}
                """)
        let result = try await PleachProcess.run(["run", plan, "--state", folder.path + "/state"])
        #expect(result.status == 0, "\(result.text)")
        let report = try FederationRunTests.report(folder, "state")
        let stages = try #require(report["stages"] as? [[String: Any]])
        #expect(stages.map { $0["kind"] as? String } == ["train", "factorize", "prune", "quantize"])
        let (before, after) = (
            try Self.number(stages[1], "parametersBefore"), try Self.number(stages[1], "parametersAfter")
        )
        #expect(after <= 0.5 * before && after > 0.3 * before)
        #expect(try Self.number(stages[1], "macsAfter") < Self.number(stages[1], "macsBefore"))
        #expect(try Self.number(stages[1], "bytesAfter") < Self.number(stages[1], "bytesBefore"))
        #expect(try Self.number(stages[2], "parametersAfter") < after)
        #expect(try Self.number(stages[1], "rounds") == 4 && Self.number(stages[1], "accuracyAfter") > 0)
        let log = try String(contentsOfFile: folder.path + "/state/logs/coordinator.jsonl", encoding: .utf8)
        let event = try #require(log.split(separator: "\n").first { $0.contains("layers.factorized") })
        #expect(event.contains("\"dataAware\":") && event.contains("fc1.weight svd"))
        #expect(log.contains("\"task\":\"moments\""))
        let status = try await PleachProcess.run(["status", "--state", folder.path + "/state", "--json"])
        #expect(status.status == 0, "\(status.text)")
    }

    /// Narrower models are parts of the factorized one.
    @Test func widthsAreChosenAnewForTheFactors() async throws {
        let folder = try ScratchFolder()
        let text = Self.head.replacingOccurrences(
            of: "fleet: {workers: 2,", with: "fleet: {workers: 2, widths: [1, 0.5], strengths: [1, 0.5],")
        let plan = try folder.file(
            "plan.yaml",
            text + """
                stages:
                  - factorize: {budget: {macs: 0.6}, method: tucker, samples: 0, multiple: 2, rounds: 2}
                export: {target: float32, measure: false}
                """)
        let result = try await PleachProcess.run(["run", plan, "--state", folder.path + "/state"])
        #expect(result.status == 0, "\(result.text)")
        let stages = try #require(try FederationRunTests.report(folder, "state")["stages"] as? [[String: Any]])
        #expect(try Self.number(stages[0], "macsAfter") <= 0.6 * Self.number(stages[0], "macsBefore"))
        let log = try String(contentsOfFile: folder.path + "/state/logs/coordinator.jsonl", encoding: .utf8)
        #expect(log.contains("\"width\":0.5"))
    }

    @Test(arguments: [
        ("{factorize: {budget: {macs: 0.01}}}", "the smallest that can is"),
        ("{factorize: {evbmf: true, exclude: [fc1.wieght]}}", "did you mean 'fc1.weight'?"),
        ("{prune: {sparsity: 0.5}}, {factorize: {evbmf: true}}", "its mask has dead weights"),
    ])
    func whatCannotWorkIsRefusedBeforeTheFirstRound(stages: String, phrase: String) async throws {
        let folder = try ScratchFolder()
        let plan = try folder.file("plan.yaml", Self.head + "stages: [\(stages)]\nexport: {target: float32}\n")
        let result = try await PleachProcess.run(["run", plan, "--state", folder.path + "/state"])
        #expect(result.status != 0 && result.text.contains(phrase), "\(result.text)")
        #expect(result.text.contains("(factorize): "), "\(result.text)")
    }

    /// Killed while moments are taken, and while the new model is trained for the first time.
    @Test func aKilledCoordinatorFactorizesToTheSameBytes() async throws {
        let folder = try ScratchFolder()
        let plan = try folder.file(
            "plan.yaml",
            Self.head + """
                stages:
                  - train: {rounds: 1}
                  - factorize: {budget: {parameters: 0.5}, samples: 64, multiple: 4, rounds: 2, server: {optimizer: momentum}}
                export: {target: float32, measure: false}
                """)
        let calm = try await PleachProcess.run(["run", plan, "--state", folder.path + "/calm"])
        #expect(calm.status == 0, "\(calm.text)")
        let state = folder.path + "/rough"
        // Two workers train, evaluate, take moments and train.
        for contributions in [5, 7] {
            let run = try PleachProcess(["run", plan, "--state", state, "--json"])
            let victim = try await when(
                "\(contributions) contributions", seconds: 90,
                {
                    try !run.isRunning || FederationRunTests.events("contribution.accepted", in: state) >= contributions
                },
                act: { FederationRunTests.kill("coordinator", state: state) })
            #expect(victim != nil, "\(run.text)")
            #expect(try await run.wait() != 0)
        }
        let last = try await PleachProcess.run(["run", plan, "--state", state])
        #expect(last.status == 0, "\(last.text)")
        #expect(folder.bytes("rough/out/compact.onnx") == folder.bytes("calm/out/compact.onnx"))
        #expect(!folder.bytes("calm/out/compact.onnx").isEmpty)
    }

    @Test func aBlobOfMomentsIsExplained() async throws {
        let folder = try ScratchFolder()
        var bytes = Array("PLMOM1\n\0".utf8)
        func append(_ value: UInt32) { withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) } }
        append(1)
        append(10)
        bytes += Array("fc1.weight".utf8)
        append(2)
        for value in [Float(1), 0.5, 7] { append(value.bitPattern) }
        let path = folder.path + "/blob"
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        let found = try await InspectTests.json(path)
        #expect(found["kind"] as? String == "moments")
        let layer = try #require((found["layers"] as? [[String: Any]])?.first)
        #expect(layer["name"] as? String == "fc1.weight" && layer["size"] as? Int == 2)
        #expect(layer["rootMeanSquare"] as? Double == 2 && layer["largest"] as? Double == 7)
        // More beside the diagonal than it allows.
        bytes[bytes.count - 5] = 0x7e
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        let refused = try await PleachProcess.run(["update", "inspect", path])
        #expect(refused.status != 0 && refused.text.contains("second moments"), "\(refused.text)")
    }

    @Test func oneFileIsFactorizedByItsData() async throws {
        let folder = try ScratchFolder()
        let (file, out) = (folder.path + "/cnn.onnx", folder.path + "/small.onnx")
        let made = try await PleachProcess.run(["model", "new", "cnn", "--width", "4", "--out", file])
        #expect(made.status == 0, "\(made.text)")
        let result = try await PleachProcess.run([
            "model", "factorize", file, "--parameters", "0.5", "--multiple", "4", "--data",
            "synthetic:digits?samples=64", "--samples", "64", "--check", "--json", "--out", out,
        ])
        #expect(result.status == 0, "\(result.text)")
        let text = try #require(result.text.firstIndex(of: "{").map { String(result.text[$0...]) })
        let report = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        let layers = try #require(report["layers"] as? [[String: Any]])
        #expect(!layers.isEmpty && layers.allSatisfy { $0["dataAware"] as? Bool == true })
        let evaluated = try await PleachProcess.run([
            "model", "evaluate", out, "--data", "synthetic:digits?samples=64", "--json",
        ])
        #expect(evaluated.status == 0, "\(evaluated.text)")
    }
}
