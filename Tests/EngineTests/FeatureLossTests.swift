import ModelGraph
import Tensors
import Testing

@testable import Engine

/// Losses between values inside two networks: against PyTorch's numbers and against differences.
struct FeatureLossTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let measure: FeatureSignal.Measure
        let student: Shape
        let teacher: Shape
        /// The loss, its gradient by z, and that by the projector.
        let expected: [Double]
        var projector: Shape?

        var isMatrix: Bool { measure == .attentionMatrices || measure == .attentionDivergence }
    }

    static let cases: [Case] = {
        typealias Values = FeatureReference
        func make(
            _ name: String, _ measure: FeatureSignal.Measure, _ student: Shape, _ teacher: Shape, _ expected: [Double],
            _ projector: Shape? = nil
        ) -> Case {
            Case(
                testDescription: name, measure: measure, student: student, teacher: teacher, expected: expected,
                projector: projector)
        }
        return [
            make("planes", .hiddenStates, [2, 3, 4, 4], [2, 3, 4, 4], Values.planes),
            make("projected", .hiddenStates, [2, 3, 4, 4], [2, 5, 4, 4], Values.projectedPlanes, [5, 3]),
            make("resized", .hiddenStates, [2, 3, 6, 3], [2, 5, 4, 5], Values.resizedPlanes, [5, 3]),
            make("sequences", .hiddenStates, [2, 4, 3], [2, 4, 5], Values.projectedSequences, [5, 3]),
            make("rows", .hiddenStates, [4, 5], [4, 3], Values.projectedRows, [3, 5]),
            make("maps", .attentionMaps, [2, 3, 4, 4], [2, 5, 4, 4], Values.maps),
            make("resized maps", .attentionMaps, [2, 3, 6, 3], [2, 5, 4, 5], Values.resizedMaps),
            make("matrices", .attentionMatrices, [2, 2, 3, 3], [2, 2, 3, 3], Values.matrices),
            make("divergence", .attentionDivergence, [2, 2, 3, 3], [2, 2, 3, 3], Values.divergence),
        ]
    }()

    /// softmax of the reference script's values, without those that are -0.75.
    private func shares(_ shape: Shape) throws -> Tensor {
        let hidden = grid(shape, 3).floats.map { $0 == -0.75 ? -Float.infinity : $0 }
        return try apply("Softmax", [Tensor(hidden, shape: shape)], attributes: ["axis": .int(-1)])[0]
    }

    @Test(arguments: cases, [1, 2.5]) func valueAndGradientsArePyTorchs(example: Case, weight: Double) throws {
        let z = grid(example.student, 5)
        let student = valueGraph(z, softmax: example.isMatrix)
        var projectors = NamedTensors()
        if let shape = example.projector { projectors[ht.projectorName] = grid(shape, 7) }
        let matching = try FeatureMatching(
            [FeatureSignal(example.measure, ht, weight: weight)], student: student,
            teacher: teacherGraph(example.teacher), seed: 1, projectors: projectors)
        #expect(matching.projectors == projectors)
        let trainer = try Trainer(student, optimizer: OptimizerSettings(learningRate: 0), features: matching)
        let teacher = example.isMatrix ? try shares(example.teacher) : grid(example.teacher, 3)
        let found = try trainer.gradients(
            zeroLoss(example.student), loss: .meanSquaredError, teacherFeatures: NamedTensors([("t", teacher)]))
        try expect(found, keys: ["z"] + projectors.names, example.expected, weight: weight)
    }

    /// Logits, hidden states through a projector, and attention maps in one step.
    @Test func aWholeStudentsGradientsArePyTorchs() throws {
        let student = smallNetwork(kernel: grid([3, 2, 3, 3], 5), dense: grid([4, 3], 4), size: 6)
        let projectors = NamedTensors([(ht.projectorName, grid([5, 3], 7))])
        let matching = try FeatureMatching(
            [FeatureSignal(.hiddenStates, ht, weight: 0.5), FeatureSignal(.attentionMaps, ht, weight: 8)],
            student: student, teacher: teacherGraph([2, 5, 4, 4]), seed: 1, projectors: projectors)
        let trainer = try Trainer(student, optimizer: OptimizerSettings(learningRate: 0), features: matching)
        let found = try trainer.gradients(
            grid([2, 2, 6, 6], 9), labels: Tensor([1, 3] as [Int64], shape: [2]),
            loss: .distillation(temperature: 2, alpha: 0.7), teacherLogits: grid([2, 4], 3),
            teacherFeatures: NamedTensors([("t", grid([2, 5, 4, 4], 3))]))
        try expect(found, keys: ["kernel", "dense", ht.projectorName], FeatureReference.combined, weight: 1)
    }

    private func expect(
        _ found: (result: StepResult, logits: Tensor, gradients: NamedTensors), keys: [String], _ expected: [Double],
        weight: Double
    ) throws {
        #expect(abs(found.result.loss - weight * expected[0]) < 2e-6 * max(1, weight * expected[0]))
        let gradients = try keys.flatMap { try found.gradients.require($0).floats }
        try #require(gradients.count == expected.count - 1)
        for (found, expected) in zip(gradients, expected.dropFirst()) {
            #expect(abs(Double(found) - weight * expected) < 1e-6 * max(1, weight * abs(expected)))
        }
    }

    /// The slope along a random direction through every parameter and projector.
    @Test(arguments: FeatureSignal.Measure.allCases, 0..<4 as Range<UInt64>)
    func gradientsMatchFiniteDifferences(measure: FeatureSignal.Measure, seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed, labels: measure.rawValue)
        let isMatrix = measure == .attentionMatrices || measure == .attentionDivergence
        let (studentShape, teacherShape): (Shape, Shape) =
            isMatrix ? ([2, 2, 4, 4], [2, 2, 4, 4]) : ([2, 3, 5, 5], [2, 4, 3, 6])
        let targets = Tensor([0, 2] as [Int64], shape: [2])
        let input = noise(isMatrix ? studentShape : [2, 2, 5, 5], &generator)
        let start =
            isMatrix
            ? NamedTensors([("z", noise(studentShape, &generator))])
            : NamedTensors([
                ("kernel", noise([3, 2, 3, 3], &generator)), ("dense", noise([3, 3], &generator)),
            ])
        var teacher = noise(teacherShape, &generator)
        if isMatrix { teacher = try apply("Softmax", [teacher], attributes: ["axis": .int(-1)])[0] }
        func student(_ parameters: NamedTensors) throws -> Graph {
            isMatrix
                ? valueGraph(try parameters.require("z"), softmax: true)
                : smallNetwork(
                    kernel: try parameters.require("kernel"), dense: try parameters.require("dense"), size: 5)
        }
        let signals = [FeatureSignal(measure, ht, weight: 1.5)]
        let projectors = try FeatureMatching(
            signals, student: student(start), teacher: teacherGraph(teacherShape), seed: seed
        ).projectors
        #expect(projectors.count == (measure == .hiddenStates ? 1 : 0))
        func run(_ parameters: NamedTensors) throws -> (loss: Double, gradients: NamedTensors) {
            let graph = try student(parameters)
            let matching = try FeatureMatching(
                signals, student: graph, teacher: teacherGraph(teacherShape), seed: seed,
                projectors: NamedTensors(parameters.ordered.filter { projectors[$0.name] != nil }))
            let trainer = try Trainer(graph, optimizer: OptimizerSettings(learningRate: 0), features: matching)
            let batch = isMatrix ? zeroLoss(studentShape) : Batch(input, targets: targets)
            let found = try trainer.gradients(
                batch, loss: isMatrix ? .meanSquaredError : .crossEntropy,
                teacherFeatures: NamedTensors([("t", teacher)]))
            return (found.result.loss, found.gradients)
        }
        let all = NamedTensors(start.ordered + projectors.ordered)
        let gradients = try run(all).gradients
        var direction = NamedTensors()
        for (name, tensor) in all.ordered { direction[name] = noise(tensor.shape, &generator) }
        func moved(_ step: Float) throws -> NamedTensors {
            NamedTensors(
                try all.ordered.map { name, tensor in
                    let way = try direction.require(name).floats
                    return (name, Tensor(zip(tensor.floats, way).map { $0 + step * $1 }, shape: tensor.shape))
                })
        }
        let step: Float = 4e-3
        let expected = (try run(moved(step)).loss - run(moved(-step)).loss) / Double(2 * step)
        var found = 0.0
        for (name, gradient) in gradients.ordered {
            for (a, b) in zip(gradient.floats, try direction.require(name).floats) { found += Double(a) * Double(b) }
        }
        #expect(abs(found - expected) < 1e-3 * max(1, abs(expected)), "\(found) instead of \(expected)")
    }
}
