import ModelGraph
import Tensors
import Testing

@testable import Engine

/// Operators of transformers and of shape arithmetic, against values worked out by hand.
struct ExecutionTransformerTests {
    @Test func gatherCountsNegativeIndicesFromTheEnd() throws {
        let indices = Tensor([-1, 0] as [Int64], shape: [1, 2])
        let graph = oneNode(
            "Gather", input: [2, 3], constants: [("i", indices)], attributes: ["axis": .int(1)])
        let gathered = try evaluate(graph, [1, 2, 3, 4, 5, 6], [2, 3])
        #expect(gathered.shape == [2, 1, 2])
        #expect(gathered.floats == [3, 1, 6, 4])
    }

    @Test func gatherRefusesIndicesOutOfRange() {
        let graph = oneNode("Gather", input: [2], constants: [("i", Tensor([2] as [Int64], shape: [1]))])
        #expect { try evaluate(graph, [1, 2], [2]) } throws: {
            "\($0)".contains("Gather") && "\($0)".contains("'node'")
        }
    }

    @Test func unsqueezeAndSqueezePlaceAxes() throws {
        let axes = [("a", Tensor([0, -1] as [Int64], shape: [2]))]
        #expect(try evaluate(oneNode("Unsqueeze", input: [2], constants: axes), [1, 2], [2]).shape == [1, 2, 1])
        #expect(try evaluate(oneNode("Squeeze", input: [1, 2, 1], constants: axes), [1, 2], [1, 2, 1]).shape == [2])
        #expect(try evaluate(oneNode("Squeeze", input: [1, 2, 1]), [1, 2], [1, 2, 1]).shape == [2])
        #expect(throws: EngineError.self) {
            try evaluate(oneNode("Squeeze", input: [2, 1], constants: axes), [1, 2], [2, 1])
        }
    }

    @Test(arguments: [17, 18] as [Int64]) func reduceMeanTakesItsAxesWhereTheOpsetHasThem(opset: Int64) throws {
        var graph = oneNode(
            "ReduceMean", input: [2, 2],
            constants: opset < 18 ? [] : [("a", Tensor([1] as [Int64], shape: [1]))],
            attributes: opset < 18 ? ["axes": .ints([1]), "keepdims": .int(0)] : ["keepdims": .int(0)])
        graph.opset = opset
        let means = try evaluate(graph, [1, 2, 3, 5], [2, 2])
        #expect(means.shape == [2])
        #expect(means.floats == [1.5, 4])
        graph.nodes[0].inputs = ["x"]
        graph.nodes[0].attributes = [:]
        #expect(try evaluate(graph, [1, 2, 3, 6], [2, 2]) == Tensor([3] as [Float], shape: [1, 1]))
    }

    @Test func layerNormalizationOverTheLastAxis() throws {
        let constants = [("s", Tensor([1, 2] as [Float], shape: [2])), ("b", Tensor([0, 1] as [Float], shape: [2]))]
        let graph = oneNode(
            "LayerNormalization", input: [1, 2], constants: constants, attributes: ["epsilon": .float(0)])
        #expect(try evaluate(graph, [3, 5], [1, 2]).floats == [-1, 3])
    }

    @Test func castsAndPowersKeepTheRightType() throws {
        let cast = try evaluate(oneNode("Cast", input: [2], attributes: ["to": .int(7)]), [2.9, -2.9], [2])
        #expect(cast.elements(as: Int64.self) == [2, -2])
        #expect(throws: EngineError.self) { try Executable(oneNode("Cast", input: [2], attributes: ["to": .int(8)])) }
        let power = oneNode("Pow", input: [2], constants: [("e", Tensor([2] as [Int64], shape: []))])
        #expect(try evaluate(power, [3, -4], [2]) == Tensor([9, 16] as [Float], shape: [2]))
    }

    @Test(
        arguments: [
            ("Erf", 0, 0), ("Tanh", 0, 0), ("Sqrt", 9, 3), ("Sigmoid", 0, 0.5), ("Exp", 0, 1), ("Log", 1, 0),
            ("Neg", 2, -2), ("Erf", 9, 1), ("Tanh", 20, 1),
        ] as [(String, Float, Float)])
    func elementwise(type: String, value: Float, expected: Float) throws {
        #expect(try evaluate(oneNode(type, input: [1]), [value], [1]).floats == [expected])
    }

    @Test func aShapeComputedFromTheBatchReshapes() throws {
        // [n, 4] becomes [n, 2, 2] by Shape, Gather and Concat, for every n.
        var graph = oneNode("Shape", input: [1, 4])
        graph.inputs[0].dimensions = [.symbolic("n"), .fixed(4)]
        graph.initializers = NamedTensors([
            ("zero", Tensor([0] as [Int64], shape: [1])), ("rest", Tensor([2, 2] as [Int64], shape: [2])),
        ])
        graph.nodes = [
            Node(name: "shape", operatorType: "Shape", inputs: ["x"], outputs: ["s"]),
            Node(name: "batch", operatorType: "Gather", inputs: ["s", "zero"], outputs: ["n"]),
            Node(
                name: "target", operatorType: "Concat", inputs: ["n", "rest"], outputs: ["t"],
                attributes: ["axis": .int(0)]),
            Node(name: "reshape", operatorType: "Reshape", inputs: ["x", "t"], outputs: ["y"]),
        ]
        for batch in [1, 3] {
            let shape = try Shape([batch, 4])
            let values = (0..<shape.elementCount).map(Float.init)
            #expect(try evaluate(graph, values, shape).shape.dimensions == [batch, 2, 2])
        }
    }
}
