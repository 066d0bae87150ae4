import ModelGraph
import Tensors
import Testing

@Suite struct LandmarkTests {
    private func transformer(depth: Int, _ normalization: TransformerOptions.Normalization = .pre) throws -> Graph {
        try ModelBuilder.build(
            architecture: "transformer", inputShape: [6, 11], classes: 3, width: 8,
            transformer: TransformerOptions(depth: depth, heads: 2, normalization: normalization), seed: 1)
    }

    private func image(_ architecture: String, width: Int = 8) throws -> Graph {
        try ModelBuilder.build(architecture: architecture, width: width, seed: 1)
    }

    @Test func stagesOfAResidualNetworkEndWhereTheirSizeEnds() throws {
        let stages = try image("resnet20").stageOutputs()
        #expect(stages.map(\.name) == ["block3.relu2.output", "block6.relu2.output", "block9.relu2.output"])
        #expect(stages.map { Array($0.shape.dimensions.dropFirst()) } == [[8, 32, 32], [16, 16, 16], [32, 8, 8]])
        #expect(try image("resnet20").attentionMatrices().isEmpty)
    }

    @Test func withoutSumsActivationsAreTheStages() throws {
        let stages = try image("cnn").stageOutputs()
        #expect(stages.count == 2)
        #expect(stages.allSatisfy { $0.shape.rank == 4 && $0.name.contains("relu") })
        let dense = try image("mlp").stageOutputs()
        #expect(!dense.isEmpty && dense.allSatisfy { $0.shape.rank == 2 })
    }

    @Test func layersOfATransformerEndBeforeTheNextAttention() throws {
        let pre = try transformer(depth: 3)
        // The last sum is read by the last normalisation alone.
        #expect(
            try pre.stageOutputs().map(\.name) == [
                "block1.feedForward.add.output", "block2.feedForward.add.output", "norm.output",
            ])
        let post = try transformer(depth: 2, .post)
        #expect(
            try post.stageOutputs().map(\.name) == ["block1.feedForward.norm.output", "block2.feedForward.norm.output"])
        let matrices = try pre.attentionMatrices()
        #expect(matrices.map(\.name) == (1...3).map { "block\($0).attention.softmax.output" })
        #expect(matrices.allSatisfy { $0.shape.dimensions.dropFirst() == [2, 6, 6] })
    }

    @Test func aSoftmaxThatIsNoAttentionIsNoMatrix() throws {
        var graph = try transformer(depth: 1)
        let softmax = Node(
            name: "shares", operatorType: "Softmax", inputs: ["logits"], outputs: ["shares"],
            attributes: ["axis": .int(-1)])
        graph.nodes.append(softmax)
        #expect(try graph.attentionMatrices().count == 1)
    }

    @Test(arguments: [2, 3]) func aShallowerTransformerKeepsWholeLayers(step: Int) throws {
        let graph = try transformer(depth: 5)
        let shallow = try graph.shallower(keepingEvery: step).graph
        let kept = step == 2 ? [1, 3, 5] : [1, 4]
        #expect(
            try shallow.attentionMatrices().map(\.name) == kept.map { "block\($0).attention.softmax.output" })
        #expect(try shallow.stageOutputs().count == kept.count)
        #expect(try shallow.inferShapes(batch: 2)["logits"] == [2, 3])
        for (name, tensor) in shallow.initializers.ordered { #expect(graph.initializers[name] == tensor) }
    }

    @Test func aShallowerResidualNetworkKeepsItsStages() throws {
        let graph = try image("resnet20")
        let blocks = try graph.residualBlocks().map(\.name)
        let shallow = try graph.shallower(keepingEvery: 2)
        let kept = blocks.enumerated().filter { $0.offset % 2 == 0 }.map(\.element)
        #expect(try shallow.graph.residualBlocks().map(\.name) == kept)
        #expect(try shallow.graph.stageOutputs().map(\.shape) == graph.stageOutputs().map(\.shape))
        #expect(Set(shallow.graph.parameters.map(\.name)).isSubset(of: Set(graph.parameters.map(\.name))))
        #expect(!shallow.slices.removed.isEmpty)
    }

    @Test func whatCannotBeShallowerIsRefused() throws {
        #expect(throws: ModelError.self) { try image("resnet20").shallower(keepingEvery: 1) }
        #expect(throws: ModelError.self) { try image("resnet20").shallower(keepingEvery: .min) }
        #expect(throws: ModelError.self) { try image("cnn").shallower(keepingEvery: 2) }
        #expect(throws: ModelError.self) { try transformer(depth: 1).shallower(keepingEvery: 2) }
        #expect(try transformer(depth: 2).shallower(keepingEvery: .max).graph.attentionMatrices().count == 1)
    }
}
