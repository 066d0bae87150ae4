import Engine
import ModelGraph
import Tensors
import Testing

@testable import Compression

struct ScorerTests {
    private static let first = Batch(
        Tensor([1, 2, -1, 0.5, 0.25, -2] as [Float], shape: [3, 2]), targets: Tensor([0, 1, 1] as [Int64], shape: [3]))
    private static let second = Batch(
        Tensor([0.5, 1] as [Float], shape: [1, 2]), targets: Tensor([1] as [Int64], shape: [1]))

    private func gradients(_ graph: Graph, _ batch: Batch) throws -> NamedTensors {
        try Trainer(graph, optimizer: OptimizerSettings(learningRate: 0)).gradients(batch, training: false).gradients
    }

    @Test func momentsAreMeansOverBatchesByTheirTargets() throws {
        let graph = HandModel.graph
        var scorer = try Scorer(graph, masks: MaskSet(), statistic: .gradientMoments)
        try scorer.add(Self.first, loss: .crossEntropy)
        try scorer.add(Self.second, loss: .crossEntropy)
        let found = try scorer.scores()
        let (a, b) = (try gradients(graph, Self.first), try gradients(graph, Self.second))
        #expect(found.names == ["w1", "b1", "w2", "b2"] + ["w1", "b1", "w2", "b2"].map(ScoreStatistic.squareName))
        for (name, tensor) in a.ordered {
            let pairs = zip(tensor.floats.map(Double.init), try b.require(name).floats.map(Double.init))
            let means = pairs.map { ($0 * 3 + $1) / 4 }
            let squares = pairs.map { min(($0 * $0 * 3 + $1 * $1) / 4 * 1024, 256) }
            #expect(expectClose(found[name]?.floats.map(Double.init), means))
            #expect(expectClose(found[ScoreStatistic.squareName(name)]?.floats.map(Double.init), squares))
        }
        var alone = try Scorer(graph, masks: MaskSet(), statistic: .gradientSquares, onlyPrunable: true)
        try alone.add(Self.first, loss: .crossEntropy)
        try alone.add(Self.second, loss: .crossEntropy)
        let squares = try alone.scores()
        #expect(squares.names == ["square:w1", "square:w2"])
        for (name, tensor) in squares.ordered { #expect(tensor == found[name]) }
    }

    /// The gate of each channel against the loss with the channel's layer scaled by 1 ± ε.
    @Test func gatesAreDerivativesOfTheLoss() throws {
        var scorer = try Scorer(
            HandModel.graph, masks: MaskSet(), statistic: .channelGradients, groups: [HandModel.group])
        try scorer.add(Self.first, loss: .crossEntropy)
        let found = try scorer.scores()
        #expect(found.names == ["w1"])
        let slopes = try (0..<3).map { channel in
            try slope(HandModel.graph, Self.first, ["w1": [2 * channel, 2 * channel + 1], "b1": [channel]])
        }
        #expect(slopes.contains { abs($0) > 0.05 })
        #expect(expectClose(found["w1"]?.floats.map(Double.init), slopes.map { $0 * $0 * 16 }, within: 2e-2))
        // A second batch: the mean of squares, not the square of the mean.
        try scorer.add(Self.second, loss: .crossEntropy)
        let others = try (0..<3).map { channel in
            try slope(HandModel.graph, Self.second, ["w1": [2 * channel, 2 * channel + 1], "b1": [channel]])
        }
        let expected = zip(slopes, others).map { ($0 * $0 * 3 + $1 * $1) / 4 * 16 }
        #expect(expectClose(try scorer.scores()["w1"]?.floats.map(Double.init), expected, within: 2e-2))
    }

    /// Behind a BatchNormalization its scale and shift are the gate, and the convolution before it is not counted again.
    @Test func normalizationsAreTheGateOfTheirLayer() throws {
        let graph = try normalized()
        let group = ChannelGroup(
            name: "k", kind: .channels, channels: 2,
            members: ["k", "kb", "gamma", "beta", "m", "v"].map { member($0, 0, .producer, 2) }
                + [member("w", 1, .consumer, 2)], signature: "", isNormalizedOver: false)
        var scorer = try Scorer(graph, masks: MaskSet(), statistic: .channelGradients, groups: [group])
        let batch = Batch(
            Tensor([1, 2, -1, 0.5, 0.25, -2] as [Float], shape: [3, 2, 1, 1]), targets: Self.first.targets)
        try scorer.add(batch, loss: .crossEntropy)
        let slopes = try (0..<2).map { try slope(graph, batch, ["gamma": [$0], "beta": [$0]]) }
        #expect(slopes.contains { abs($0) > 0.05 })
        let found = try scorer.scores()["k"]?.floats.map(Double.init)
        #expect(expectClose(found, slopes.map { $0 * $0 * 16 }, within: 2e-2))
        // A head is gated where it is read; here both gates are the same but for the Relu between, which scales with it.
        let head = ChannelGroup(
            name: "k", kind: .heads, channels: 2, members: group.members, signature: "", isNormalizedOver: false)
        var heads = try Scorer(graph, masks: MaskSet(), statistic: .channelGradients, groups: [head])
        try heads.add(batch, loss: .crossEntropy)
        #expect(expectClose(try heads.scores()["k"]?.floats.map(Double.init), found ?? [], within: 1e-3))
    }

    private func normalized() throws -> Graph {
        func numbers(_ values: [Float], _ shape: Shape) -> Tensor { Tensor(values, shape: shape) }
        return Graph(
            name: "normalized",
            nodes: [
                Node(name: "c", operatorType: "Conv", inputs: ["x", "k", "kb"], outputs: ["h"]),
                Node(
                    name: "n", operatorType: "BatchNormalization", inputs: ["h", "gamma", "beta", "m", "v"],
                    outputs: ["z"]),
                Node(name: "r", operatorType: "Relu", inputs: ["z"], outputs: ["a"]),
                Node(name: "f", operatorType: "Flatten", inputs: ["a"], outputs: ["q"]),
                Node(
                    name: "g", operatorType: "Gemm", inputs: ["q", "w"], outputs: ["y"], attributes: ["transB": .int(1)]
                ),
            ],
            inputs: [
                ValueInfo(
                    name: "x", elementType: .float32, dimensions: [.symbolic("n"), .fixed(2), .fixed(1), .fixed(1)])
            ], outputs: [ValueInfo(name: "y", elementType: .float32, dimensions: nil)],
            initializers: NamedTensors([
                ("k", numbers([1, -0.5, 0.75, 2], [2, 2, 1, 1])), ("kb", numbers([0.1, 0.2], [2])),
                ("gamma", numbers([1.5, 0.5], [2])), ("beta", numbers([0.3, 0.4], [2])),
                ("m", numbers([0.2, -0.1], [2])), ("v", numbers([1.2, 0.8], [2])),
                ("w", numbers([1, -1, 0.5, 2], [2, 2])),
            ]))
    }

    /// d(mean loss)/dm with m multiplying these elements.
    private func slope(_ graph: Graph, _ batch: Batch, _ elements: [String: [Int]]) throws -> Double {
        func loss(_ factor: Float) throws -> Double {
            var graph = graph
            for (name, indices) in elements {
                graph.initializers.modify(name) { tensor in
                    tensor.withMutableElements(as: Float.self) { for index in indices { $0[index] *= factor } }
                }
            }
            let result = try Executable(graph).evaluate(batch, loss: .crossEntropy)
            return result.lossSum / Double(result.targets)
        }
        return (try loss(1.01) - loss(0.99)) / 0.02
    }

    /// S by hand over two steps of plain gradient descent: -lr·w·g with each step's own weights.
    @Test func movementFollowsTheTrainingSteps() throws {
        let rate = 0.1
        var scorer = try Scorer(HandModel.graph, masks: MaskSet(), statistic: .movement, learningRate: rate)
        try scorer.add(Self.first, loss: .crossEntropy)
        try scorer.add(Self.second, loss: .crossEntropy)
        let found = try scorer.scores()
        var graph = HandModel.graph
        var expected: [String: [Double]] = [:]
        for batch in [Self.first, Self.second] {
            for (name, gradient) in try gradients(graph, batch).ordered {
                let weight = try graph.initializers.require(name)
                let moves = zip(weight.floats, gradient.floats).map { -rate * Double($0) * Double($1) }
                expected[name] = expected[name].map { zip($0, moves).map(+) } ?? moves
                graph.initializers[name] = Tensor(
                    zip(weight.floats, gradient.floats).map { $0 - Float(rate) * $1 }, shape: weight.shape)
            }
        }
        #expect(found.names == ["w1", "b1", "w2", "b2"])
        for (name, values) in expected {
            #expect(expectClose(found[name]?.floats.map(Double.init), values, within: 1e-6))
        }
        #expect(found["w2"]?.floats.contains { abs($0) > 1e-3 } ?? false)
    }

    @Test func deadWeightsDoNotMove() throws {
        var alive = Bitmap(repeating: true, count: 6)
        alive[0] = false
        let masks = MaskSet(bitmaps: ["w1": alive])
        for statistic in [ScoreStatistic.movement, .weightGradient] {
            var scorer = try Scorer(HandModel.graph, masks: masks, statistic: statistic, learningRate: 0.1)
            for _ in 0..<3 { try scorer.add(Self.first, loss: .crossEntropy) }
            #expect(try scorer.scores()["w1"]?.floats[0] == 0)
        }
        // Their own gradients are what regrowth needs.
        var scorer = try Scorer(HandModel.graph, masks: masks, statistic: .gradientMoments)
        try scorer.add(Self.first, loss: .crossEntropy)
        #expect(try scorer.scores()["w1"]?.floats[0] != 0)
    }

    @Test func namedInputsAndTeachersAreTaken() throws {
        let batch = Batch(
            inputs: NamedTensors([("x", Self.second.inputs.ordered[0].tensor)]), targets: Self.second.targets)
        let logits = Tensor([2, -1] as [Float], shape: [1, 2])
        var taught = try Scorer(HandModel.graph, masks: MaskSet(), statistic: .weightGradient)
        try taught.add(batch, loss: .distillation(temperature: 2, alpha: 0.5), teacherLogits: logits)
        var plain = try Scorer(HandModel.graph, masks: MaskSet(), statistic: .weightGradient)
        try plain.add(Self.second, loss: .crossEntropy)
        #expect(try taught.scores() != plain.scores())
    }

    @Test func whatCannotBeMeasuredIsRefused() throws {
        #expect(throws: CompressionError.self) {
            _ = try Scorer(HandModel.graph, masks: MaskSet(), statistic: .channelGradients)
        }
        #expect(throws: CompressionError.self) {
            _ = try Scorer(HandModel.graph, masks: MaskSet(), statistic: .movement, learningRate: 0)
        }
        let scorer = try Scorer(HandModel.graph, masks: MaskSet(), statistic: .weightGradient)
        #expect(throws: CompressionError.noData("scoring")) { try scorer.scores() }
    }

    @Test(arguments: ScoreStatistic.allCases, [false, true])
    func scoresHaveTheLayout(statistic: ScoreStatistic, onlyPrunable: Bool) throws {
        var scorer = try Scorer(
            HandModel.graph, masks: MaskSet(), statistic: statistic, groups: [HandModel.group],
            onlyPrunable: onlyPrunable)
        try scorer.add(Self.first, loss: .crossEntropy)
        let layout = Scorer.layout(
            of: HandModel.graph, statistic: statistic, groups: [HandModel.group], onlyPrunable: onlyPrunable)
        let scores = try scorer.scores()
        #expect(scores.names == layout.map(\.name) && scores.ordered.map(\.tensor.shape) == layout.map(\.shape))
    }
}
