import Foundation
import ModelGraph
import Testing

/// `pleach model prune` and `pleach model inspect --groups` on bundled architectures.
struct PruneCommandTests {
    private static func model(_ folder: ScratchFolder, _ architecture: String, input: [Int]) throws -> String {
        let graph = try ModelBuilder.build(
            architecture: architecture, inputShape: input, classes: 10, width: 16, seed: 1)
        let path = folder.path + "/\(architecture).onnx"
        try Data(graph.serialized()).write(to: URL(fileURLWithPath: path))
        return path
    }

    private static func report(_ arguments: [String]) async throws -> [String: Any] {
        let result = try await PleachProcess.run(["model"] + arguments + ["--json"])
        #expect(result.status == 0, "\(result.text)")
        return try #require(try JSONSerialization.jsonObject(with: Data(result.text.utf8)) as? [String: Any])
    }

    private static func number(_ report: [String: Any], _ path: String...) throws -> Double {
        var value: Any? = report
        for key in path { value = (value as? [String: Any])?[key] }
        return try #require(value as? NSNumber).doubleValue
    }

    @Test func halfOfTheChannelsLeaveAndTheCheckAgrees() async throws {
        let folder = try ScratchFolder()
        let (file, out) = (try Self.model(folder, "resnet20", input: [3, 16, 16]), folder.path + "/half.onnx")
        let report = try await Self.report(
            ["prune", file, "--channels", "0.5", "--multiple", "1", "--check", "--out", out])
        let groups = try #require(report["groups"] as? [[String: Any]])
        #expect(groups.allSatisfy { 2 * ($0["kept"] as? Int ?? 0) == $0["channels"] as? Int })
        #expect(try Self.number(report, "check", "relativeDifference") < 1e-5)
        let left = try Self.number(report, "after", "macs") / Self.number(report, "before", "macs")
        #expect(left > 0.2 && left < 0.35)
        let smaller = try Graph.load(path: out)
        #expect(try smaller.summary(fileBytes: 0).macs == Int(Self.number(report, "after", "macs")))
    }

    @Test func aBudgetOfMultiplyAccumulatesIsMetInMultiples() async throws {
        let folder = try ScratchFolder()
        let file = try Self.model(folder, "resnet18", input: [3, 32, 32])
        let report = try await Self.report(
            ["prune", file, "--macs", "0.6", "--multiple", "8", "--out", folder.path + "/out.onnx"])
        #expect(try Self.number(report, "after", "macs") <= 0.6 * Self.number(report, "before", "macs"))
        let groups = try #require(report["groups"] as? [[String: Any]])
        #expect(groups.allSatisfy { ($0["kept"] as? Int ?? 1) % 8 == 0 })
    }

    @Test func headsAndBlocksLeave() async throws {
        let folder = try ScratchFolder()
        let (file, out) = (try Self.model(folder, "transformer", input: [12, 64]), folder.path + "/out.onnx")
        let heads = try await Self.report(["prune", file, "--heads", "0.5", "--check", "--out", out])
        let groups = try #require(heads["groups"] as? [[String: Any]])
        #expect(!groups.isEmpty)
        #expect(groups.allSatisfy { $0["kind"] as? String == "heads" && $0["kept"] as? Int == 2 })
        #expect(try Self.number(heads, "check", "relativeDifference") < 1e-5)
        let layers = try await Self.report(["prune", file, "--layers", "2", "--check", "--out", out])
        #expect((layers["blocks"] as? [String])?.count == 2)
        #expect(try Self.number(layers, "check", "relativeDifference") < 1e-5)
    }

    @Test func weightsAreZeroedInPatterns() async throws {
        let folder = try ScratchFolder()
        let (file, out) = (try Self.model(folder, "mlp", input: [1, 8, 8]), folder.path + "/out.onnx")
        for options in [["--pattern", "2:4"], ["--sparsity", "0.5"], ["--sparsity", "0.5", "--pattern", "2x2"]] {
            let report = try await Self.report(["prune", file, "--out", out] + options)
            let (zeroed, all) = (
                try Self.number(report, "zeroedWeights"), try Self.number(report, "prunableWeights")
            )
            #expect(abs(zeroed / all - 0.5) < 0.02, "\(options)")
        }
    }

    @Test func gradientsComeFromData() async throws {
        let folder = try ScratchFolder()
        let file = try Self.model(folder, "cnn", input: [1, 28, 28])
        let report = try await Self.report([
            "prune", file, "--channels", "0.5", "--multiple", "1", "--criterion", "taylor", "--data",
            "synthetic:digits?samples=64", "--samples", "64", "--out", folder.path + "/out.onnx",
        ])
        #expect(report["criterion"] as? String == "taylor")
    }

    @Test func inspectListsGroupsAndBlocks() async throws {
        let folder = try ScratchFolder()
        let file = try Self.model(folder, "resnet20", input: [3, 16, 16])
        let report = try await Self.report(["inspect", file, "--groups"])
        let groups = try #require(report["groups"] as? [[String: Any]])
        // Three stages that their shortcuts couple, and the inner width of nine blocks.
        #expect(groups.count == 12)
        #expect((report["blocks"] as? [Any])?.count == 7)
        let text = try await PleachProcess.run(["model", "inspect", file, "--groups"])
        #expect(text.text.contains("residual block"))
        #expect(text.text.split(separator: "\n").allSatisfy { $0.count <= 160 })
    }

    @Test(arguments: [
        (["--channels", "0.5", "--macs", "0.5"], "--channels and --macs exclude each other"),
        ([], "say how much"),
        (["--channels", "1.5"], "--channels must be at least 0 and below 1"),
        (["--sparsity", "0.5", "--check"], "--check compares sliced with masked outputs"),
        (["--channels", "0.5", "--criterion", "talor"], "did you mean 'taylor'?"),
        (["--channels", "0.5", "--criterion", "taylor"], "needs gradients: give --data SPEC"),
        (["--channels", "0.5", "--scope", "globl"], "did you mean 'global'?"),
        (["--channels", "0.5", "--borders", "keeep"], "did you mean 'keep'?"),
        (["--pattern", "4:2"], "neither N:M such as 2:4 nor RxC"),
        (["--pattern", "4x4"], "needs --sparsity"),
        (["--bytes", "many"], "not a size such as"),
        (["--bytes", "10"], "cannot be met: the smallest"),
        (["--layers", "1"], "the model has no residual block to prune"),
        (["--heads", "0.5"], "the model has no attention heads to prune"),
        (["--channels", "0.5", "--exclude", "conv1.weigth"], "did you mean 'conv1.weight'?"),
        (["--sparsity", "0.5", "--multiple", "8"], "--multiple is of no use to pruning single weights"),
        (["--pattern", "2:4", "--scope", "local"], "--scope is of no use to pruning N of M weights"),
        (["--layers", "1", "--borders", "keep"], "--borders is of no use to pruning whole blocks"),
        (["--layers", "1", "--scope", "local"], "--scope is of no use to pruning whole blocks"),
        (["--heads", "0.5", "--criterion", "fpgm"], "heads"),
    ])
    func isRefusedInOneLine(options: [String], phrase: String) async throws {
        let folder = try ScratchFolder()
        let file = try Self.model(folder, "cnn", input: [1, 28, 28])
        let result = try await PleachProcess.run(
            ["model", "prune", file, "--out", folder.path + "/out.onnx"] + options)
        #expect(result.status != 0)
        #expect(result.text.contains(phrase), "\(result.text)")
        #expect(result.text.split(separator: "\n").count == 1, "\(result.text)")
        #expect(!FileManager.default.fileExists(atPath: folder.path + "/out.onnx"))
    }
}
