import Foundation
import ModelGraph
import Tensors
import Testing

@testable import Engine

/// Sliced models must compute what masked ones compute: the constants of dead channels stand in the biases behind.
@Suite struct ChannelSlicingTests {
    /// The graph with values for every trainable tensor and statistic that leave nothing at 0 or 1.
    private func randomized(_ graph: Graph, seed: UInt64) throws -> Graph {
        var generator = SeededGenerator(seed: seed)
        var values = NamedTensors()
        let variances = Set(graph.batchStatistics.map(\.variance))
        for parameter in graph.parameters {
            guard let tensor = graph.initializers[parameter.name] else { continue }
            let isVariance = variances.contains(parameter.name)
            let floats = tensor.floats.map { value in
                isVariance ? 0.5 + generator.uniform() : value + (generator.uniform() - 0.5) * 0.4
            }
            values[parameter.name] =
                parameter.shape.rank == 1 ? Tensor(floats, shape: parameter.shape) : tensor
        }
        return try graph.replacingParameters(values)
    }

    /// Random channels to keep: each with probability `share`, at least one of a group.
    private func randomKept(_ groups: ChannelGroups, share: Float, seed: UInt64) -> [String: [Int]] {
        var generator = SeededGenerator(seed: seed)
        var kept: [String: [Int]] = [:]
        for group in groups.groups {
            let stays = (0..<group.channels).filter { _ in generator.uniform() < share }
            kept[group.name] = stays.isEmpty ? [generator.index(below: group.channels)] : stays
        }
        return kept
    }

    private func input(_ graph: Graph, seed: UInt64, vocabulary: Int = 1) throws -> Tensor {
        let info = try #require(graph.inputs.first)
        let extents = (info.dimensions ?? []).map { if case .fixed(let extent) = $0 { extent } else { 3 } }
        let shape = try Shape(extents)
        var generator = SeededGenerator(seed: seed)
        if info.elementType == .int64 {
            return Tensor((0..<shape.elementCount).map { _ in Int64(generator.index(below: vocabulary)) }, shape: shape)
        }
        return Tensor((0..<shape.elementCount).map { _ in generator.uniform() * 2 - 1 }, shape: shape)
    }

    /// Largest difference of the logits over the largest logit, and the notes.
    private func compare(
        _ graph: Graph, share: Float = 0.5, seed: UInt64, only: (ChannelGroup) -> Bool = { _ in true }
    ) throws -> (difference: Double, notes: [PruningNote]) {
        let groups = try graph.channelGroups()
        #expect(!groups.groups.isEmpty)
        var kept = randomKept(groups, share: share, seed: seed)
        for group in groups.groups where !only(group) { kept[group.name] = nil }
        let pruned = try graph.keeping(kept, of: groups)
        #expect(pruned.graph.initializers.elementCount < graph.initializers.elementCount)
        let x = try input(graph, seed: seed, vocabulary: 16)
        let masked = try Executable(try graph.masking(kept, of: groups)).logits(x)
        let sliced = try Executable(pruned.graph).logits(x)
        return (Parity.relativeError(sliced, masked), pruned.notes)
    }

    @Test(arguments: ["mlp", "cnn", "resnet18", "resnet20", "mobilenetv2"], [UInt64(1), 2])
    func architectureSlicesAsItMasks(name: String, seed: UInt64) throws {
        let shape = name == "mlp" ? [20] : name == "cnn" ? [1, 8, 8] : [3, 16, 16]
        let graph = try randomized(
            try ModelBuilder.build(architecture: name, inputShape: shape, width: 16, seed: seed), seed: seed)
        let (difference, notes) = try compare(graph, seed: seed)
        if !notes.contains(where: { $0.reason == .border }) { #expect(difference < 1e-4) }
        #expect(notes.allSatisfy { $0.reason == .border }, "\(notes)")
        #expect(difference < 0.5)
    }
}
