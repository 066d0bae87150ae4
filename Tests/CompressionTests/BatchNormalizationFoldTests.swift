import Engine
import Foundation
import ModelGraph
import Tensors
import Testing

@testable import Compression

/// Folding BatchNormalization and computing must agree: checked by running both graphs.
struct BatchNormalizationFoldTests {
    /// Models beside the checkout (or beside the data that `PLEACH_DATA` names); what is there is optional.
    private static let models: String = {
        if let data = ProcessInfo.processInfo.environment["PLEACH_DATA"] { return data + "/../models" }
        return URL(fileURLWithPath: #filePath).resolvingSymlinksInPath().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("../shared/models").path
    }()

    private func inputs(_ shape: [Int], seed: UInt64) throws -> Tensor {
        var random = SeededGenerator(seed: seed)
        let shape = try Shape(shape)
        return Tensor((0..<shape.elementCount).map { _ in 2 * random.uniform() - 1 }, shape: shape)
    }

    /// Running statistics and affine parameters as training leaves them, which a new model's (0 and 1) are not.
    private func withTrainedStatistics(_ graph: Graph) throws -> Graph {
        var random = SeededGenerator(seed: 21)
        var parameters = graph.parameterTensors()
        let norms = graph.nodes.filter { $0.operatorType == "BatchNormalization" }
        #expect(!norms.isEmpty)
        for norm in norms {
            for (position, range) in [(1, 0.5...1.5), (2, -0.5...0.5), (3, -0.3...0.3), (4, 0.2...3.0)] {
                let count = try parameters.require(norm.inputs[position]).elementCount
                let width = range.upperBound - range.lowerBound
                let values = (0..<count).map { _ in Float(range.lowerBound + width * Double(random.uniform())) }
                parameters[norm.inputs[position]] = Tensor(values, shape: try Shape([count]))
            }
        }
        return try graph.replacingParameters(parameters)
    }

    private func expectEqual(_ graph: Graph, _ input: Tensor) throws {
        let folded = graph.foldingBatchNormalization()
        #expect(!folded.nodes.contains { $0.operatorType == "BatchNormalization" })
        let expected = try Executable(graph).logits(input).floats
        let found = try Executable(folded).logits(input).floats
        let largest = expected.map(abs).max() ?? 0
        #expect(largest > 0 && expected.count == found.count)
        for (a, b) in zip(expected, found) { #expect(abs(a - b) <= 1e-4 * largest) }
    }

    private func resnet() throws -> Graph {
        try withTrainedStatistics(
            ModelBuilder.build(architecture: "resnet20", inputShape: [3, 32, 32], classes: 10, width: 4, seed: 20))
    }

    @Test func aResidualNetworkComputesTheSame() throws {
        try expectEqual(resnet(), inputs([4, 3, 32, 32], seed: 22))
    }

    @Test(
        .enabled(if: FileManager.default.fileExists(atPath: models), "../shared/models is not there"),
        arguments: [("teacher-cifar10", [8, 3, 32, 32]), ("teacher-mnist", [8, 1, 28, 28])])
    func trainedModelsComputeTheSame(name: String, shape: [Int]) throws {
        try expectEqual(Graph.load(path: "\(Self.models)/\(name).onnx"), inputs(shape, seed: 23))
    }

    /// Dead weights are still exactly 0 in the folded and in the quantized model.
    @Test func prunedWeightsStayZeroInTheCompactModel() throws {
        let graph = try resnet()
        var weights = graph.parameterTensors()
        let prunable = NamedTensors(graph.prunableNames.compactMap { name in weights[name].map { (name, $0) } })
        let masks = try MaskRanking.decide(
            scores: Importance(weights: prunable, criterion: .l1).ofWeights(), sparsity: 0.8, previous: MaskSet())
        #expect(abs(masks.sparsity(over: prunable) - 0.8) < 1e-3)
        masks.apply(to: &weights)
        let pruned = try graph.replacingParameters(weights)
        let calibrator = try Calibrator(pruned)
        try calibrator.add(inputs([4, 3, 32, 32], seed: 25))
        let compact = try ModelQuantizer(pruned, settings: QuantizationSettings(calibration: .percentile(99.99)))
            .quantize(QuantizationEvidence(calibration: calibrator.result)).graph
        var zeros = 0
        for (_, tensor) in compact.initializers.ordered where tensor.elementType == .int8 {
            if tensor.shape.rank >= 2 { zeros += tensor.elements(as: Int8.self).count { $0 == 0 } }
        }
        let dead = prunable.elementCount - masks.bitmaps.values.reduce(0) { $0 + $1.populationCount }
        #expect(zeros >= dead)
    }
}
