import ModelGraph
import Tensors
import Testing

@Suite("Bundled architectures")
struct BuilderTests {
    @Test(
        "parameter counts, determinism and valid shapes",
        arguments: [("mlp", 784 * 256 + 256 + 256 * 256 + 256 + 2_570), ("cnn", 421_642), ("resnet20", 272_474)])
    func built(architecture: String, parameters: Int) throws {
        let graph = try ModelBuilder.build(architecture: architecture, seed: 42)
        #expect(try graph.summary(fileBytes: 0).parameters == parameters)
        #expect(try graph.inferShapes(batch: 7)["logits"] == [7, 10])
        let bytes = graph.serialized()
        #expect(try ModelBuilder.build(architecture: architecture, seed: 42).serialized() == bytes)
        #expect(try ModelBuilder.build(architecture: architecture, seed: 43).serialized() != bytes)
        #expect(try Graph.load(bytes, path: architecture) == graph)
    }

    @Test("the first weights of seed 1 are the same on every machine")
    func goldenWeights() throws {
        let graph = try ModelBuilder.build(architecture: "mlp", inputShape: [2], classes: 2, width: 2, seed: 1)
        let bits = graph.initializers["fc1.weight"]?.floats.map(\.bitPattern)
        #expect(bits == [0xbfcc_bacd, 0x3f70_7c34, 0x3f27_7ed0, 0x3d01_6271])
    }

    @Test("weights are spread as Kaiming says; normalisations start neutral")
    func initialValues() throws {
        let graph = try ModelBuilder.build(architecture: "resnet20", seed: 3)
        let weights = try graph.initializers.require("block9.conv2.weight").floats
        let bound = (6 / Float(64 * 9)).squareRoot()
        #expect(weights.allSatisfy { abs($0) <= bound })
        #expect((weights.max() ?? 0) > 0.99 * bound && (weights.min() ?? 0) < -0.99 * bound)
        #expect(abs(weights.reduce(0, +) / Float(weights.count)) < 0.01 * bound)
        #expect(try graph.initializers.require("stem.norm.running_var").floats.allSatisfy { $0 == 1 })
        #expect(try graph.initializers.require("stem.norm.running_mean").floats.allSatisfy { $0 == 0 })
    }

    @Test("width, classes and input shape are options")
    func options() throws {
        let mlp = try ModelBuilder.build(architecture: "mlp", inputShape: [3, 8, 8], classes: 4, width: 5, seed: 1)
        #expect(mlp.initializers["fc1.weight"]?.shape == [5, 192])
        #expect(try mlp.inferShapes(batch: 2)["logits"] == [2, 4])
        let wide = try ModelBuilder.build(architecture: "resnet20", width: 24, seed: 1)
        #expect(try wide.summary(fileBytes: 0).parameters == 611_074)
        let cnn = try ModelBuilder.build(architecture: "cnn", inputShape: [3, 13, 10], classes: 2, width: 4, seed: 1)
        #expect(try cnn.inferShapes(batch: 1)["logits"] == [1, 2])
    }

    @Test("what cannot be built is refused with a hint")
    func refusals() {
        func failure(_ architecture: String, _ input: [Int]? = nil, classes: Int? = nil, width: Int? = nil) -> String? {
            do throws(ModelError) {
                _ = try ModelBuilder.build(
                    architecture: architecture, inputShape: input, classes: classes, width: width, seed: 0)
                return nil
            } catch { return error.description }
        }
        #expect(
            failure("resnet2")
                == "unknown architecture 'resnet2'; did you mean 'resnet20'? (available: mlp, cnn, resnet18, resnet20, "
                + "mobilenetv2, transformer)")
        #expect(failure("zzz")?.hasPrefix("unknown architecture 'zzz' (available: mlp, cnn,") == true)
        #expect(failure("cnn", [1, 2, 2])?.contains("at least 4 x 4 pixels") == true)
        #expect(failure("cnn", [784])?.contains("[C, H, W]") == true)
        #expect(failure("mlp", [0]) != nil && failure("mlp", [65_536, 65_536, 65_536]) != nil)
        #expect(
            failure("mlp", classes: 1) != nil && failure("mlp", width: 0) != nil && failure("mlp", width: .max) != nil)
    }
}
