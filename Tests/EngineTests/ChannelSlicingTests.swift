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

    /// Shifts of normalisations up to `largest`: with none above 0 a Relu leaves no constant to meet a border.
    private func withShifts(_ graph: Graph, upTo largest: Float) throws -> Graph {
        var values = graph.parameterTensors()
        for node in graph.nodes where node.operatorType == "BatchNormalization" {
            guard let shift = values[node.inputs[2]] else { continue }
            values[node.inputs[2]] = Tensor(shift.floats.map { min($0, largest) }, shape: shift.shape)
        }
        return try graph.replacingParameters(values)
    }

    @Test(arguments: ["mlp", "cnn", "resnet18", "resnet20", "mobilenetv2"], [UInt64(1), 2])
    func architecturesSliceAsTheyMask(name: String, seed: UInt64) throws {
        let shape = name == "mlp" ? [20] : name == "cnn" ? [1, 8, 8] : [3, 16, 16]
        let built = try ModelBuilder.build(architecture: name, inputShape: shape, width: 16, seed: seed)
        let graph = try randomized(built, seed: seed)
        let (difference, notes) = try compare(graph, seed: seed)
        #expect(notes.allSatisfy { $0.reason == .border }, "\(notes)")
        if notes.isEmpty {
            #expect(difference < 1e-4)
        } else {
            // Only a rim of each map differs.
            #expect(name.hasPrefix("resnet") && difference < 0.5)
            let exact = try compare(try withShifts(graph, upTo: 0), seed: seed)
            #expect(exact.notes.isEmpty && exact.difference < 1e-4)
        }
    }

    @Test(arguments: [TransformerOptions.Normalization.pre, .post])
    func headsAndUnitsOfATransformerSliceAsTheyMask(_ normalization: TransformerOptions.Normalization) throws {
        var options = TransformerOptions()
        options.depth = 2
        options.heads = 4
        options.normalization = normalization
        let built = try ModelBuilder.build(
            architecture: "transformer", inputShape: [9, 16], width: 32, transformer: options, seed: 3)
        let graph = try randomized(built, seed: 3)
        let groups = try graph.channelGroups().groups
        // The stream between the blocks, and in each block heads and hidden units.
        #expect(groups.map(\.channels) == [4, 32, 128, 4, 128])
        #expect(groups.map(\.kind) == [.heads, .channels, .channels, .heads, .channels])
        #expect(groups.map(\.isNormalizedOver) == [false, true, false, false, false])
        let (difference, notes) = try compare(graph, seed: 3) { !$0.isNormalizedOver }
        #expect(notes.isEmpty && difference < 1e-4)
        // The stream can go too; what it is normalised over makes that inexact.
        let whole = try compare(graph, seed: 4)
        #expect(whole.notes.isEmpty && whole.difference.isFinite)
    }

    @Test(
        .enabled(if: Parity.isThere),
        arguments: [
            "models/cnn-mnist", "models/resnet20-cifar10", "models/teacher-mnist", "models/teacher-cifar10",
            "parity/cnn", "parity/resnet8", "parity/tinybert",
        ])
    func exportedModelsSliceAsTheyMask(name: String) throws {
        let graph = try Graph.load(path: "\(Parity.folder)/../\(name).onnx")
        let (difference, notes) = try compare(graph, share: 0.6, seed: 5) { !$0.isNormalizedOver }
        #expect(notes.allSatisfy { $0.reason == .border }, "\(notes)")
        #expect(difference < (notes.isEmpty ? 1e-4 : 0.5))
    }

    /// Whatever stays, what is left is a graph that runs and gives as many logits.
    @Test(arguments: 0..<24)
    func whateverStaysRuns(seed: Int) throws {
        let names = ["cnn", "resnet20", "mobilenetv2", "transformer"]
        let name = names[seed % names.count]
        let shape = name == "transformer" ? [5, 16] : name == "cnn" ? [1, 8, 8] : [3, 8, 8]
        var graph = try ModelBuilder.build(
            architecture: name, inputShape: shape, classes: 7, width: 16, seed: UInt64(seed))
        var slices = ParameterSlices()
        let first = graph
        for step in 0..<3 {
            let groups = try graph.channelGroups()
            let kept = randomKept(groups, share: 0.7 - 0.2 * Float(step), seed: UInt64(seed * 3 + step))
            let pruned = try graph.keeping(kept, of: groups)
            slices = slices.followed(by: pruned.slices)
            graph = try Graph.load(pruned.graph.serialized(), path: "pruned.onnx")
        }
        let logits = try Executable(graph).logits(try input(graph, seed: 1, vocabulary: 16))
        #expect(logits.shape.dimensions == [3, 7])
        #expect(logits.floats.allSatisfy { $0.isFinite })
        for (name, tensor) in first.initializers.ordered where first.trainableNames.contains(name) {
            #expect(slices.apply(to: tensor, named: name).shape == graph.initializers[name]?.shape)
        }
    }
}
