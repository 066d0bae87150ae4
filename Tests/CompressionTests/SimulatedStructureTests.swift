import Engine
import ModelGraph
import Tensors
import Testing

@testable import Compression

/// A graph that simulates quantization is the same model to whoever counts, masks, folds, writes or reads it.
struct SimulatedStructureTests {
    private func simulated(_ graph: Graph, _ batch: [Int]) throws -> Graph {
        let settings = QuantizationSettings(weights: WeightScheme(bits: 4, range: .leastSquares))
        let quantizer = try ModelQuantizer(graph, settings: settings)
        let evidence = try SimulationFixtures.evidence(quantizer, [SimulationFixtures.noise(batch, seed: 1)])
        return try quantizer.simulating(graph, evidence)
    }

    private func check(_ graph: Graph, _ simulated: Graph) throws {
        let steps = simulated.simulationSteps
        #expect(!steps.isEmpty)
        #expect(simulated.prunableNames == graph.prunableNames)
        #expect(Set(simulated.trainableNames) == Set(graph.trainableNames).union(steps))
        #expect(simulated.statisticNames == graph.statisticNames)
        #expect(simulated.decayingNames == graph.decayingNames)
        #expect(simulated.weightLayouts() == graph.weightLayouts())
        let (own, others) = (simulated.batchStatistics, graph.batchStatistics)
        #expect(own.map(\.mean) == others.map(\.mean) && own.map(\.variance) == others.map(\.variance))
        let shapes = try graph.sampleShapes()
        let found = try simulated.sampleShapes()
        for (name, shape) in shapes.sorted(by: { $0.key < $1.key }) { #expect(found[name] == shape, "\(name)") }
        let expected = try graph.summary(fileBytes: 0, supported: SupportedOperators.table)
        let summary = try simulated.summary(fileBytes: 0, supported: SupportedOperators.table)
        #expect(summary.macs == expected.macs)
        #expect(summary.unsupportedOperators == expected.unsupportedOperators)
        try simulated.validateOperators(supported: SupportedOperators.table)
        #expect(try simulated.stageOutputs().map(\.name) == graph.stageOutputs().map(\.name))
    }

    @Test func aResidualNetworkIsCountedAsItself() throws {
        let graph = try SimulationFixtures.resnet()
        try check(graph, simulated(graph, [4, 3, 16, 16]))
    }

    @Test func biasesOfOneNumberStayParameters() throws {
        let graph = try SimulationFixtures.perceptron()
        #expect(graph.trainableNames.contains("u"))
        try check(graph, simulated(graph, [16, 6]))
    }

    @Test func foldingTakesTheSimulationAwayAndKeepsWhatItRounded() throws {
        let graph = try SimulationFixtures.resnet()
        let simulated = try simulated(graph, [4, 3, 16, 16])
        let folded = simulated.foldingBatchNormalization()
        #expect(!folded.simulatesQuantization)
        #expect(folded.nodes == graph.foldingBatchNormalization().nodes)
        #expect(folded.initializers.names == graph.foldingBatchNormalization().initializers.names)
        #expect(folded == simulated.withoutSimulatedQuantization().graph.foldingBatchNormalization())
        #expect(folded != graph.foldingBatchNormalization())
    }

    @Test func aSkeletonAndItsParametersGiveTheGraphAgain() throws {
        let simulated = try simulated(SimulationFixtures.resnet(), [4, 3, 16, 16])
        let parameters = simulated.parameterTensors()
        let again = try Graph.load(skeleton: simulated.serializedSkeleton(), path: "x", parameters: parameters)
        #expect(again.parameterTensors() == parameters)
        #expect(again.simulatedWeights == simulated.simulatedWeights)
        #expect(try Graph.load(simulated.serialized(), path: "x").serialized() == simulated.serialized())
        let input = try SimulationFixtures.noise([2, 3, 16, 16], seed: 3)
        #expect(try Executable(again).logits(input) == Executable(simulated).logits(input))
    }

    @Test func maskedWeightsStayZeroInTrainingAndInTheFile() throws {
        let graph = try SimulationFixtures.resnet()
        let simulated = try simulated(graph, [4, 3, 16, 16])
        let name = try #require(simulated.prunableNames.dropFirst().first)
        let count = try simulated.initializers.require(name).elementCount
        var alive = Bitmap(repeating: true, count: count)
        for index in stride(from: 0, to: count, by: 3) { alive[index] = false }
        let masks = MaskSet(bitmaps: [name: alive])
        let trainer = try Trainer(simulated, optimizer: OptimizerSettings(learningRate: 0.05), masks: masks)
        let input = try SimulationFixtures.noise([8, 3, 16, 16], seed: 4)
        let labels = Tensor((0..<8).map { Int64($0 % 5) }, shape: [8])
        for _ in 0..<2 { _ = try trainer.step(Batch(input, targets: labels)) }
        let trained = try simulated.replacingParameters(trainer.parameters())
        #expect(trained.initializers[name] != simulated.initializers[name])
        let settings = QuantizationSettings(target: .int8Weights, weights: WeightScheme(bits: 4))
        let lattice = try #require(ModelQuantizer(trained, settings: settings).trained)
        let codes = try #require(lattice.weights[name]).values.elements(as: Int8.self)
        for index in stride(from: 0, to: count, by: 3) { #expect(codes[index] == 0) }
        #expect(codes.contains { $0 != 0 })
    }
}
