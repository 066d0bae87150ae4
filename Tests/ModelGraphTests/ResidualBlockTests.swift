import ModelGraph
import Tensors
import Testing

/// x, and 1x1 convolutions of it: `kernel` gives the weights of one from 2 to 2 channels.
private let kernel = floatTensor([1, 2, 3, 4], shape: [2, 2, 1, 1])

@Suite struct ResidualBlockTests {
    /// y = Relu(x + conv(Relu(conv(x)))).
    private func block(swapped: Bool = false, output: String = "y") -> Graph {
        smallGraph(
            [
                node("Conv", ["x", "first.weight"], ["a"]), node("Relu", ["a"], ["b"]),
                node("Conv", ["b", "second.weight"], ["c"]),
                node("Add", swapped ? ["c", "x"] : ["x", "c"], ["sum"]), node("Relu", ["sum"], ["y"]),
            ], [("first.weight", kernel), ("second.weight", kernel)], output: output)
    }

    @Test(arguments: [false, true]) func aBlockIsTheBranchWithItsParameters(swapped: Bool) throws {
        let graph = block(swapped: swapped)
        #expect(
            try graph.residualBlocks() == [
                ResidualBlock(
                    name: "first.weight", nodes: ["a_node", "b_node", "c_node", "sum_node"],
                    parameters: ["first.weight", "second.weight"], signature: "Conv Relu Conv",
                    // Two convolutions of 2 x 2 channels at 4 x 4 places.
                    macs: 2 * 4 * 16)
            ])
        let removed = try graph.removing(blocks: ["first.weight"])
        #expect(removed.graph.nodes == [node("Relu", ["x"], ["y"])])
        #expect(removed.graph.initializers.isEmpty)
        #expect(removed.slices == ParameterSlices(removed: ["first.weight", "second.weight"]))
    }

    @Test func anOutputOfTheGraphKeepsItsName() throws {
        let graph = block(output: "sum")
        let removed = try graph.removing(blocks: ["first.weight"]).graph
        #expect(removed.nodes == [Node(name: "sum_node", operatorType: "Identity", inputs: ["x"], outputs: ["sum"])])
        #expect(try removed.inferShapes(batch: 3)["sum"] == [3, 2, 4, 4])
    }

    @Test func nothingRemovedIsTheGraphItself() throws {
        let graph = block()
        let same = try graph.removing(blocks: [])
        #expect(same.graph == graph)
        #expect(same.slices == ParameterSlices())
    }

    @Test func aBlockBehindABlockReadsWhatTheFirstReads() throws {
        let graph = smallGraph(
            [
                node("Conv", ["x", "first.weight"], ["a"]), node("Add", ["x", "a"], ["s"]),
                node("Conv", ["s", "second.weight"], ["b"]), node("Add", ["b", "s"], ["t"]),
                node("Relu", ["t"], ["y"]),
            ], [("first.weight", kernel), ("second.weight", kernel)])
        #expect(try graph.residualBlocks().map(\.name) == ["first.weight", "second.weight"])
        let first = try graph.removing(blocks: ["first.weight"]).graph
        #expect(
            first.nodes == [
                node("Conv", ["x", "second.weight"], ["b"]), node("Add", ["b", "x"], ["t"]), node("Relu", ["t"], ["y"]),
            ])
        let second = try graph.removing(blocks: ["second.weight"]).graph
        #expect(second.nodes == [graph.nodes[0], graph.nodes[1], node("Relu", ["s"], ["y"])])
        let both = try graph.removing(blocks: ["first.weight", "second.weight"])
        #expect(both.graph.nodes == [node("Relu", ["x"], ["y"])])
        #expect(both.slices.removed == ["first.weight", "second.weight"])
    }

    @Test func aValueReadOutsideTheBranchKeepsIt() throws {
        var graph = block()
        graph.nodes.append(node("Relu", ["a"], ["z"]))
        #expect(try graph.residualBlocks().isEmpty)
        graph = block()
        graph.outputs.append(ValueInfo(name: "b", elementType: .float32, dimensions: nil))
        #expect(try graph.residualBlocks().isEmpty)
    }

    @Test func aProjectionOrAWideningShortcutIsNoBlock() throws {
        let projection = smallGraph(
            [
                node("Conv", ["x", "first.weight"], ["a"]), node("Conv", ["x", "shortcut.weight"], ["b"]),
                node("Add", ["a", "b"], ["y"]),
            ], [("first.weight", kernel), ("shortcut.weight", kernel)])
        #expect(try projection.residualBlocks().isEmpty)
        // x has one channel, which the sum repeats.
        let wide = smallGraph(
            [node("Conv", ["x", "w"], ["a"]), node("Add", ["x", "a"], ["y"])],
            [("w", floatTensor([1, 2], shape: [2, 1, 1, 1]))], input: [1, 4, 4])
        #expect(try wide.residualBlocks().isEmpty)
    }

    @Test func arithmeticWithoutAWeightIsNoBlockAndHidesNone() throws {
        let cubed: [Node] = [
            node("Mul", ["a", "a"], ["square"]), node("Mul", ["square", "a"], ["cube"]),
            node("Add", ["a", "cube"], ["b"]),
        ]
        let graph = smallGraph(
            [node("Conv", ["x", "first.weight"], ["a"])] + cubed + [node("Add", ["x", "b"], ["y"])],
            [("first.weight", kernel)])
        #expect(
            try graph.residualBlocks().map(\.nodes) == [["a_node", "square_node", "cube_node", "b_node", "y_node"]])
    }

    @Test func squeezeAndExciteAndLayerScaleAreOfTheBranch() throws {
        let graph = smallGraph(
            [
                node("Conv", ["x", "first.weight"], ["a"]), node("GlobalAveragePool", ["a"], ["pooled"]),
                node("Conv", ["pooled", "gate.weight"], ["gate"]), node("Sigmoid", ["gate"], ["opened"]),
                node("Mul", ["a", "opened"], ["gated"]), node("Mul", ["gated", "scale"], ["scaled"]),
                node("Add", ["scaled", "x"], ["y"]),
            ],
            [
                ("first.weight", kernel), ("gate.weight", kernel),
                ("scale", floatTensor([0.1, 0.2], shape: [2, 1, 1])),
            ])
        let blocks = try graph.residualBlocks()
        #expect(blocks.map(\.parameters) == [["first.weight", "gate.weight", "scale"]])
        #expect(
            try graph.removing(blocks: ["first.weight"]).slices.removed == ["first.weight", "gate.weight", "scale"])
    }

    @Test func ofALongShortcutTheInnerBlocksAreListed() throws {
        let graph = smallGraph(
            [
                node("Conv", ["x", "head.weight"], ["h"]), node("Conv", ["h", "first.weight"], ["a"]),
                node("Add", ["h", "a"], ["s"]), node("Conv", ["s", "tail.weight"], ["t"]),
                node("Add", ["x", "t"], ["y"]),
            ], [("head.weight", kernel), ("first.weight", kernel), ("tail.weight", kernel)])
        #expect(try graph.residualBlocks().map(\.name) == ["first.weight"])
    }

    @Test func aWeightThatTwoBlocksShareStaysUntilBothAreGone() throws {
        let graph = smallGraph(
            [
                node("Conv", ["x", "w"], ["a"]), node("Add", ["x", "a"], ["s"]),
                node("Conv", ["s", "w"], ["b"]), node("Add", ["s", "b"], ["y"]),
            ], [("w", kernel)])
        let blocks = try graph.residualBlocks()
        #expect(blocks.map(\.name) == ["w", "w.2"])
        #expect(blocks.map(\.parameters) == [[], []])
        #expect(try graph.removing(blocks: ["w.2"]).slices.removed.isEmpty)
        #expect(try graph.removing(blocks: ["w", "w.2"]).slices.removed == ["w"])
    }

    @Test func aTransposedWeightOnlyTheBranchReadsGoesWithIt() throws {
        let graph = smallGraph(
            [
                node("Transpose", ["w"], ["turned"]), node("MatMul", ["x", "turned"], ["a"]),
                node("Add", ["x", "a"], ["y"]),
            ], [("w", floatTensor([1, 2, 3, 4], shape: [2, 2]))], input: [3, 2])
        let blocks = try graph.residualBlocks()
        #expect(blocks.map(\.nodes) == [["turned_node", "a_node", "y_node"]])
        #expect(blocks.map(\.name) == ["w"])
        #expect(try graph.removing(blocks: ["w"]).slices.removed == ["w"])
    }

    @Test func anUnknownNameIsRefusedWithTheNearest() {
        #expect(
            throws: ModelError.invalidRequest(
                "the model has no residual block 'frist.weight'; did you mean 'first.weight'?")
        ) { try block().removing(blocks: ["frist.weight"]) }
    }

    /// Identity blocks: 3 stages of 3 less the 2 that halve the map; 4 stages of 2 less 3; stages of MobileNetV2 with
    /// repetitions; two parts of each transformer block.
    @Test(arguments: [("resnet20", 7), ("resnet18", 5), ("mobilenetv2", 10), ("transformer", 4)])
    func bundledArchitectures(name: String, count: Int) throws {
        let graph = try ModelBuilder.build(architecture: name, inputShape: nil, classes: 10, width: nil, seed: 1)
        let blocks = try graph.residualBlocks()
        #expect(blocks.count == count)
        #expect(Set(blocks.map(\.name)).count == count)
        let all = try graph.removing(blocks: Set(blocks.map(\.name)))
        #expect(try all.graph.residualBlocks().isEmpty)
        #expect(all.slices.removed == Set(blocks.flatMap(\.parameters)))
        let left = Set(graph.parameters.map(\.name)).subtracting(all.slices.removed)
        #expect(Set(all.graph.parameters.map(\.name)) == left)
        let output = try #require(graph.outputs.first?.name)
        #expect(try all.graph.inferShapes(batch: 2)[output] == graph.inferShapes(batch: 2)[output])
        let macs = try #require(try graph.summary(fileBytes: 0).macs)
        #expect(try all.graph.summary(fileBytes: 0).macs == macs - blocks.reduce(0) { $0 + $1.macs })
    }

    @Test func theTwoPartsOfATransformerBlock() throws {
        let graph = try ModelBuilder.build(
            architecture: "transformer", inputShape: nil, classes: 10, width: nil, seed: 1)
        let blocks = try graph.residualBlocks()
        #expect(blocks.map(\.name).prefix(2) == ["block1.attention.query.weight", "block1.feedForward.expand.weight"])
        #expect(blocks[0].signature == blocks[2].signature)
        #expect(blocks[0].signature != blocks[1].signature)
    }
}
