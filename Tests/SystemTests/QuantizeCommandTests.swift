import Foundation
import ModelGraph
import Testing

/// `pleach model quantize` on bundled architectures.
struct QuantizeCommandTests {
    private static let data = "synthetic:digits?samples=192"

    private static func model(_ folder: ScratchFolder, _ architecture: String = "cnn") throws -> String {
        let graph = try ModelBuilder.build(
            architecture: architecture, inputShape: [1, 28, 28], classes: 10, width: nil, seed: 1)
        let path = folder.path + "/\(architecture).onnx"
        try Data(graph.serialized()).write(to: URL(fileURLWithPath: path))
        return path
    }

    private static func report(_ arguments: [String]) async throws -> [String: Any] {
        let result = try await PleachProcess.run(["model", "quantize"] + arguments + ["--json"])
        #expect(result.status == 0, "\(result.text)")
        return try #require(try JSONSerialization.jsonObject(with: Data(result.text.utf8)) as? [String: Any])
    }

    private static func size(_ path: String) throws -> Int { try Data(contentsOf: URL(fileURLWithPath: path)).count }

    @Test(arguments: DeploymentTarget.allCases) func everyTargetGetsAFileThatRuns(target: DeploymentTarget) async throws
    {
        let folder = try ScratchFolder()
        let (file, out) = (try Self.model(folder), folder.path + "/out.onnx")
        let measured = ![.float32, .float16, .bfloat16].contains(target) ? ["--samples", "160"] : []
        let report = try await Self.report(
            [file, "--target", target.rawValue, "--data", Self.data, "--compared-samples", "64", "--out", out]
                + measured)
        #expect(report["target"] as? String == target.rawValue)
        #expect(report["bytes"] as? Int == (try Self.size(out)))
        let agreement = try #require(report["agreement"] as? Double)
        #expect(agreement > 0.8)
        let evaluated = try await PleachProcess.run(["model", "evaluate", out, "--data", Self.data])
        #expect(evaluated.status == 0, "\(evaluated.text)")
        switch target {
        case .float32: #expect(try Self.size(out) > Self.size(file) * 9 / 10)
        case .float16, .bfloat16: #expect(try Self.size(out) < Self.size(file) * 6 / 10)
        case .int4: #expect(try Self.size(out) < Self.size(file) / 5)
        // Its runtime does not quantize products of one row a sample, where most weights of this network are.
        case .tensorrt: #expect(try Self.size(out) < Self.size(file))
        default: #expect(try Self.size(out) < Self.size(file) * 3 / 10)
        }
    }

    @Test func fewBitsLieTightAndAdaroundLosesLess() async throws {
        let folder = try ScratchFolder()
        let (file, out) = (try Self.model(folder), folder.path + "/out.onnx")
        var errors: [String: Double] = [:]
        for rounding in ["nearest", "adaround", "gptq"] {
            let report = try await Self.report(
                [file, "--bits", "3", "--rounding", rounding, "--data", Self.data, "--samples", "160", "--out", out])
            #expect(try Self.size(out) < Self.size(file) / 8)
            let layers = try #require(report["layers"] as? [[String: Any]])
            #expect(layers.allSatisfy { $0["bits"] as? Int == 3 })
            errors[rounding] = layers.compactMap { $0["relativeError"] as? Double }.reduce(0, +)
        }
        let nearest = try #require(errors["nearest"])
        #expect(try #require(errors["adaround"]) < 0.8 * nearest)
        #expect(try #require(errors["gptq"]) < 0.9 * nearest)
    }

    @Test func aBudgetGivesEachLayerItsBits() async throws {
        let folder = try ScratchFolder()
        let (file, out) = (try Self.model(folder), folder.path + "/out.onnx")
        let options = ["--data", Self.data, "--samples", "160", "--sensitivity-samples", "32", "--out", out]
        let mixed = try await Self.report([file, "--average-bits", "4.5"] + options)
        #expect(try #require(mixed["averageBits"] as? Double) <= 4.5)
        let bits = try #require(mixed["layers"] as? [[String: Any]]).compactMap { $0["bits"] as? Int }
        #expect(Set(bits).count > 1)
        #expect(try #require(mixed["front"] as? [[String: Any]]).count > 3)
        let small = try await Self.report([file, "--bytes", "160KB"] + options)
        let names = try #require(small["layers"] as? [[String: Any]]).compactMap { $0["layer"] as? String }
        let written = try Graph.load(path: out).initializers.ordered
        let used = written.reduce(0) { sum, entry in
            names.contains { entry.name.hasPrefix("\($0).") } ? sum + entry.tensor.bytes.count : sum
        }
        #expect(used <= 160_000 && used > 120_000, "\(used)")
        let tooSmall = try await PleachProcess.run(
            ["model", "quantize", file, "--bytes", "2KB"] + options)
        #expect(tooSmall.status != 0)
        #expect(tooSmall.text.contains("bytes of weights"), "\(tooSmall.text)")
    }

    @Test(arguments: [
        (["--target", "x87"], "x86"), (["--bits", "9"], "2 to 8"),
        (["--bits", "4", "--average-bits", "4"], "one of --bits"),
        (["--target", "int4", "--bits", "8"], "4 bits"),
        (["--target", "float16", "--rounding", "gptq"], "integer weights"),
        (["--exclude", "fc1.wieght"], "fc1.weight"), (["--rounding", "neerest"], "nearest"),
        (["--calibration", "entropie"], "entropy"), (["--target", "int4", "--opset", "17"], "opset 21"),
        (["--asymmetric"], "symmetrically"), (["--levels", "kmeans", "--target", "tensorrt"], "uniform"),
        (["--levels", "powers-of-two", "--bits", "5"], "2 to 4 bits"),
        (["--levels", "kmeans", "--bits", "8"], "2 to 7"),
        (["--target", "int4", "--average-bits", "3", "--candidates", "2", "8"], "4 bits at most"),
        (["--per", "block"], "one scale a channel"),
    ]) func whatCannotBeIsRefusedWithTheMend(options: [String], mend: String) async throws {
        let folder = try ScratchFolder()
        let (file, out) = (try Self.model(folder), folder.path + "/out.onnx")
        let result = try await PleachProcess.run(
            ["model", "quantize", file, "--data", Self.data, "--samples", "130", "--out", out] + options)
        #expect(result.status != 0)
        #expect(result.text.contains(mend), "\(result.text)")
        #expect(!FileManager.default.fileExists(atPath: out))
    }

    /// Options that would do nothing say so, and what they lack, before anything is measured.
    @Test(arguments: [
        (["--target", "float16", "--bits", "4"], "--bits has no effect: target 'float16' has no integer weights"),
        (["--target", "bfloat16", "--exclude", "fc1"], "--exclude has no effect"),
        (["--target", "float32", "--equalize"], "--equalize has no effect"),
        (["--target", "int4", "--calibration", "entropy"], "--calibration has no effect"),
        (["--target", "dynamic", "--percentile", "99"], "--percentile has no effect"),
        (["--calibration", "minMax", "--percentile", "99"], "--percentile has no effect"),
        (["--sensitivity-samples", "32"], "only budgets"),
        (["--target", "tensorrt", "--bits", "4", "--unpacked"], "never packs"),
        (["--unpacked"], "weights of 8 bits are never packed"),
        (["--target", "int8-weights", "--no-bias-correction", "--samples", "64"], "--samples has no effect"),
        (["--target", "float16", "--samples", "64"], "--samples has no effect"),
    ]) func optionsWithoutEffectAreRefused(options: [String], sentence: String) async throws {
        let folder = try ScratchFolder()
        let (file, out) = (try Self.model(folder), folder.path + "/out.onnx")
        let result = try await PleachProcess.run(
            ["model", "quantize", file, "--data", Self.data, "--out", out] + options)
        #expect(result.status != 0)
        #expect(result.text.contains(sentence), "\(result.text)")
        #expect(!FileManager.default.fileExists(atPath: out))
        let without = try await PleachProcess.run(
            ["model", "quantize", file, "--target", "int8-weights", "--compared-samples", "64", "--out", out])
        #expect(without.text.contains("--compared-samples has no effect"), "\(without.text)")
    }

    @Test func strictNamesWhatWouldStayFloat() async throws {
        let folder = try ScratchFolder()
        let (file, out) = (try Self.model(folder), folder.path + "/out.onnx")
        let options = ["--data", Self.data, "--samples", "130", "--strict", "--out", out]
        let sound = try await PleachProcess.run(["model", "quantize", file] + options)
        #expect(sound.status == 0, "\(sound.text)")
        try FileManager.default.removeItem(atPath: out)
        let refused = try await PleachProcess.run(["model", "quantize", file, "--exclude", "fc1.weight"] + options)
        #expect(refused.status != 0)
        #expect(refused.text.contains("--strict") && refused.text.contains("fc1"), "\(refused.text)")
        #expect(!FileManager.default.fileExists(atPath: out))
    }

    @Test func modelsOfFixedBatchesAndOpenAxesAreWrittenToo() async throws {
        let folder = try ScratchFolder()
        var graph = try ModelBuilder.build(architecture: "cnn", inputShape: [1, 28, 28], classes: 10, seed: 1)
        graph.inputs[0].dimensions?[0] = .fixed(1)
        let (file, out) = (folder.path + "/one.onnx", folder.path + "/out.onnx")
        try Data(graph.serialized()).write(to: URL(fileURLWithPath: file))
        let one = try await PleachProcess.run(
            ["model", "quantize", file, "--target", "int8-weights", "--out", out])
        #expect(one.status == 0, "\(one.text)")
        var words = try ModelBuilder.build(architecture: "transformer", inputShape: [12, 64], classes: 4, seed: 1)
        words.inputs[0].dimensions?[1] = .symbolic("sequence")
        try Data(words.serialized()).write(to: URL(fileURLWithPath: file))
        let open = try await PleachProcess.run(["model", "quantize", file, "--target", "int8-weights", "--out", out])
        #expect(open.status == 0, "\(open.text)")
        #expect(open.text.contains("--extent"), "\(open.text)")
        let huge = try await PleachProcess.run(
            ["model", "quantize", file, "--target", "int4", "--block", "9223372036854775807", "--out", out])
        #expect(huge.status != 0)
        #expect(huge.text.contains("1 to 65536"), "\(huge.text)")
    }

    @Test func fewSamplesAreSaid() async throws {
        let folder = try ScratchFolder()
        let (file, out) = (try Self.model(folder), folder.path + "/out.onnx")
        let result = try await PleachProcess.run(
            ["model", "quantize", file, "--data", Self.data, "--samples", "16", "--out", out])
        #expect(result.status == 0)
        #expect(result.text.contains("16 samples only"), "\(result.text)")
        let without = try await PleachProcess.run(["model", "quantize", file, "--out", out])
        #expect(without.status != 0)
        #expect(without.text.contains("--data"))
    }
}
