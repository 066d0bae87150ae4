import Engine
import ModelGraph
import Tensors
import Testing

@testable import Compression

/// Graphs and comparisons for the tests of low rank.
enum LowRankFixtures {
    static func tensor(_ extents: [Int], _ random: inout SeededGenerator) throws -> Tensor {
        let shape = try Shape(extents)
        return Tensor(LowRankReference.noise(shape.elementCount, &random).map(Float.init), shape: shape)
    }

    /// One node that reads `x` and `w`, with a bias where it is given.
    static func graph(
        _ type: String, x: [Int], weight: Tensor, bias: Tensor? = nil, attributes: [String: AttributeValue] = [:]
    ) -> Graph {
        Graph(
            name: "one",
            nodes: [
                Node(
                    name: "layer", operatorType: type, inputs: ["x", "w"] + (bias == nil ? [] : ["b"]), outputs: ["y"],
                    attributes: attributes)
            ],
            inputs: [
                ValueInfo(
                    name: "x", elementType: .float32, dimensions: [.symbolic("n")] + x.dropFirst().map { .fixed($0) })
            ],
            outputs: [ValueInfo(name: "y", elementType: .float32, dimensions: nil)],
            initializers: NamedTensors([("w", weight)] + (bias.map { [("b", $0)] } ?? [])))
    }

    /// The largest difference of the outputs over the largest output.
    static func difference(_ first: Graph, _ second: Graph, _ inputs: NamedTensors) throws -> Double {
        let (a, b) = (try Executable(first).run(inputs), try Executable(second).run(inputs))
        var (difference, largest) = (0.0, 0.0)
        for (name, tensor) in a.ordered {
            let other = try b.require(name)
            #expect(tensor.shape == other.shape)
            for (x, y) in zip(tensor.floats, other.floats) {
                #expect(x.isFinite && y.isFinite)
                (difference, largest) = (max(difference, Double(abs(x - y))), max(largest, Double(abs(x))))
            }
        }
        return difference / max(largest, 1e-30)
    }

    /// Every layer at the largest rank, whether that saves or not.
    static func atFullRank(_ graph: Graph, _ choice: FactorizationChoice) throws -> Graph {
        let factors = try graph.factorizableLayers().layers.compactMap { layer -> LayerFactors? in
            guard let method = choice.methods(for: layer).first else { return nil }
            let weight = try graph.initializers.require(layer.name)
            let found = try LayerDecomposer(layer, weight: weight, moment: nil).factors(
                method, layer.largestRank(method))
            #expect(abs(found.kept - 1) < 1e-9)
            return LayerFactors(layer: layer, method: method, tensors: found.tensors)
        }
        #expect(!factors.isEmpty)
        return graph.factorized(factors)
    }
}

@Suite struct LowRankGraphTests {
    private static let models: [(String, [Int], Int)] = [
        ("mlp", [1, 6, 6], 16), ("cnn", [1, 12, 12], 8), ("resnet20", [3, 12, 12], 8), ("mobilenetv2", [3, 32, 32], 8),
        ("transformer", [8, 32], 16),
    ]

    @Test(arguments: models, [FactorizationChoice.spatial, .tucker])
    func atFullRankNothingChanges(_ model: (String, [Int], Int), _ choice: FactorizationChoice) throws {
        let graph = try ModelBuilder.build(
            architecture: model.0, inputShape: model.1, classes: 10, width: model.2, seed: 3)
        let factorized = try LowRankFixtures.atFullRank(graph, choice)
        let inputs = try RandomBatch.inputs(for: graph, rows: 2)
        #expect(try LowRankFixtures.difference(graph, factorized, inputs) < 2e-5)
        #expect(try factorized.sampleShapes()["logits"] == graph.sampleShapes()["logits"])
        // The factors are weights like any other, the rest is untouched.
        let old = try Set(graph.factorizableLayers().layers.map(\.name))
        #expect(factorized.trainableNames.count > graph.trainableNames.count)
        for name in old {
            #expect(factorized.prunableNames.contains("\(name).u") && factorized.initializers[name] == nil)
        }
        #expect(Set(graph.trainableNames).subtracting(old).isSubset(of: Set(factorized.trainableNames)))
        #expect(Set(factorized.nodes.map(\.name)).count == factorized.nodes.count)
        let again = try Graph.load(factorized.serialized(), path: "factorized.onnx")
        #expect(try LowRankFixtures.difference(factorized, again, inputs) == 0)
    }

    /// Strides, dilations, uneven pads and every automatic one, with a bias.
    @Test(arguments: ["", "VALID", "SAME_UPPER", "SAME_LOWER"], [FactorizationChoice.spatial, .tucker])
    func windowsAreSplitExactly(_ autoPad: String, _ choice: FactorizationChoice) throws {
        var random = SeededGenerator(seed: 5)
        for (kernel, strides, dilations) in [
            ([3, 3], [1, 1], [1, 1]), ([3, 5], [2, 3], [1, 1]), ([5, 2], [1, 2], [2, 1]), ([1, 3], [2, 2], [1, 2]),
            ([4, 1], [3, 1], [1, 1]), ([1, 1], [2, 3], [1, 1]),
        ] as [([Int], [Int64], [Int64])] {
            var attributes: [String: AttributeValue] = ["strides": .ints(strides)]
            // Automatic pads and dilations together are not defined alike everywhere.
            if autoPad.isEmpty {
                attributes["pads"] = .ints([2, 1, 0, 3])
                attributes["dilations"] = .ints(dilations)
            } else {
                attributes["auto_pad"] = .string(autoPad)
            }
            let graph = LowRankFixtures.graph(
                "Conv", x: [2, 3, 11, 13], weight: try LowRankFixtures.tensor([4, 3] + kernel, &random),
                bias: try LowRankFixtures.tensor([4], &random), attributes: attributes)
            let inputs = NamedTensors([("x", try LowRankFixtures.tensor([2, 3, 11, 13], &random))])
            let factorized = try LowRankFixtures.atFullRank(graph, choice)
            #expect(factorized.nodes.count == (kernel == [1, 1] || choice == .spatial ? 2 : 3))
            #expect(try LowRankFixtures.difference(graph, factorized, inputs) < 1e-5)
            let shapes = try factorized.inferShapes(batch: 2)
            #expect(try shapes["y"] == graph.inferShapes(batch: 2)["y"])
        }
    }

    @Test(arguments: [false, true], [false, true])
    func matricesKeepTheirOrderScalesAndBiases(_ transposed: Bool, _ withBias: Bool) throws {
        var random = SeededGenerator(seed: 8)
        let weight = try LowRankFixtures.tensor(transposed ? [4, 6] : [6, 4], &random)
        let graph = LowRankFixtures.graph(
            "Gemm", x: [3, 6], weight: weight, bias: withBias ? try LowRankFixtures.tensor([4], &random) : nil,
            attributes: ["transB": .int(transposed ? 1 : 0), "alpha": .float(0.5), "beta": .float(2)])
        let inputs = NamedTensors([("x", try LowRankFixtures.tensor([3, 6], &random))])
        let factorized = try LowRankFixtures.atFullRank(graph, .auto)
        #expect(try LowRankFixtures.difference(graph, factorized, inputs) < 1e-5)
        #expect(factorized.initializers["w.u"]?.shape == (transposed ? [4, 6] : [6, 4]))
    }

    /// PyTorch exports a Linear on three axes as MatMul with a transposed weight.
    @Test func aTransposeBeforeTheWeightGoes() throws {
        var random = SeededGenerator(seed: 9)
        var graph = LowRankFixtures.graph("MatMul", x: [2, 5, 6], weight: try LowRankFixtures.tensor([4, 6], &random))
        graph.nodes.insert(
            Node(
                name: "turn", operatorType: "Transpose", inputs: ["w"], outputs: ["wt"],
                attributes: [
                    "perm": .ints([1, 0])
                ]), at: 0)
        graph.nodes[1].inputs[1] = "wt"
        let inputs = NamedTensors([("x", try LowRankFixtures.tensor([2, 5, 6], &random))])
        let factorized = try LowRankFixtures.atFullRank(graph, .auto)
        #expect(factorized.nodes.map(\.operatorType) == ["MatMul", "MatMul"])
        #expect(try LowRankFixtures.difference(graph, factorized, inputs) < 1e-5)
    }

    @Test func namesThatAreTakenGetNumbers() throws {
        var random = SeededGenerator(seed: 10)
        var graph = LowRankFixtures.graph("MatMul", x: [2, 6], weight: try LowRankFixtures.tensor([6, 4], &random))
        graph.nodes.append(Node(name: "layer.u", operatorType: "Add", inputs: ["y", "w.u"], outputs: ["y.u"]))
        graph.initializers["w.u"] = try LowRankFixtures.tensor([4], &random)
        graph.outputs[0].name = "y.u"
        let factorized = try LowRankFixtures.atFullRank(graph, .auto)
        #expect(factorized.initializers.names == ["w.u.2", "w.v", "w.u"])
        #expect(factorized.nodes.map(\.name) == ["layer.u.2", "layer.v", "layer.u"])
        let inputs = NamedTensors([("x", try LowRankFixtures.tensor([2, 6], &random))])
        #expect(try LowRankFixtures.difference(graph, factorized, inputs) < 1e-5)
    }

    /// Everything that cannot be factorized is listed with its reason.
    @Test func whatCannotBeFactorizedIsListed() throws {
        var random = SeededGenerator(seed: 11)
        func reason(_ graph: Graph) throws -> String {
            let found = try graph.factorizableLayers()
            #expect(found.layers.isEmpty && found.refused.count == 1)
            return found.refused.first?.reason ?? ""
        }
        let square = try LowRankFixtures.tensor([6, 6], &random)
        var shared = LowRankFixtures.graph("MatMul", x: [2, 6], weight: square)
        shared.nodes.append(Node(name: "again", operatorType: "MatMul", inputs: ["y", "w"], outputs: ["z"]))
        #expect(try reason(shared) == "its weight is shared (read by 'layer', 'again')")
        #expect(throws: CompressionError.self) {
            try Factorizer(graph: shared, settings: FactorizationSettings(rule: .evbmf, only: ["w"]))
        }
        let grouped = LowRankFixtures.graph(
            "Conv", x: [2, 4, 8, 8], weight: try LowRankFixtures.tensor([4, 2, 3, 3], &random),
            attributes: ["group": .int(2)])
        #expect(try reason(grouped) == "its convolution has 2 groups; only 1 can be factorized")
        let line = LowRankFixtures.graph(
            "Conv", x: [2, 4, 8], weight: try LowRankFixtures.tensor([4, 4, 3], &random))
        #expect(try reason(line) == "it has 1 spatial axes; only convolutions with 2 are factorized")
        let spread = LowRankFixtures.graph(
            "ConvTranspose", x: [2, 4, 8, 8], weight: try LowRankFixtures.tensor([4, 4, 3, 3], &random))
        #expect(try reason(spread).contains("ConvTranspose"))
        var left = LowRankFixtures.graph("MatMul", x: [2, 6, 3], weight: square)
        left.nodes[0].inputs = ["w", "x"]
        #expect(try reason(left) == "MatMul does not read it as the second factor of data")
        var turned = LowRankFixtures.graph("Gemm", x: [6, 6], weight: square, attributes: ["transA": .int(1)])
        turned.inputs[0].dimensions = [.fixed(6), .fixed(6)]
        #expect(try reason(turned) == "its layer transposes its input")
    }
}
