import Foundation
import Tensors
import Testing

/// Quantized files by real processes: from the plan to the file, what stands beside it and what the report says of its layers.
@Suite(.serialized)
struct QuantizeRunTests {
    private static let head = """
        name: quantizing
        seed: 7
        model: {architecture: cnn, width: 4}
        data: "synthetic:digits?partition=dirichlet:1&seed=7&samples=400"
        fleet: {workers: 2, wait: 600s, lease: 30s, heartbeat: 1s}
        wire: {up: {values: int8}, down: {values: int8}}

        """
    private static let train = "  - train: {rounds: 2, batch: 32, learningRate: 0.05}"

    /// A run to its end.
    private static func report(
        _ stages: [String], export: String = "{measure: false}", in folder: ScratchFolder
    ) async throws -> (report: [String: Any], log: String, text: String) {
        let plan = try folder.file(
            "plan.yaml", head + "stages:\n" + stages.joined(separator: "\n") + "\nexport: \(export)\n")
        let result = try await PleachProcess.run(["run", plan, "--state", folder.path + "/state"])
        #expect(result.status == 0, "\(result.text)")
        let log = try String(contentsOfFile: folder.path + "/state/logs/coordinator.jsonl", encoding: .utf8)
        return (try FederationRunTests.report(folder, "state"), log, result.text)
    }

    private static func quantization(_ report: [String: Any]) throws -> [String: Any] {
        try #require(report["quantization"] as? [String: Any])
    }

    private static func layers(_ report: [String: Any]) throws -> [[String: Any]] {
        try #require(report["layers"] as? [[String: Any]])
    }

    private static func number(_ object: [String: Any], _ key: String) throws -> Double {
        try #require((object[key] as? NSNumber)?.doubleValue, "\(key) of \(object)")
    }

    @Test func eightBitsAreCalibratedWrittenAndExplained() async throws {
        let folder = try ScratchFolder()
        let (report, log, text) = try await Self.report(
            [Self.train, "  - quantize: {samples: 100, comparedSamples: 40}"], in: folder)
        let quantization = try Self.quantization(report)
        #expect(quantization["target"] as? String == "x86" && quantization["weights"] as? Int == 4)
        #expect(try Self.number(quantization, "averageBits") == 8)
        #expect(try Self.number(quantization, "agreement") > 0.9)
        #expect(try Self.number(quantization, "integerShare") > 0.9)
        let layers = try Self.layers(report)
        let noise = layers.compactMap { ($0["signalToNoise"] as? NSNumber)?.doubleValue }
        #expect(layers.count == 4 && !noise.isEmpty && noise == noise.sorted() && noise.allSatisfy { $0 > 10 })
        #expect(try Self.number(report, "bytesAfter") < 0.5 * Self.number(report, "bytesBefore"))
        for task in ["calibrate", "moments", "evaluate", "compare"] {
            #expect(log.contains("\"task\":\"\(task)\""), "no round of \(task)")
        }
        #expect(log.contains("layers.quantized") && text.contains("quantized for x86: 4 weights of 8.00 bits"))
        let (tensors, metadata) = try Safetensors.read(path: folder.path + "/state/out/compact.safetensors")
        #expect(metadata["format"] == "pleach compact" && metadata["target"] == "x86")
        #expect(metadata["bits"]?.contains("\"conv1.weight\":8") == true && !tensors.names.isEmpty)
        #expect(tensors.ordered.contains { $0.tensor.elementType == .int8 })
    }

    @Test func aBudgetIsSpentWhereItMattersAndRoundedByMoments() async throws {
        let folder = try ScratchFolder()
        let (report, log, _) = try await Self.report(
            [
                Self.train,
                "  - quantize: {averageBits: 4, rounding: adaround, samples: 64, sensitivitySamples: 20, comparedSamples: 20}",
            ], in: folder)
        let quantization = try Self.quantization(report)
        #expect(try Self.number(quantization, "averageBits") <= 4)
        #expect(try #require(quantization["front"] as? [[String: Any]]).count > 3)
        let layers = try Self.layers(report)
        #expect(Set(layers.compactMap { $0["bits"] as? Int }).count > 1)
        #expect(layers.contains { $0["rounding"] as? String == "adaround" })
        #expect(layers.allSatisfy { $0["sensitivity"] is NSNumber })
        #expect(log.contains("\"task\":\"sensitivity\""))
    }

    /// Rounds with rounding simulated and a teacher, statistics measured anew, and integers at the end.
    @Test func roundingIsTrainedWithATeacher() async throws {
        let folder = try ScratchFolder()
        let (report, log, _) = try await Self.report(
            [
                Self.train,
                """
                  - quantize: {bits: 3, rounds: 2, teacher: {stage: 1}, batch: 32, learningRate: 0.01, reestimate: true,
                               samples: 64, comparedSamples: 20}
                """,
            ], in: folder)
        #expect(try Self.number(Self.quantization(report), "averageBits") == 3)
        #expect(!log.contains("\"task\":\"moments\""), "training decides the codes")
        let stages = try #require(report["stages"] as? [[String: Any]])
        // Histograms, two rounds, statistics, the evaluation, the comparison.
        #expect(try Self.number(stages[1], "rounds") == 6)
        #expect(try Self.number(stages[1], "parametersAfter") == Self.number(stages[0], "parametersAfter"))
        #expect(try Self.number(report, "accuracyAfter") > 0.2, "ten classes: chance is 0.1")
        let evaluated = try await PleachProcess.run([
            "model", "evaluate", folder.path + "/state/out/compact.onnx", "--data",
            "synthetic:digits?seed=7&samples=400", "--json",
        ])
        #expect(evaluated.status == 0, "\(evaluated.text)")
        let measured = try #require(
            try JSONSerialization.jsonObject(with: Data(evaluated.text.utf8)) as? [String: Any])
        #expect(try abs(Self.number(measured, "accuracy") - Self.number(report, "accuracyAfter")) < 1e-9)
    }

    /// Weights of -1, 0 and 1 times their largest leave nothing of a model: what costs too much is given up until it holds.
    @Test func whatCostsTooMuchIsGivenUp() async throws {
        let folder = try ScratchFolder()
        let (report, log, text) = try await Self.report(
            [
                "  - train: {rounds: 4, batch: 32, learningRate: 0.05}",
                """
                  - quantize: {bits: 2, range: minMax, scales: tensor, correctBiases: false, maximumDrop: 1, samples: 64,
                               sensitivitySamples: 20, comparedSamples: 20}
                """,
            ], in: folder)
        let givenUp = try #require(try Self.quantization(report)["givenUp"] as? [String])
        #expect(!givenUp.isEmpty && text.contains("given up for the accuracy: "), "\(text)")
        let (before, after) = (try Self.number(report, "accuracyBefore"), try Self.number(report, "accuracyAfter"))
        #expect((before - after) * 100 <= 1 + 1e-6, "\(before) before, \(after) after")
        #expect(log.components(separatedBy: "layers.quantized").count > 2, "an attempt and another")
        #expect(log.contains("\"task\":\"sensitivity\""), "what each layer's bits cost is measured for it")
    }

    @Test(arguments: ["float16", "bfloat16", "float32"]) func filesInFloatsNeedNoStage(target: String) async throws {
        let folder = try ScratchFolder()
        let (report, _, _) = try await Self.report(
            [Self.train], export: "{target: \(target), measure: false}", in: folder)
        #expect(report["quantization"] is NSNull)
        let share = try Self.number(report, "bytesAfter") / Self.number(report, "bytesBefore")
        #expect(target == "float32" ? share > 0.8 : share < 0.65)
        let metadata = try Safetensors.read(path: folder.path + "/state/out/compact.safetensors").metadata
        #expect(metadata["target"] == target && metadata["bits"] == "{}")
    }

    @Test(arguments: [
        ("{quantize: {exclude: [fc1.wieght]}}", "{target: x86}", "did you mean 'fc1.weight'?"),
        ("{quantize: {exclude: [fc1.weight]}}", "{target: x86, strict: true}", "export.strict"),
        ("{quantize: {bytes: 1KiB}}", "{target: x86}", "the smallest that can is"),
    ])
    func whatCannotWorkIsRefusedBeforeTheFirstRound(stages: String, export: String, phrase: String) async throws {
        let folder = try ScratchFolder()
        let plan = try folder.file("plan.yaml", Self.head + "stages: [\(stages)]\nexport: \(export)\n")
        let result = try await PleachProcess.run(["run", plan, "--state", folder.path + "/state"])
        #expect(result.status != 0 && result.text.contains(phrase), "\(result.text)")
        #expect(result.text.contains("(quantize): "), "\(result.text)")
    }

    /// Killed while the fleet measures, while rounding is trained, and when the file is compared.
    @Test func aKilledCoordinatorQuantizesToTheSameBytes() async throws {
        let folder = try ScratchFolder()
        let plan = try folder.file(
            "plan.yaml",
            Self.head + """
                stages:
                  - quantize: {averageBits: 4, rounds: 2, batch: 32, learningRate: 0.01, samples: 64, sensitivitySamples: 20,
                               comparedSamples: 20}
                export: {measure: false}
                """)
        let calm = try await PleachProcess.run(["run", plan, "--state", folder.path + "/calm"])
        #expect(calm.status == 0, "\(calm.text)")
        let state = folder.path + "/rough"
        // Two workers evaluate, calibrate, tell sensitivities, train twice, evaluate and compare.
        for contributions in [3, 7, 11] {
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
        for file in ["compact.onnx", "compact.safetensors"] {
            #expect(folder.bytes("rough/out/\(file)") == folder.bytes("calm/out/\(file)"))
            #expect(!folder.bytes("calm/out/\(file)").isEmpty)
        }
    }
}
