import ModelGraph
import Tensors
import Testing

@testable import Engine

/// A graph whose only parameter is added to zeros, so that its output is the parameter and the parameter's gradient the
/// loss's.
func logitsGraph(_ values: Tensor) -> Graph {
    oneNode("Add", input: values.shape.dimensions, constants: [("z", values)])
}

/// The reference script's values: (i * step mod 13 - 6) / 8.
func grid(_ shape: Shape, _ step: Int) -> Tensor {
    Tensor((0..<shape.elementCount).map { Float(($0 * step) % 13 - 6) / 8 }, shape: shape)
}

/// Losses and their gradients: against PyTorch's numbers and against differences.
struct TrainingLossTests {
    static let mixed = Tensor([0.25, 0.75, 0, 0, 0, 0, 1, 0, 0.5, 0, 0, 0.5] as [Float], shape: [3, 4])
    static let labels = Tensor([1, 3, 0] as [Int64], shape: [3])
    static let following = Tensor([4, -100, 2, 0, 1, -100] as [Int64], shape: [2, 3])

    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let loss: Loss
        let logits: Tensor
        let targets: Tensor
        var teacher: Tensor?
        /// The loss, then its gradient.
        let expected: [Double]
        let counted: Int
    }

    static let cases: [Case] = {
        typealias Values = TrainingReference
        let (z, t) = (grid([3, 4], 5), grid([3, 4], 3))
        let maps = Tensor([0, 1, 2, 0, 1, 1, 255, 2] as [Int64], shape: [2, 2, 2])
        let gap = Tensor([1, -100, 0] as [Int64], shape: [3])
        let tokens = grid([2, 3, 5], 4)
        func make(
            _ name: String, _ loss: Loss, _ logits: Tensor, _ targets: Tensor, _ expected: [Double], _ counted: Int,
            teacher: Tensor? = nil
        ) -> Case {
            Case(
                testDescription: name, loss: loss, logits: logits, targets: targets, teacher: teacher,
                expected: expected, counted: counted)
        }
        return [
            make("cross-entropy", .crossEntropy, z, labels, Values.crossEntropy, 3),
            make("smoothed", .crossEntropy(labelSmoothing: 0.1), z, labels, Values.smoothed, 3),
            make("ignoring", .crossEntropy, z, gap, Values.ignoring, 2),
            make(
                "smoothed, ignoring a class", .crossEntropy(labelSmoothing: 0.2, ignoreIndex: 3), z, labels,
                Values.smoothedIgnoring, 2),
            make("mixed", .crossEntropy, z, mixed, Values.mixed, 3),
            make("mixed, smoothed", .crossEntropy(labelSmoothing: 0.1), z, mixed, Values.mixedSmoothed, 3),
            make("per pixel", .crossEntropy(ignoreIndex: 255), grid([2, 3, 2, 2], 7), maps, Values.perPixel, 7),
            make("next token", .nextToken(), tokens, following, Values.tokens, 4),
            make("masked token", .maskedToken(), tokens, following, Values.tokens, 4),
            make("divergence", .klDivergence(temperature: 3), z, t, Values.klDivergence, 3),
            make("distilled", .distillation(temperature: 2, alpha: 0.7), z, labels, Values.distilled, 3, teacher: t),
            make(
                "distilled tokens", .distillation(temperature: 2, alpha: 0.4, hard: .nextToken()), tokens, following,
                Values.distilledTokens, 4, teacher: grid([2, 3, 5], 9)),
            make("squared", .meanSquaredError, z, t, Values.squared, 3),
            make("binary", .binaryCrossEntropyWithLogits, z, mixed, Values.binary, 12),
            make("cosine", .cosine, z, t, Values.cosine, 3),
        ]
    }()

    private func trainer(_ logits: Tensor) throws -> Trainer {
        try Trainer(logitsGraph(logits), optimizer: OptimizerSettings(learningRate: 0))
    }

    @Test(arguments: cases) func valueAndGradientArePyTorchs(example: Case) throws {
        let batch = Batch(Tensor(zeros: example.logits.shape), targets: example.targets)
        let found = try trainer(example.logits).gradients(batch, loss: example.loss, teacherLogits: example.teacher)
        #expect(abs(found.result.loss - example.expected[0]) < 2e-6)
        #expect(found.result.targets == example.counted)
        #expect(found.result.samples == example.logits.shape[0])
        let gradient = try found.gradients.require("z").floats
        try #require(gradient.count == example.expected.count - 1)
        for (found, expected) in zip(gradient, example.expected.dropFirst()) {
            #expect(abs(Double(found) - expected) < 1e-6)
        }
        guard example.teacher == nil else { return }
        let evaluation = try Executable(logitsGraph(example.logits)).evaluate(batch, loss: example.loss)
        #expect(abs(try #require(evaluation.loss) - example.expected[0]) < 2e-6)
        #expect(evaluation.correct == found.result.correct && evaluation.targets == example.counted)
    }

    @Test(arguments: cases) func gradientIsTheSlopeOfTheLoss(example: Case) throws {
        let batch = Batch(Tensor(zeros: example.logits.shape), targets: example.targets)
        func loss(_ values: [Float]) throws -> Double {
            try trainer(Tensor(values, shape: example.logits.shape)).gradients(
                batch, loss: example.loss, teacherLogits: example.teacher
            ).result.loss
        }
        let values = example.logits.floats
        let found = try trainer(example.logits).gradients(batch, loss: example.loss, teacherLogits: example.teacher)
        let gradient = try found.gradients.require("z").floats
        for index in stride(from: 0, to: values.count, by: 5) {
            var (low, high) = (values, values)
            low[index] -= 1 / 64
            high[index] += 1 / 64
            let slope = try (loss(high) - loss(low)) * 32
            #expect(abs(slope - Double(gradient[index])) < 2e-3)
        }
    }

    @Test func correctCountsWhatTheLargestLogitNames() throws {
        func correct(_ logits: [Float], _ shape: Shape, _ targets: Tensor, _ loss: Loss) throws -> Int {
            let batch = Batch(Tensor(zeros: shape), targets: targets)
            return try trainer(Tensor(logits, shape: shape)).gradients(batch, loss: loss).result.correct
        }
        let logits: [Float] = [0, 1, 2, 5, 1, 0, 0, 3, 1]
        let labels = Tensor([2, 0, 0] as [Int64], shape: [3])
        #expect(try correct(logits, [3, 3], labels, .crossEntropy) == 2)
        // A class that is ignored is never right.
        #expect(try correct(logits, [3, 3], labels, .crossEntropy(ignoreIndex: 0)) == 1)
        let soft = Tensor([0.1, 0.2, 0.7, 1, 0, 0, 0.5, 0.4, 0.1] as [Float], shape: [3, 3])
        #expect(try correct(logits, [3, 3], soft, .crossEntropy) == 2)
        let tokens = Tensor([2, -100, 1] as [Int64], shape: [1, 3])
        #expect(try correct(logits, [1, 3, 3], tokens, .maskedToken()) == 2)
        // Classes lie along axis 1: columns (0, 5, 0), (1, 1, 3), (2, 0, 1).
        #expect(try correct(logits, [1, 3, 3], Tensor([1, 2, 2] as [Int64], shape: [1, 3]), .crossEntropy) == 2)
        let sides = Tensor([0, 1, 0, 1] as [Float], shape: [4, 1])
        #expect(try correct([-1, 2, 3, 0.5], [4, 1], sides, .binaryCrossEntropyWithLogits) == 3)
        #expect(try correct([-1, 2, 3, 0.5], [4, 1], sides, .meanSquaredError) == 0)
    }

    @Test func aBatchWithoutCountedTargetsChangesNothing() throws {
        let none = Batch(Tensor(zeros: [2, 3, 5]), targets: Tensor([Int64](repeating: -100, count: 6), shape: [2, 3]))
        let trainer = try trainer(grid([2, 3, 5], 4))
        for loss in [Loss.maskedToken(), .crossEntropy(labelSmoothing: 0.1)] {
            let batch = loss == .maskedToken() ? none : Batch(none.inputs.ordered[0].1, targets: transposed)
            let found = try trainer.gradients(batch, loss: loss)
            #expect(found.result.loss == 0 && found.result.targets == 0 && found.result.correct == 0)
            #expect(try found.gradients.require("z").floats.allSatisfy { $0 == 0 })
        }
        let evaluation = try Executable(logitsGraph(grid([2, 3, 5], 4))).evaluate(none, loss: .nextToken())
        #expect(evaluation.targets == 0 && evaluation.loss == nil && evaluation.lossSum == 0)
    }

    /// Nothing counted for classes along axis 1.
    private let transposed = Tensor([Int64](repeating: -100, count: 10), shape: [2, 5])

    @Test func sumsFoldOverBatchesOfDifferentCounts() throws {
        let executable = try Executable(logitsGraph(grid([2, 3, 5], 4)))
        var total = Evaluation()
        var (lossSum, targets) = (0.0, 0)
        for labels in [[4, -100, 2, 0, 1, -100], [-100, -100, -100, 3, -100, -100]] as [[Int64]] {
            let part = try executable.evaluate(
                Batch(Tensor(zeros: [2, 3, 5]), targets: Tensor(labels, shape: [2, 3])), loss: .nextToken())
            total += part
            lossSum += part.lossSum
            targets += part.targets
        }
        #expect(targets == 5 && total.targets == 5 && total.samples == 4)
        #expect(total.loss == lossSum / 5)
    }

    @Test func targetsThatDoNotFitAreRefused() throws {
        let trainer = try trainer(grid([3, 4], 5))
        let x = Tensor(zeros: [3, 4])
        func refusal(_ targets: Tensor, _ loss: Loss, teacher: Tensor? = nil) -> String {
            do {
                _ = try trainer.step(Batch(x, targets: targets), loss: loss, teacherLogits: teacher)
                return "taken"
            } catch { return "\(error)" }
        }
        let labels = Self.labels
        #expect(
            refusal(Tensor([1, 4, 0] as [Int64], shape: [3]), .crossEntropy) == "label 4 is out of range for 4 classes")
        #expect(refusal(Tensor([1, -1, 0] as [Int64], shape: [3]), .crossEntropy).contains("label -1"))
        #expect(
            refusal(Tensor([1, -100, 0] as [Int64], shape: [3]), .crossEntropy(ignoreIndex: nil)).contains("label -100")
        )
        #expect(refusal(Tensor([1, 0] as [Int64], shape: [2]), .crossEntropy).contains("[2]"))
        #expect(refusal(labels, .meanSquaredError).contains("int64"))
        #expect(refusal(Tensor(zeros: [3, 5]), .binaryCrossEntropyWithLogits).contains("[3, 5]"))
        #expect(refusal(Tensor(zeros: [3, 5]), .crossEntropy).contains("[3, 5]"))
        #expect(refusal(labels, .klDivergence(temperature: 0)).contains("temperature"))
        #expect(refusal(labels, .crossEntropy(labelSmoothing: 1)).contains("smoothing"))
        #expect(refusal(labels, .distillation(temperature: 2, alpha: 1.5), teacher: x).contains("alpha"))
        #expect(refusal(x, .distillation(temperature: 2, alpha: 0.5, hard: .cosine), teacher: x).contains("teacher"))
        #expect(refusal(labels, .distillation(temperature: 2, alpha: 0.5)).contains("needs the teacher's logits"))
        #expect(try trainer.parameters().require("z") == grid([3, 4], 5))
    }
}
