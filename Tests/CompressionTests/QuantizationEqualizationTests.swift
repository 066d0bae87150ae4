import Engine
import ModelGraph
import Tensors
import Testing

@testable import Compression

@Suite struct QuantizationEqualizationTests {
    /// The largest magnitude of each channel.
    private static func ranges(_ tensor: Tensor, _ channel: (Int) -> Int, count: Int) -> [Float] {
        var found = [Float](repeating: 0, count: count)
        for (index, value) in tensor.floats.enumerated() {
            found[channel(index)] = max(found[channel(index)], abs(value))
        }
        return found
    }

    @Test func rangesMeetAndTheFunctionStays() throws {
        var graph = try QuantizationMomentTests.graph()
        // Channels of very different sizes.
        let factors: [Float] = [0.01, 1, 30, 4]
        var weight = try graph.initializers.require("w1")
        weight.withMutableElements(as: Float.self) { values in
            for index in values.indices { values[index] *= factors[index / 27] }
            values[5] = 0
        }
        graph.initializers["w1"] = weight
        let (equal, pairs) = graph.equalizingLayers()
        #expect(pairs.map(\.first) == ["w1", "w2"] && pairs.map(\.second) == ["w2", "w3"])
        #expect(pairs.map(\.channels) == [4, 4])
        let x = NamedTensors([("x", try QuantizationMomentTests.inputs(3, seed: 9))])
        #expect(try LowRankFixtures.difference(graph, equal, x) < 1e-5)
        let first = Self.ranges(try equal.initializers.require("w1"), { $0 / 27 }, count: 4)
        let second = Self.ranges(try equal.initializers.require("w2"), { $0 / 6 }, count: 4)
        let third = Self.ranges(try equal.initializers.require("w3"), { $0 % 4 }, count: 4)
        // A channel of w2 is both what reads w1's and what w3 reads.
        for channel in 0..<4 {
            #expect(abs(first[channel] / second[channel] - 1) < 0.01)
            #expect(abs(second[channel] / third[channel] - 1) < 0.01)
        }
        #expect(try equal.initializers.require("w1").floats[5] == 0)
    }

    /// Relu6, a second reader and an output stand in the way.
    @Test func whatIsNotHomogeneousIsNotTouched() throws {
        let graph = try QuantizationMomentTests.graph()
        var clipped = graph
        clipped.nodes[1].operatorType = "Clip"
        clipped.nodes[1].inputs = ["h1", "zero", "six"]
        clipped.initializers["zero"] = Tensor([Float(0)], shape: [])
        clipped.initializers["six"] = Tensor([Float(6)], shape: [])
        #expect(clipped.equalizingLayers().pairs.map(\.first) == ["w2"])
        var watched = graph
        watched.outputs.append(ValueInfo(name: "a1", elementType: .float32, dimensions: nil))
        #expect(watched.equalizingLayers().pairs.map(\.first) == ["w2"])
        var shared = graph
        shared.nodes.append(Node(name: "s", operatorType: "Neg", inputs: ["w3"], outputs: ["n"]))
        #expect(shared.equalizingLayers().pairs.map(\.first) == ["w1"])
    }

    /// A product takes the last axis of images, which is no axis of channels, as wide as it may be.
    @Test func productsOfImagesAreNoPartners() throws {
        var random = SeededGenerator(seed: 77)
        func tensor(_ extents: [Int]) throws -> Tensor { try LowRankFixtures.tensor(extents, &random) }
        var graph = Graph(
            name: "images",
            nodes: [
                Node(name: "c", operatorType: "Conv", inputs: ["x", "w1"], outputs: ["h"]),
                Node(name: "r", operatorType: "Relu", inputs: ["h"], outputs: ["a"]),
                Node(name: "m", operatorType: "MatMul", inputs: ["a", "w2"], outputs: ["y"]),
            ],
            inputs: [
                ValueInfo(
                    name: "x", elementType: .float32, dimensions: [.symbolic("n"), .fixed(3), .fixed(5), .fixed(4)])
            ],
            outputs: [ValueInfo(name: "y", elementType: .float32, dimensions: nil)],
            initializers: NamedTensors([("w1", try tensor([4, 3, 1, 1])), ("w2", try tensor([4, 6]))]))
        let x = NamedTensors([("x", try tensor([2, 3, 5, 4]))])
        let (same, pairs) = graph.equalizingLayers()
        #expect(pairs.isEmpty && same == graph)
        #expect(try LowRankFixtures.difference(graph, same, x) == 0)
        // Flattened, its rows are the channels' pixels.
        graph.nodes.insert(Node(name: "f", operatorType: "Flatten", inputs: ["a"], outputs: ["v"]), at: 2)
        graph.nodes[3].inputs[0] = "v"
        graph.initializers["w2"] = try tensor([80, 6])
        let (equal, found) = graph.equalizingLayers()
        #expect(found.map(\.channels) == [4])
        #expect(try LowRankFixtures.difference(graph, equal, x) < 1e-5)
    }

    /// Of a whole network, with dead channels.
    @Test(arguments: ["cnn", "resnet20", "mlp", "mobilenetv2"]) func wholeNetworksComputeTheSame(_ name: String) throws
    {
        let graph = try ModelBuilder.build(
            architecture: name, inputShape: [3, 32, 32], classes: 10, width: name == "mobilenetv2" ? nil : 4, seed: 2
        ).foldingBatchNormalization()
        let (equal, pairs) = graph.equalizingLayers()
        // MobileNetV2 has Clips between its layers, and Adds behind its blocks.
        #expect(!pairs.isEmpty || name == "mobilenetv2")
        let inputs = try RandomBatch.inputs(for: graph, rows: 2)
        #expect(try LowRankFixtures.difference(graph, equal, inputs) < 1e-4)
        let changed = equal.initializers.ordered.allSatisfy { $0.tensor.floats.allSatisfy(\.isFinite) }
        #expect(changed && equal.nodes == graph.nodes)
    }
}
