import Engine
import ModelGraph
import Tensors
import Testing

@testable import Compression

private func inputs(_ count: Int) -> Tensor {
    var random = SeededGenerator(seed: 1)
    let values = (0..<count * 784).map { _ in random.uniform() }
    return Tensor(values, shape: (try? Shape([count, 1, 28, 28])) ?? [0])
}

/// int8 for x86, from histograms alone.
private func quantized(_ graph: Graph, _ calibration: CalibrationSet) throws -> Graph {
    try ModelQuantizer(graph, settings: QuantizationSettings(calibration: .minMax, opset: 17))
        .quantize(QuantizationEvidence(calibration: calibration)).graph
}

@Test func theCompactModelComputesNearlyTheSameAndIsDeterministic() throws {
    let graph = try ModelBuilder.build(architecture: "cnn", inputShape: nil, classes: nil, width: 4, seed: 3)
    let batch = inputs(16)
    let calibrator = try Calibrator(graph)
    try calibrator.add(batch)
    func compact() throws -> Graph { try quantized(graph, calibrator.result) }
    let bytes = try compact().serialized()
    #expect(try compact().serialized() == bytes)
    #expect(Double(bytes.count) < 0.35 * Double(graph.serialized().count))
    let expected = try Executable(graph).logits(batch).floats
    let found = try Executable(Graph.load(bytes, path: "compact")).logits(batch).floats
    let largest = expected.map(abs).max() ?? 0
    let difference = zip(expected, found).map { abs($0 - $1) }.max() ?? 1
    #expect(difference < 0.1 * largest)
    #expect(difference > 0, "int8 is not float32: something was not quantized")
}

@Test func aTensorWithoutSamplesIsNamed() throws {
    let graph = try ModelBuilder.build(architecture: "mlp", inputShape: [4], classes: 2, width: 3, seed: 3)
    let empty = CalibrationSet(names: graph.foldingBatchNormalization().quantizationPoints())
    #expect(throws: CompressionError.self) {
        try quantized(graph, empty)
    }
}

/// w·g by hand: one layer y = w·x, loss = cross-entropy of two logits.
@Test func taylorScoresAreWeightsTimesMeanGradients() throws {
    let graph = try ModelBuilder.build(architecture: "mlp", inputShape: [4], classes: 2, width: 3, seed: 3)
    var scorer = try Scorer(graph, masks: MaskSet(), statistic: .weightGradient, onlyPrunable: true)
    let first = Tensor([1, 2, 3, 4, 5, 6, 7, 8] as [Float], shape: [2, 4])
    let second = Tensor([0.5, -1, 2, 1] as [Float], shape: [1, 4])
    try scorer.add(Batch(first, targets: Tensor([0, 1] as [Int64], shape: [2])), loss: .crossEntropy)
    try scorer.add(Batch(second, targets: Tensor([1] as [Int64], shape: [1])), loss: .crossEntropy)
    let scores = try scorer.scores()
    let trainer = try Trainer(graph, optimizer: OptimizerSettings(learningRate: 0))
    let both = Tensor(first.floats + second.floats, shape: [3, 4])
    let gradients = try trainer.gradients(both, labels: Tensor([0, 1, 1] as [Int64], shape: [3]), training: false)
        .gradients
    for (name, score) in scores.ordered {
        let weights = try graph.parameterTensors().require(name).floats
        let expected = zip(weights, try gradients.require(name).floats).map { $0 * $1 }
        for (found, wanted) in zip(score.floats, expected) { #expect(abs(found - wanted) < 1e-5) }
    }
    #expect(scores.names == graph.prunableNames)
}

@Test func deadWeightsScoreZeroWhateverTheGraphHolds() throws {
    let graph = try ModelBuilder.build(architecture: "mlp", inputShape: [4], classes: 2, width: 3, seed: 3)
    let name = try #require(graph.prunableNames.first)
    let count = try graph.parameterTensors().require(name).elementCount
    var alive = Bitmap(repeating: true, count: count)
    for index in stride(from: 0, to: count, by: 2) { alive[index] = false }
    var scorer = try Scorer(
        graph, masks: MaskSet(epoch: 1, bitmaps: [name: alive]), statistic: .weightGradient, onlyPrunable: true)
    try scorer.add(
        Batch(Tensor([1, 2, 3, 4] as [Float], shape: [1, 4]), targets: Tensor([1] as [Int64], shape: [1])),
        loss: .crossEntropy)
    let scores = try scorer.scores().require(name).floats
    for index in 0..<count where !alive[index] { #expect(scores[index] == 0) }
    #expect(scores.contains { $0 != 0 })
}

@Test func weightsThatAreNotFiniteAreNamed() throws {
    var graph = try ModelBuilder.build(architecture: "mlp", inputShape: [4], classes: 2, width: 3, seed: 3)
    let calibrator = try Calibrator(graph)
    try calibrator.add(Tensor([1, 2, 3, 4] as [Float], shape: [1, 4]))
    let name = try #require(graph.prunableNames.last)
    graph.initializers.modify(name) { tensor in
        tensor.withMutableElements(as: Float.self) { $0[0] = .nan }
    }
    #expect {
        try quantized(graph, calibrator.result)
    } throws: { error in
        if case CompressionError.weightsNotFinite = error { true } else { false }
    }
}

@Test func teacherLogitsAreTheTeachersAndTheSameBitsInAnyOrderOfAsking() throws {
    let graph = try ModelBuilder.build(architecture: "cnn", inputShape: nil, classes: nil, width: 2, seed: 3)
    let dataset = try Dataset.load(DataSpec(parsing: "synthetic:digits?samples=37", environment: [:]))
    let teacher = try Executable(graph)
    let cache = TeacherCache(teacher: teacher, dataset: dataset)
    let direct = try teacher.logits(dataset.batch([3, 36, 3]).inputs)
    for _ in 0..<2 {
        let cached = try cache.logits(for: [3, 36, 3])
        for (a, b) in zip(cached.floats, direct.floats) { #expect(abs(a - b) < 1e-5) }
    }
    var random = SeededGenerator(seed: 12)
    let expected = try TeacherCache(teacher: teacher, dataset: dataset).logits(for: Array(0..<37)).floats
    for size in [1, 5, 37] {
        let order = Array(0..<37).shuffled(using: &random)
        let again = TeacherCache(teacher: teacher, dataset: dataset)
        for start in stride(from: 0, to: 37, by: size) {
            let indices = Array(order[start..<min(37, start + size)])
            let found = try again.logits(for: indices).floats
            #expect(found == indices.flatMap { expected[$0 * 10..<($0 + 1) * 10] })
        }
    }
}

@Test func aTeacherWithoutARowOfLogitsForEachSampleIsRefused() throws {
    let dataset = try Dataset.load(DataSpec(parsing: "synthetic:digits?samples=5", environment: [:]))
    func cache(_ operatorType: String) throws -> TeacherCache {
        let graph = Graph(
            name: "teacher", nodes: [Node(name: "n", operatorType: operatorType, inputs: ["x"], outputs: ["y"])],
            inputs: [
                ValueInfo(
                    name: "x", elementType: .float32, dimensions: [.symbolic("n"), .fixed(1), .fixed(28), .fixed(28)])
            ], outputs: [ValueInfo(name: "y", elementType: .float32, dimensions: nil)],
            initializers: NamedTensors(), opset: 17)
        return TeacherCache(teacher: try Executable(graph), dataset: dataset)
    }
    #expect(try cache("Flatten").logits(for: [0, 3]).shape == [2, 784])
    #expect(throws: CompressionError.unusableTeacher(elementType: .float32, shape: [5, 1, 28, 28], samples: 5)) {
        try cache("Relu").logits(for: [0])
    }
}

@Test func labelsThatAreNotCountedDoNotScore() throws {
    let graph = try ModelBuilder.build(architecture: "mlp", inputShape: [4], classes: 2, width: 3, seed: 3)
    let inputs = Tensor([1, 2, 3, 4, 5, 6, 7, 8] as [Float], shape: [2, 4])
    var scorer = try Scorer(graph, masks: MaskSet(), statistic: .weightGradient, onlyPrunable: true)
    try scorer.add(Batch(inputs, targets: Tensor([1, -100] as [Int64], shape: [2])), loss: .crossEntropy)
    try scorer.add(Batch(inputs, targets: Tensor([-100, -100] as [Int64], shape: [2])), loss: .crossEntropy)
    var alone = try Scorer(graph, masks: MaskSet(), statistic: .weightGradient, onlyPrunable: true)
    try alone.add(
        Batch(Tensor([1, 2, 3, 4] as [Float], shape: [1, 4]), targets: Tensor([1] as [Int64], shape: [1])),
        loss: .crossEntropy)
    for (found, wanted) in zip(try scorer.scores().ordered, try alone.scores().ordered) {
        for (a, b) in zip(found.tensor.floats, wanted.tensor.floats) { #expect(abs(a - b) < 1e-6) }
    }
}
