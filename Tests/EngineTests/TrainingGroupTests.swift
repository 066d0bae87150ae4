import ModelGraph
import Tensors
import Testing

@testable import Engine

/// Accumulated batches, several inputs, shared and integer initializers, decay groups: what belongs to one step.
struct TrainingGroupTests {
    private let settings = OptimizerSettings(learningRate: 0.3, momentum: 0.9)

    /// Rows of a batch as a batch.
    private func part(_ rows: Range<Int>) throws -> Batch {
        let batch = OneLayer.batches[0]
        let x = batch.inputs.ordered[0].1.floats[(rows.lowerBound * 3)..<(rows.upperBound * 3)]
        let y = batch.targets.elements(as: Int64.self)[rows]
        return Batch(
            Tensor(Array(x), shape: try Shape([rows.count, 3])),
            targets: Tensor(Array(y), shape: try Shape([rows.count])))
    }

    /// The layer for any number of rows.
    private let graph: Graph = {
        var graph = OneLayer.graph
        graph.inputs[0].dimensions = [.symbolic("n"), .fixed(3)]
        return graph
    }()

    @Test(arguments: [[0..<2, 2..<4], [0..<3, 3..<4], [0..<1, 1..<2, 2..<4]])
    func aGroupIsOneBatchWhateverItsParts(parts: [Range<Int>]) throws {
        let whole = try Trainer(graph, optimizer: settings, clipping: .norm(0.2))
        let pieces = try Trainer(graph, optimizer: settings, clipping: .norm(0.2))
        for _ in 0..<2 {
            let expected = try whole.step(OneLayer.batches[0])
            var lossSum = 0.0
            for rows in parts.dropLast() {
                let result = try pieces.accumulate(part(rows))
                #expect(result.gradientNorm == nil)
                lossSum += result.lossSum
            }
            let last = try pieces.step(part(parts[parts.count - 1]))
            #expect(abs((lossSum + last.lossSum) / 4 - expected.loss) < 1e-6)
            let norms = (try #require(last.gradientNorm), try #require(expected.gradientNorm))
            #expect(abs(norms.0 - norms.1) < 1e-6)
        }
        #expect(pieces.progress.steps == 2)
        #expect(isClose(try OneLayer.values(pieces), try OneLayer.values(whole).map(Double.init)))
    }

    @Test func targetsThatAreIgnoredHaveNoWeightInAGroup() throws {
        func train(_ groups: [[[Int64]]]) throws -> [Float] {
            let trainer = try Trainer(graph, optimizer: settings)
            for group in groups {
                for (index, labels) in group.enumerated() {
                    let batch = Batch(
                        try part(0..<labels.count).inputs.ordered[0].1,
                        targets: Tensor(labels, shape: try Shape([labels.count])))
                    if index + 1 < group.count {
                        _ = try trainer.accumulate(batch)
                    } else {
                        _ = try trainer.step(batch)
                    }
                }
            }
            return try OneLayer.values(trainer)
        }
        let expected = try train([[[0, 1, 1, -100]]])
        let found = try train([[[0, -100, -100, -100], [-100, 1, 1], [-100, -100]]])
        #expect(isClose(found, expected.map(Double.init)))
    }

    @Test func aRefusedBatchLeavesTheGroupAsItWas() throws {
        let trainer = try Trainer(graph, optimizer: settings)
        let other = try Trainer(graph, optimizer: settings)
        for trainer in [trainer, other] { _ = try trainer.accumulate(part(0..<2)) }
        let poisoned = Batch(
            Tensor([.nan, 0, 0] as [Float], shape: [1, 3]), targets: Tensor([0] as [Int64], shape: [1]))
        for _ in 0..<2 {
            #expect(throws: EngineError.notFinite("the training loss")) { try trainer.accumulate(poisoned) }
            #expect(throws: EngineError.notFinite("the training loss")) { try trainer.step(poisoned) }
        }
        #expect(try trainer.parameters() == graph.parameterTensors())
        for trainer in [trainer, other] { _ = try trainer.step(part(2..<4)) }
        #expect(try trainer.parameters() == other.parameters())
    }

    /// Finite loss, infinite gradient: the derivative of a square root at 0.
    @Test func aNormThatIsNotFiniteIsRefusedBeforeTheUpdate() throws {
        var graph = oneNode("Sqrt", input: [1, 2])
        graph.nodes[0].inputs = ["h"]
        graph.nodes.insert(Node(name: "mul", operatorType: "Mul", inputs: ["x", "w"], outputs: ["h"]), at: 0)
        graph.initializers["w"] = Tensor([0, 1] as [Float], shape: [2])
        let trainer = try Trainer(graph, optimizer: settings, clipping: .norm(1))
        let batch = Batch(
            Tensor([1, 1] as [Float], shape: [1, 2]), targets: Tensor([0, 0] as [Float], shape: [1, 2]))
        #expect(throws: EngineError.notFinite("the gradient")) { try trainer.step(batch, loss: .meanSquaredError) }
        _ = try trainer.accumulate(batch, loss: .meanSquaredError)
        #expect(throws: EngineError.notFinite("the gradient")) { try trainer.step(batch, loss: .meanSquaredError) }
        #expect(try trainer.parameters() == graph.parameterTensors())
        #expect(trainer.progress == TrainingProgress())
    }

    /// h = embedding[ids] + scale * x, with ids int32 by Cast of an int64 table, two named inputs, tied output weights.
    private let tied: Graph = Graph(
        name: "tied",
        nodes: [
            Node(name: "look", operatorType: "Gather", inputs: ["table", "ids"], outputs: ["e"]),
            Node(name: "sum", operatorType: "Add", inputs: ["e", "x"], outputs: ["h"]),
            Node(name: "turn", operatorType: "Transpose", inputs: ["table"], outputs: ["t"]),
            Node(name: "out", operatorType: "MatMul", inputs: ["h", "t"], outputs: ["y"]),
        ],
        inputs: [
            ValueInfo(name: "ids", elementType: .int64, dimensions: [.symbolic("n"), .fixed(2)]),
            ValueInfo(name: "x", elementType: .float32, dimensions: [.symbolic("n"), .fixed(2), .fixed(3)]),
        ],
        outputs: [ValueInfo(name: "y", elementType: .float32, dimensions: nil)],
        initializers: NamedTensors([("table", grid([4, 3], 5))]))
    private let tiedBatch = Batch(
        inputs: NamedTensors([("x", grid([2, 2, 3], 7)), ("ids", Tensor([0, 3, 1, 3] as [Int64], shape: [2, 2]))]),
        targets: Tensor([1, 2, -100, 0] as [Int64], shape: [2, 2]))

    @Test func aSharedInitializerIsOneParameterWithSummedGradients() throws {
        let trainer = try Trainer(tied, optimizer: settings)
        let found = try trainer.gradients(tiedBatch, loss: .nextToken())
        #expect(found.gradients.names == ["table"])
        #expect(found.result.targets == 3 && found.result.samples == 2)
        // The same with a table for each use.
        var apart = tied
        apart.nodes[2].inputs = ["second"]
        apart.initializers["second"] = grid([4, 3], 5)
        let parts = try Trainer(apart, optimizer: settings).gradients(tiedBatch, loss: .nextToken()).gradients
        let (first, second) = (try parts.require("table").floats, try parts.require("second").floats)
        #expect(isClose(try found.gradients.require("table").floats, zip(first, second).map { Double($0 + $1) }))
        #expect(first.contains { $0 != 0 } && second.contains { $0 != 0 })
        _ = try trainer.step(tiedBatch, loss: .nextToken())
        #expect(try trainer.parameters().names == ["table"])
        #expect(try trainer.parameters() != tied.parameterTensors())
    }

    @Test func everyInputIsNeededByItsName() throws {
        let trainer = try Trainer(tied, optimizer: settings)
        let one = Batch(
            inputs: NamedTensors([tiedBatch.inputs.ordered[0]].map { ($0.0, $0.1) }), targets: tiedBatch.targets)
        #expect(throws: EngineError.missingInput("ids")) { try trainer.step(one, loss: .nextToken()) }
    }

    @Test func integerInitializersAreLeftAlone() throws {
        var graph = tied
        graph.nodes.insert(
            Node(name: "pick", operatorType: "Gather", inputs: ["order", "ids"], outputs: ["own"]), at: 0)
        graph.nodes[1].inputs = ["table", "own"]
        graph.initializers["order"] = Tensor([3, 2, 1, 0] as [Int64], shape: [4])
        let trainer = try Trainer(graph, optimizer: settings)
        let before = try trainer.gradients(tiedBatch, loss: .nextToken()).logits
        for _ in 0..<3 { _ = try trainer.step(tiedBatch, loss: .nextToken()) }
        #expect(try trainer.parameters().names == ["table"])
        // Forward with the trained table and the original order is what the trainer computes.
        let trained = try graph.replacingParameters(trainer.parameters())
        #expect(trained.initializers["order"] == graph.initializers["order"])
        let after = try trainer.gradients(tiedBatch, loss: .nextToken(), training: false).logits
        #expect(try Executable(trained).logits(tiedBatch.inputs) == after)
        #expect(after != before)
    }

    @Test func normsAndBiasesMayBeSparedFromDecay() throws {
        var graph = tied
        graph.nodes[3].outputs = ["z"]
        graph.nodes += [
            Node(name: "ln", operatorType: "LayerNormalization", inputs: ["z", "scale", "shift"], outputs: ["l"]),
            Node(name: "plus", operatorType: "Add", inputs: ["l", "offset"], outputs: ["p"]),
            Node(name: "flat", operatorType: "Flatten", inputs: ["p"], outputs: ["f"]),
            Node(name: "fc", operatorType: "Gemm", inputs: ["f", "weight", "bias"], outputs: ["y"]),
        ]
        for (name, shape) in [
            ("scale", [4]), ("shift", [4]), ("offset", [2, 4]), ("weight", [8, 2]), ("bias", [1, 2]),
        ] as [(String, [Int])] { graph.initializers[name] = grid(try Shape(shape), 5) }
        #expect(graph.decayingNames == ["table", "offset", "weight"])
        // Nothing but decay moves parameters that no gradient changes: with rate x decay = 1, they become zero.
        let batch = Batch(inputs: tiedBatch.inputs, targets: Tensor([-100, -100] as [Int64], shape: [2]))
        for (spares, kept) in [(true, ["scale", "shift", "bias"]), (false, [])] as [(Bool, [String])] {
            let trainer = try Trainer(
                graph,
                optimizer: OptimizerSettings(
                    kind: .adamw, learningRate: 0.5, weightDecay: 2, noDecayOnNormsAndBiases: spares))
            _ = try trainer.step(batch)
            for (name, tensor) in try trainer.parameters().ordered {
                let expected = kept.contains(name) ? graph.initializers[name] : Tensor(zeros: tensor.shape)
                // Minus zero is zero.
                #expect(tensor.floats == expected?.floats, "\(name)")
            }
        }
    }
}
