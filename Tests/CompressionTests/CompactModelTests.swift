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

@Test func theCompactModelComputesNearlyTheSameAndIsDeterministic() throws {
    let graph = try ModelBuilder.build(architecture: "cnn", inputShape: nil, classes: nil, width: 4, seed: 3)
    let batch = inputs(16)
    let calibrator = try Calibrator(graph)
    try calibrator.add(batch)
    func compact() throws -> Graph {
        try CompactModel.quantized(graph: graph, calibration: calibrator.result, method: .minMax, opset: 17)
    }
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
        try CompactModel.quantized(graph: graph, calibration: empty, method: .minMax, opset: 17)
    }
}

/// w·g by hand: one layer y = w·x, loss = cross-entropy of two logits.
@Test func taylorScoresAreWeightsTimesMeanGradients() throws {
    let graph = try ModelBuilder.build(architecture: "mlp", inputShape: [4], classes: 2, width: 3, seed: 3)
    var scorer = try TaylorScorer(graph, masks: MaskSet())
    let first = Tensor([1, 2, 3, 4, 5, 6, 7, 8] as [Float], shape: [2, 4])
    let second = Tensor([0.5, -1, 2, 1] as [Float], shape: [1, 4])
    try scorer.add(first, labels: Tensor([0, 1] as [Int64], shape: [2]))
    try scorer.add(second, labels: Tensor([1] as [Int64], shape: [1]))
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

@Test func teacherLogitsAreTheTeachersAndAreKept() throws {
    let graph = try ModelBuilder.build(architecture: "cnn", inputShape: nil, classes: nil, width: 2, seed: 3)
    let dataset = try Dataset.load(DataSpec(parsing: "synthetic:digits?samples=20", environment: [:]))
    let cache = TeacherCache(teacher: try Executable(graph), dataset: dataset)
    let direct = try Executable(graph).logits(dataset.batch([3, 7, 3]).inputs)
    for _ in 0..<2 {
        let cached = try cache.logits(for: [3, 7, 3])
        for (a, b) in zip(cached.floats, direct.floats) { #expect(abs(a - b) < 1e-5) }
    }
}
