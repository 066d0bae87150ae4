import ModelGraph
import Tensors
import Testing

@testable import Engine

/// Optimizers, running statistics, masks and refusals, against formulas and hand-made values.
struct ExecutionTrainingTests {
    /// logits = x·w: one weight matrix, so that a step can be followed by hand.
    private let linear = oneNode(
        "MatMul", input: [1, 2], constants: [("w", Tensor([1, -2, 3, -4] as [Float], shape: [2, 2]))])
    private let input = Tensor([1, 0.5] as [Float], shape: [1, 2])
    private let label = Tensor([0] as [Int64], shape: [1])

    /// The weights after two steps, and the gradients that led there.
    private func twoSteps(
        _ settings: OptimizerSettings
    ) throws -> (weights: [Float], gradients: [[Double]]) {
        let trainer = try Trainer(linear, optimizer: settings)
        var gradients: [[Double]] = []
        for _ in 0..<2 {
            let gradient = try trainer.gradients(input, labels: label).gradients.require("w")
            gradients.append(gradient.floats.map(Double.init))
            _ = try trainer.step(input, labels: label)
        }
        return (try trainer.parameters().require("w").floats, gradients)
    }

    @Test(arguments: [false, true]) func sgdFollowsItsFormula(nesterov: Bool) throws {
        let found = try twoSteps(
            OptimizerSettings(learningRate: 0.1, momentum: 0.9, weightDecay: 0.01, nesterov: nesterov))
        for (index, start) in [1.0, -2, 3, -4].enumerated() {
            var (weight, velocity) = (start, 0.0)
            for step in 0..<2 {
                let gradient = found.gradients[step][index] + 0.01 * weight
                velocity = 0.9 * velocity + gradient
                weight -= 0.1 * (nesterov ? gradient + 0.9 * velocity : velocity)
            }
            #expect(abs(Double(found.weights[index]) - weight) < 1e-5)
        }
    }

    @Test func adamWFollowsItsFormula() throws {
        let found = try twoSteps(OptimizerSettings(kind: .adamw, learningRate: 0.1, weightDecay: 0.01))
        for (index, start) in [1.0, -2, 3, -4].enumerated() {
            var (weight, first, second) = (start, 0.0, 0.0)
            var (left1, left2) = (1.0, 1.0)
            for step in 0..<2 {
                let gradient = found.gradients[step][index]
                (left1, left2) = (left1 * 0.9, left2 * 0.999)
                weight *= 1 - 0.1 * 0.01
                first = 0.9 * first + 0.1 * gradient
                second = 0.999 * second + 0.001 * gradient * gradient
                weight -= 0.1 * (first / (1 - left1)) / ((second / (1 - left2)).squareRoot() + 1e-8)
            }
            #expect(abs(Double(found.weights[index]) - weight) < 1e-5)
        }
    }

    @Test func learningRateCanChangeBetweenSteps() throws {
        let trainer = try Trainer(linear, optimizer: OptimizerSettings(learningRate: 0))
        _ = try trainer.step(input, labels: label)
        #expect(try trainer.parameters() == linear.parameterTensors())
        trainer.learningRate = 0.5
        _ = try trainer.step(input, labels: label)
        #expect(try trainer.parameters() != linear.parameterTensors())
    }

    /// Values 1 and 3: mean 2, unbiased variance 2. The file says momentum 0.8 and training_mode 0, which is not asked.
    private let normalizing = Graph(
        name: "norm",
        nodes: [
            Node(
                name: "bn", operatorType: "BatchNormalization", inputs: ["x", "s", "b", "m", "v"],
                outputs: ["h", "", ""], attributes: ["momentum": .float(0.8), "training_mode": .int(0)]),
            Node(name: "fc", operatorType: "MatMul", inputs: ["h", "w"], outputs: ["y"]),
        ],
        inputs: [ValueInfo(name: "x", elementType: .float32, dimensions: [.symbolic("n"), .fixed(1)])],
        outputs: [ValueInfo(name: "y", elementType: .float32, dimensions: nil)],
        initializers: NamedTensors([
            ("s", Tensor([1] as [Float], shape: [1])), ("b", Tensor([0] as [Float], shape: [1])),
            ("m", Tensor([0] as [Float], shape: [1])), ("v", Tensor([1] as [Float], shape: [1])),
            ("w", Tensor([1, -1] as [Float], shape: [1, 2])),
        ]))
    private let pair = (Tensor([1, 3] as [Float], shape: [2, 1]), Tensor([0, 1] as [Int64], shape: [2]))

    @Test func runningStatisticsFollowOnnxMomentumAndUnbiasedVariance() throws {
        let trainer = try Trainer(normalizing, optimizer: OptimizerSettings(learningRate: 0))
        let logits = try trainer.gradients(pair.0, labels: pair.1).logits
        #expect(abs(logits.floats[2] - 1) < 1e-4)
        #expect(try trainer.parameters() == normalizing.parameterTensors())
        _ = try trainer.step(pair.0, labels: pair.1)
        let after = try trainer.parameters()
        #expect(try abs(after.require("m").floats[0] - 0.2 * 2) < 1e-6)
        #expect(try abs(after.require("v").floats[0] - (0.8 + 0.2 * 2)) < 1e-6)
    }

    @Test func aRefusedBatchLeavesRunningStatisticsAlone() throws {
        let trainer = try Trainer(normalizing, optimizer: OptimizerSettings(learningRate: 0.1))
        #expect(throws: EngineError.notFinite("the training loss")) {
            try trainer.step(Tensor([.nan, 1] as [Float], shape: [2, 1]), labels: pair.1)
        }
        #expect(throws: EngineError.badBatch("label 2 is out of range for 2 classes")) {
            try trainer.step(pair.0, labels: Tensor([0, 2] as [Int64], shape: [2]))
        }
        #expect {
            try trainer.step(Tensor([5] as [Float], shape: [1, 1]), labels: label)
        } throws: { "\($0)".contains("'bn'") && "\($0)".contains("larger batches") }
        #expect(try trainer.parameters() == normalizing.parameterTensors())
        _ = try trainer.step(pair.0, labels: pair.1)
        #expect(try trainer.parameters().require("m").floats[0] > 0.39)
    }

    @Test func maskedWeightsAreZeroFromTheStartToTheByte() throws {
        var bitmap = Bitmap(repeating: true, count: 4)
        bitmap[1] = false
        bitmap[3] = false
        for kind in [OptimizerMethod.sgd, .adamw] {
            let trainer = try Trainer(
                linear, optimizer: OptimizerSettings(kind: kind, learningRate: 0.1, momentum: 0.9, weightDecay: 0.1),
                masks: MaskSet(epoch: 1, bitmaps: ["w": bitmap]))
            // x·(1, 3) with the second column dead: what the first step sees already.
            #expect(try trainer.gradients(input, labels: label).logits.floats == [2.5, 0])
            for _ in 0..<3 { _ = try trainer.step(input, labels: label) }
            let bits = try trainer.parameters().require("w").elements(as: UInt32.self)
            #expect(bits[1] == 0 && bits[3] == 0)
            #expect(bits[0] != 0 && bits[2] != 0)
        }
    }

    @Test func masksThatDoNotFitAreRefused() {
        let masks = MaskSet(epoch: 1, bitmaps: ["w": Bitmap(repeating: true, count: 5)])
        #expect(throws: EngineError.badMask(name: "w", bits: 5, elements: 4)) {
            try Trainer(linear, optimizer: OptimizerSettings(learningRate: 0.1), masks: masks)
        }
    }

    @Test func trainingThroughQuantizationIsRefused() {
        let scale = [("s", Tensor([1] as [Float], shape: []))]
        #expect {
            try Trainer(
                oneNode("QuantizeLinear", input: [1, 2], constants: scale),
                optimizer: OptimizerSettings(learningRate: 0.1))
        } throws: { "\($0)".contains("QuantizeLinear") && "\($0)".contains("float model") }
    }

    @Test func theTeachersLogitsMustFit() throws {
        let trainer = try Trainer(linear, optimizer: OptimizerSettings(learningRate: 0.1))
        let loss = Loss.distillation(temperature: 2, alpha: 0.5)
        #expect {
            try trainer.step(input, labels: label, loss: loss, teacherLogits: Tensor(zeros: [1, 3]))
        } throws: { "\($0)".contains("[1, 3]") && "\($0)".contains("[1, 2]") }
        #expect(throws: EngineError.badBatch("distillation needs the teacher's logits")) {
            try trainer.step(input, labels: label, loss: loss)
        }
    }

    @Test func dropoutRepeatsWithItsSeedOnly() throws {
        var graph = linear
        graph.nodes = [
            Node(name: "drop", operatorType: "Dropout", inputs: ["x"], outputs: ["d"]),
            Node(name: "fc", operatorType: "MatMul", inputs: ["d", "w"], outputs: ["y"]),
        ]
        graph.inputs[0].dimensions = [.fixed(64), .fixed(2)]
        let inputs = Tensor((0..<128).map { Float($0 % 5) }, shape: [64, 2])
        let labels = Tensor((0..<64).map { Int64($0 % 2) }, shape: [64])
        func train(seed: UInt64) throws -> NamedTensors {
            let trainer = try Trainer(graph, optimizer: OptimizerSettings(learningRate: 0.1, momentum: 0.9))
            EngineRuntime.seed(seed)
            for _ in 0..<5 { _ = try trainer.step(inputs, labels: labels) }
            return try trainer.parameters()
        }
        let first = try train(seed: 1)
        #expect(try train(seed: 1) == first)
        #expect(try train(seed: 2) != first)
    }
}
