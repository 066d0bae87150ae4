import ModelGraph
import Tensors
import Testing

@Suite("Folding batch normalisation")
struct InferencePassTests {
    private let statistics: [(String, Tensor)] = [
        ("gamma", floatTensor([2, -1, 0.5], shape: [3])), ("beta", floatTensor([0.1, 0.2, 0.3], shape: [3])),
        ("mean", floatTensor([1, 2, -3], shape: [3])), ("variance", floatTensor([4, 1, 0.25], shape: [3])),
    ]
    private let norm = node(
        "BatchNormalization", ["c", "gamma", "beta", "mean", "variance"], ["n"], ["epsilon": .float(0)])

    @Test("Conv takes the scale per channel and gains a bias; zeros stay zero")
    func conv() throws {
        var weight = ramp([3, 2, 1, 1])
        weight.withMutableElements(as: Float.self) { $0[3] = 0 }
        let graph = smallGraph(
            [node("Conv", ["x", "w"], ["c"]), norm, node("Relu", ["n"], ["y"])], [("w", weight)] + statistics)
        let folded = graph.foldingBatchNormalization()
        #expect(folded.nodes.map(\.operatorType) == ["Conv", "Relu"])
        #expect(folded.initializers.names == ["w", "beta"])
        #expect(folded.nodes[0].inputs == ["x", "w", "beta"])
        let (before, after) = (weight.floats, try folded.initializers.require("w").floats)
        // gamma / sqrt(variance) = 1, -1, 1
        for (channel, scale) in [Float(1), -1, 1].enumerated() {
            for k in 0..<2 { #expect(after[2 * channel + k] == before[2 * channel + k] * scale) }
        }
        #expect(after[3] == 0)
        let bias = try folded.initializers.require("beta").floats
        for (found, expected) in zip(bias, [Float(-0.9), 2.2, 3.3]) { #expect(abs(found - expected) < 1e-6) }
        #expect(try Graph.load(folded.serialized(), path: "folded") == folded)
    }

    @Test("Gemm folds along its output axis, with or without transB, and keeps its bias", arguments: [Int64(0), 1])
    func gemm(transB: Int64) throws {
        let weight = ramp(transB == 1 ? [3, 2] : [2, 3])
        let graph = smallGraph(
            [node("Gemm", ["x", "w", "b"], ["c"], ["transB": .int(transB)]), norm, node("Relu", ["n"], ["y"])],
            [("w", weight), ("b", floatTensor([1, 1, 1], shape: [3]))] + statistics, input: [2])
        let folded = graph.foldingBatchNormalization()
        #expect(folded.nodes[0].inputs == ["x", "w", "b"])
        let (before, after) = (weight.floats, try folded.initializers.require("w").floats)
        let scale: [Float] = [1, -1, 1]
        for index in before.indices {
            #expect(after[index] == before[index] * scale[transB == 1 ? index / 2 : index % 3])
        }
        // scale * 1 + beta - mean * scale
        let bias = try folded.initializers.require("b").floats
        for (found, expected) in zip(bias, [Float(0.1), 1.2, 4.3]) { #expect(abs(found - expected) < 1e-6) }
    }

    @Test("a normalisation stays where the convolution has another reader or feeds an output")
    func notFoldable() {
        let weights = [("w", ramp([3, 2, 1, 1]))] + statistics
        let twoReaders = smallGraph([node("Conv", ["x", "w"], ["c"]), norm, node("Add", ["n", "c"], ["y"])], weights)
        #expect(twoReaders.foldingBatchNormalization() == twoReaders)
        var output = smallGraph([node("Conv", ["x", "w"], ["c"]), norm], weights, output: "c")
        output.outputs.append(ValueInfo(name: "n", elementType: .float32, dimensions: nil))
        #expect(output.foldingBatchNormalization() == output)
    }

    @Test("a weight that two convolutions share is folded into a copy for each")
    func sharedWeight() throws {
        let second = node(
            "BatchNormalization", ["d", "beta", "gamma", "mean", "variance"], ["m"], ["epsilon": .float(0)])
        let graph = smallGraph(
            [
                node("Conv", ["x", "w"], ["c"]), norm, node("Conv", ["x", "w"], ["d"]), second,
                node("Add", ["n", "m"], ["y"]),
            ], [("w", ramp([3, 2, 1, 1]))] + statistics)
        let folded = graph.foldingBatchNormalization()
        #expect(folded.nodes.map(\.operatorType) == ["Conv", "Conv", "Add"])
        let names = folded.nodes[0...1].map { $0.inputs[1] }
        #expect(names == ["w.folded", "w.folded.2"])
        #expect(folded.initializers[names[0]] != folded.initializers[names[1]])
        #expect(folded.initializers["w"] == nil)
    }

    @Test("Dropout and Identity vanish, also before an output and with further readers")
    func passThrough() {
        let graph = smallGraph(
            [
                node("Relu", ["x"], ["a"]), node("Dropout", ["a", "", "training"], ["b"]), node("Tanh", ["b"], ["c"]),
                node("Identity", ["b"], ["y"]), node("Add", ["b", "c"], ["z"]),
            ], [("training", Tensor(elements: [UInt8(1)], elementType: .bool, shape: []))])
        let slim = graph.foldingBatchNormalization()
        #expect(slim.nodes.map(\.operatorType) == ["Relu", "Tanh", "Add"])
        #expect(slim.nodes.map(\.inputs) == [["x"], ["y"], ["y", "c"]])
        #expect(slim.nodes[0].outputs == ["y"])
        #expect(slim.initializers.isEmpty)
        // An input that is an output has no producer to rename.
        let bare = smallGraph([node("Identity", ["x"], ["y"])])
        #expect(bare.foldingBatchNormalization() == bare)
    }

    @Test("a transposed weight is stored transposed")
    func transposed() {
        let graph = smallGraph(
            [node("Transpose", ["w"], ["t"], ["perm": .ints([1, 0])]), node("MatMul", ["x", "t"], ["y"])],
            [("w", floatTensor([1, 2, 3, 4, 5, 6], shape: [2, 3]))], input: [3])
        let folded = graph.foldingBatchNormalization()
        #expect(folded.nodes.map(\.operatorType) == ["MatMul"])
        #expect(folded.initializers["t"] == floatTensor([1, 4, 2, 5, 3, 6], shape: [3, 2]))
    }

    @Test("real models fold completely", .enabled(if: Fixtures.areThere, "needs ../shared"))
    func realModels() throws {
        for name in ["parity/resnet8", "models/teacher-mnist", "models/teacher-cifar10", "models/resnet20-cifar10"] {
            let folded = try Fixtures.graph(name).foldingBatchNormalization()
            #expect(!folded.nodes.contains { $0.operatorType == "BatchNormalization" })
            #expect(try folded.inferShapes(batch: 1)["logits"] == [1, 10])
        }
    }
}
