import ModelGraph
import Tensors
import Testing

@testable import Engine

/// Single operators against values worked out by hand.
struct ExecutionOperatorTests {
    @Test func convolutionWithAsymmetricPads() throws {
        let kernel = Tensor([1, 10] as [Float], shape: [1, 1, 2])
        let graph = oneNode("Conv", input: [1, 1, 3], constants: [("w", kernel)], attributes: ["pads": .ints([1, 0])])
        #expect(try evaluate(graph, [1, 2, 3], [1, 1, 3]).floats == [10, 21, 32])
    }

    @Test(
        arguments: [("SAME_UPPER", [21, 32, 3]), ("SAME_LOWER", [10, 21, 32]), ("VALID", [21, 32])]
            as [(String, [Float])])
    func automaticPadding(mode: String, expected: [Float]) throws {
        let kernel = Tensor([1, 10] as [Float], shape: [1, 1, 2])
        let graph = oneNode(
            "Conv", input: [1, 1, 3], constants: [("w", kernel)], attributes: ["auto_pad": .string(mode)])
        #expect(try evaluate(graph, [1, 2, 3], [1, 1, 3]).floats == expected)
    }

    @Test func gemmWithEverything() throws {
        // 2·(Aᵀ·Bᵀ) + 3·C with A = [[1], [2]], B = [[3, 4]].
        let graph = oneNode(
            "Gemm", input: [2, 1],
            constants: [("b", Tensor([3, 4] as [Float], shape: [1, 2])), ("c", Tensor([1] as [Float], shape: [1]))],
            attributes: ["alpha": .float(2), "beta": .float(3), "transA": .int(1), "transB": .int(1)])
        #expect(try evaluate(graph, [1, 2], [2, 1]).floats == [25])
    }

    @Test func maxPoolPaddingIsNotAValue() throws {
        let graph = oneNode(
            "MaxPool", input: [1, 1, 2, 2],
            attributes: ["kernel_shape": .ints([2, 2]), "strides": .ints([2, 2]), "pads": .ints([1, 1, 1, 1])])
        #expect(try evaluate(graph, [-1, -2, -3, -4], [1, 1, 2, 2]).floats == [-1, -2, -3, -4])
    }

    @Test(arguments: [(0, 4), (1, 1)] as [(Int64, Float)])
    func averagePoolCountsPaddingOnlyWhenAsked(count: Int64, expected: Float) throws {
        let graph = oneNode(
            "AveragePool", input: [1, 1, 1, 1],
            attributes: [
                "kernel_shape": .ints([2, 2]), "strides": .ints([2, 2]), "pads": .ints([1, 1, 1, 1]),
                "count_include_pad": .int(count),
            ])
        #expect(try evaluate(graph, [4], [1, 1, 1, 1]).floats == [expected])
    }

    @Test func reshapeUnderstandsZeroAndMinusOne() throws {
        let graph = oneNode("Reshape", input: [2, 3, 2], constants: [("s", Tensor([0, -1] as [Int64], shape: [2]))])
        #expect(try evaluate(graph, Array(repeating: 1, count: 12), [2, 3, 2]).shape == [2, 6])
    }

    @Test(arguments: [(0, [1, 12]), (1, [2, 6]), (-1, [6, 2]), (3, [12, 1])] as [(Int64, [Int])])
    func flattenAtEveryAxis(axis: Int64, expected: [Int]) throws {
        let graph = oneNode("Flatten", input: [2, 3, 2], attributes: ["axis": .int(axis)])
        #expect(try evaluate(graph, Array(repeating: 1, count: 12), [2, 3, 2]).shape.dimensions == expected)
    }

    @Test func clipAndSoftmaxAndGlobalPool() throws {
        let bounds = [("l", Tensor([-1] as [Float], shape: [])), ("h", Tensor([2] as [Float], shape: []))]
        #expect(
            try evaluate(oneNode("Clip", input: [3], constants: bounds), [-5, 0.5, 9], [3]).floats == [-1, 0.5, 2])
        let softmax = try evaluate(oneNode("Softmax", input: [1, 2], attributes: ["axis": .int(1)]), [0, 0], [1, 2])
        #expect(softmax.floats == [0.5, 0.5])
        let pooled = try evaluate(oneNode("GlobalAveragePool", input: [1, 2, 2, 1]), [1, 3, 5, 9], [1, 2, 2, 1])
        #expect(pooled.floats == [2, 7])
        #expect(pooled.shape == [1, 2, 1, 1])
    }

    @Test func quantizeRoundsHalfToEvenAndSaturates() throws {
        let constants = [
            ("s", Tensor([1] as [Float], shape: [])), ("z", Tensor([10] as [UInt8], shape: [])),
        ]
        let codes = try evaluate(
            oneNode("QuantizeLinear", input: [5], constants: constants), [0.5, 1.5, -0.5, 1000, -1000], [5])
        #expect(codes.bytes == [10, 12, 10, 255, 0])
    }

    @Test func dropoutActsOnlyInTraining() throws {
        let values = (0..<1000).map { _ in Float(1) }
        #expect(try evaluate(oneNode("Dropout", input: [1000]), values, [1000]).floats == values)
    }

    @Test func masksKeepDeadWeightsAtZeroThroughEveryStep() throws {
        let graph = try ModelBuilder.build(architecture: "mlp", inputShape: [4], classes: 3, width: 8, seed: 1)
        let name = try #require(graph.prunableNames.first)
        let count = try #require(graph.initializers[name]).elementCount
        var bitmap = Bitmap(repeating: true, count: count)
        for index in stride(from: 0, to: count, by: 2) { bitmap[index] = false }
        var tensors = graph.parameterTensors()
        tensors.modify(name) { tensor in
            tensor.withMutableElements(as: Float.self) {
                for index in $0.indices where !bitmap[index] { $0[index] = 0 }
            }
        }
        for kind in [OptimizerMethod.sgd, .adamw] {
            let trainer = try Trainer(
                graph.replacingParameters(tensors),
                optimizer: OptimizerSettings(kind: kind, learningRate: 0.1, momentum: 0.9, weightDecay: 0.1),
                masks: MaskSet(epoch: 1, bitmaps: [name: bitmap]))
            let input = Tensor((0..<20).map { Float($0 % 7) }, shape: [5, 4])
            for _ in 0..<4 { _ = try trainer.step(input, labels: Tensor([0, 1, 2, 1, 0] as [Int64], shape: [5])) }
            let after = try trainer.parameters().require(name).floats
            #expect(after.indices.allSatisfy { bitmap[$0] || after[$0] == 0 })
            #expect(after.indices.contains { bitmap[$0] && after[$0] != tensors[name]!.floats[$0] })
        }
    }

    /// Two classes, T = 2, α = 0.5, logits z = (0, 0), teacher (2, 0), label 0, by hand.
    @Test func distillationLossMatchesItsFormula() throws {
        let identity = Tensor([1, 0, 0, 1] as [Float], shape: [2, 2])
        let graph = oneNode("MatMul", input: [1, 2], constants: [("w", identity)])
        let trainer = try Trainer(graph, optimizer: OptimizerSettings(learningRate: 0))
        let result = try trainer.gradients(
            Tensor([0, 0] as [Float], shape: [1, 2]), labels: Tensor([0] as [Int64], shape: [1]),
            loss: .distillation(temperature: 2, alpha: 0.5), teacherLogits: Tensor([2, 0] as [Float], shape: [1, 2]))
        // Teacher softmax(1, 0) = (0.7310586, 0.2689414); student (0.5, 0.5): KL = 0.1109441; CE = ln 2.
        #expect(abs(result.result.loss - (0.5 * 4 * 0.110_944_1 + 0.5 * 0.693_147_2)) < 1e-5)
    }

    @Test func mistakesAreNamed() throws {
        let unknown = oneNode("NonMaxSuppression", input: [1])
        #expect(throws: EngineError.self) { try Executable(unknown) }
        let graph = try ModelBuilder.build(architecture: "cnn", inputShape: nil, classes: nil, width: 4, seed: 1)
        let wrong = Tensor(zeros: [1, 3, 32, 32])
        #expect {
            try Executable(graph).logits(wrong)
        } throws: { "\($0)".contains("[1, 3, 32, 32]") && "\($0)".contains("28") }
        let image = Tensor(zeros: [1, 1, 28, 28])
        #expect {
            try Executable(graph).evaluate(image, labels: Tensor([10] as [Int64], shape: [1]))
        } throws: { "\($0)".contains("label 10") }
        let trainer = try Trainer(graph, optimizer: OptimizerSettings(learningRate: 0.1))
        let poisoned = Tensor(Array(repeating: Float.nan, count: 784), shape: [1, 1, 28, 28])
        #expect(throws: EngineError.notFinite("the training loss")) {
            try trainer.step(poisoned, labels: Tensor([1] as [Int64], shape: [1]))
        }
    }
}
