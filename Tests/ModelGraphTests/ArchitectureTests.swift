import Tensors
import Testing

@testable import ModelGraph

@Suite("Reference architectures")
struct ArchitectureTests {
    /// torchvision's mobilenet_v2 has as many parameters at multipliers 1.0 and 0.5; the paper gives 300 M and 97 M MACs.
    @Test("ImageNet sizes are the paper's", arguments: [(32, 3_504_872, 300), (16, 1_968_680, 97)])
    func imageNet(width: Int, parameters: Int, millionMACs: Int) throws {
        let graph = try ModelBuilder.build(
            architecture: "mobilenetv2", inputShape: [3, 224, 224], classes: 1000, width: width, seed: 1)
        let summary = try graph.summary(fileBytes: 0)
        #expect(summary.parameters == parameters)
        #expect(summary.macs.map { $0 / 1_000_000 } == millionMACs)
        #expect(try graph.inferShapes(batch: 2)["logits"] == [2, 1000])
    }

    @Test("resnet18 of a quarter width: 64 channels are its paper's")
    func resnet18() throws {
        func convolutions(_ graph: Graph) -> [Shape] {
            graph.nodes.filter { $0.operatorType == "Conv" }.compactMap { graph.initializers[$0.inputs[1]]?.shape }
        }
        let large = try ModelBuilder.build(
            architecture: "resnet18", inputShape: [3, 224, 224], classes: 5, width: 16, seed: 1)
        #expect(convolutions(large).count == 20)
        #expect(convolutions(large)[0] == [16, 3, 7, 7])
        let shapes = try large.inferShapes(batch: 1)
        #expect(shapes["stem.pool.output"] == [1, 16, 56, 56])
        #expect(shapes["block8.relu2.output"] == [1, 128, 7, 7])
        let small = try ModelBuilder.build(architecture: "resnet18", width: 16, seed: 1)
        #expect(convolutions(small)[0] == [16, 3, 3, 3])
        #expect(try small.inferShapes(batch: 1)["block8.relu2.output"] == [1, 128, 4, 4])
    }

    @Test("small images keep their size in the stem; widths are multiples of eight")
    func mobileNet() throws {
        let graph = try ModelBuilder.build(architecture: "mobilenetv2", width: 8, seed: 1)
        let shapes = try graph.inferShapes(batch: 1)
        #expect(shapes["stem.conv.output"] == [1, 8, 32, 32])
        #expect(shapes["block17.project.norm.output"] == [1, 80, 4, 4])
        #expect(shapes["head.conv.output"] == [1, 1280, 4, 4])
        #expect(ModelBuilder.roundedToEights(numerator: 24 * 24, denominator: 32) == 24)
        #expect(ModelBuilder.roundedToEights(numerator: 16 * 24, denominator: 32) == 16)
        #expect(ModelBuilder.roundedToEights(numerator: 1, denominator: 32) == 8)
        // Ten sums of the paper's, and two more where a quarter of the width makes neighbours equally wide.
        #expect(graph.nodes.filter { $0.operatorType == "Add" }.count == 12)
        #expect(graph.batchStatistics.count == 52)
        #expect(!graph.parameters.contains { $0.name.hasPrefix("relu6") })
    }

    @Test(
        "a transformer of each kind infers, loads as it was, and has its parameters",
        arguments: TransformerOptions.Normalization.allCases, TransformerOptions.Pooling.allCases)
    func transformer(normalization: TransformerOptions.Normalization, pooling: TransformerOptions.Pooling) throws {
        let options = TransformerOptions(depth: 3, heads: 2, normalization: normalization, pooling: pooling)
        let graph = try ModelBuilder.build(
            architecture: "transformer", inputShape: [9, 50], classes: 4, width: 12, transformer: options, seed: 1)
        #expect(graph.inputs[0].elementType == .int64)
        #expect(try graph.inferShapes(batch: 5)["logits"] == [5, 4])
        #expect(try Graph.load(graph.serialized(), path: "transformer") == graph)
        // Embeddings, 12 d^2 + 13 d a block, one more normalisation, classifier.
        let blocks = 3 * (12 * 144 + 13 * 12)
        #expect(try graph.summary(fileBytes: 0).parameters == 59 * 12 + blocks + 24 + 4 * 13)
        #expect(graph.prunableNames.count == 3 * 6 + 1)
        let embedding = try graph.initializers.require("embedding.tokens").floats
        #expect(embedding.allSatisfy { abs($0) <= 0.0401 } && embedding.contains { abs($0) > 0.03 })
    }

    @Test("normal weights have their deviation and mean")
    func normalWeights() {
        let weights = InitialWeights(model: "test", seed: 3)
        let values = weights.tensor("w", [100, 100], .normal(deviation: 0.5)).floats
        let mean = values.reduce(0, +) / 10_000
        let deviation = (values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 10_000).squareRoot()
        #expect(abs(mean) < 0.015 && abs(deviation - 0.5) < 0.015)
        let within = values.filter { abs($0) < 0.5 }.count
        #expect((6_600...6_900).contains(within), "68 % of a normal distribution lie within one deviation: \(within)")
    }

    @Test("what cannot be built is refused")
    func refusals() {
        func failure(
            _ architecture: String, _ input: [Int]? = nil, width: Int? = nil,
            options: TransformerOptions = TransformerOptions()
        ) -> String? {
            do throws(ModelError) {
                _ = try ModelBuilder.build(
                    architecture: architecture, inputShape: input, width: width, transformer: options, seed: 0)
                return nil
            } catch { return error.description }
        }
        #expect(failure("resnet18", [784])?.contains("[C, H, W]") == true)
        #expect(failure("mobilenetv2", width: 2_000)?.contains("give 1 to 1024") == true)
        #expect(failure("transformer", [1, 2, 3])?.contains("[length] or [length, vocabulary]") == true)
        #expect(failure("transformer", [65_536])?.contains("at most 8192") == true)
        #expect(failure("transformer", width: 10)?.contains("4 heads do not divide width 10") == true)
        #expect(failure("transformer", options: TransformerOptions(heads: 0)) != nil)
        #expect(failure("transformer", options: TransformerOptions(depth: 65))?.contains("depth 65") == true)
        #expect(failure("transformer", [8_192, 65_536], width: 8_192)?.contains("too large") == true)
    }
}
