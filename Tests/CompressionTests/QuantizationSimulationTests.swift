import Engine
import ModelGraph
import Tensors
import Testing

@testable import Compression

/// The training graph with deployment's rounding, and the file that has its lattice.
struct QuantizationSimulationTests {
    private func largestDifference(_ a: Tensor, _ b: Tensor) -> Float {
        zip(a.floats, b.floats).reduce(0) { max($0, abs($1.0 - $1.1)) }
    }

    private func settings(_ target: DeploymentTarget, bits: Int) -> QuantizationSettings {
        QuantizationSettings(target: target, weights: WeightScheme(bits: bits, range: .leastSquares))
    }

    @Test(arguments: [DeploymentTarget.x86, .arm, .int8Weights], [2, 4])
    func theFileComputesWhatTrainingSaw(target: DeploymentTarget, bits: Int) throws {
        let graph = try SimulationFixtures.resnet()
        let batches = try (1...3).map { try SimulationFixtures.noise([8, 3, 16, 16], seed: $0) }
        let settings = settings(target, bits: bits)
        let quantizer = try ModelQuantizer(graph, settings: settings)
        let evidence = try SimulationFixtures.evidence(quantizer, batches)
        let simulated = try SimulationFixtures.movingSteps(quantizer.simulating(graph, evidence))
        #expect(simulated.simulatedWeights.count == quantizer.layers.count)
        let result = try ModelQuantizer(simulated, settings: settings).quantize(evidence)
        #expect(result.layers.count == quantizer.layers.count)
        #expect(result.layers.allSatisfy { $0.isTrained && $0.bits == bits && !$0.isCorrected })
        #expect(!result.graph.simulatesQuantization)

        let input = batches[0]
        let expected = try Executable(simulated).logits(input)
        let found = try Executable(Graph.load(result.graph.serialized(), path: "file")).logits(input)
        let plain = try Executable(graph).logits(input)
        let size = expected.floats.reduce(0) { max($0, abs($1)) }
        // With values in float only float rounding is left; with codes some value may be one step apart.
        let bound = target == .int8Weights ? size * 1e-4 : size * 0.04
        #expect(largestDifference(expected, found) <= bound)
        // The rounding itself is far larger: comparing with the wrong graph would show.
        #expect(largestDifference(plain, found) > 4 * bound)
    }

    @Test func codesAndScalesAreTheTrainedOnesTimesTheFold() throws {
        let graph = try SimulationFixtures.resnet()
        let settings = settings(.int8Weights, bits: 3)
        let quantizer = try ModelQuantizer(graph, settings: settings)
        let simulated = try SimulationFixtures.movingSteps(quantizer.simulating(graph, QuantizationEvidence()))
        let trained = try ModelQuantizer(simulated, settings: settings)
        let lattice = try #require(trained.trained)
        let convolutions = graph.nodes.filter { $0.operatorType == "Conv" }
        #expect(lattice.weights.count == convolutions.count + 1)
        for node in convolutions {
            let norm = try #require(
                graph.nodes.first { $0.operatorType == "BatchNormalization" && $0.inputs[0] == node.outputs[0] })
            let weight = try graph.initializers.require(node.inputs[1])
            let steps = try simulated.initializers.require("\(node.inputs[1]).step").floats
            let (gamma, variance) = (
                try graph.initializers.require(norm.inputs[1]).floats,
                try graph.initializers.require(norm.inputs[4]).floats
            )
            let found = try #require(lattice.weights[node.inputs[1]])
            let codes = found.values.elements(as: Int8.self)
            let inner = weight.elementCount / weight.shape[0]
            for (index, value) in weight.floats.enumerated() {
                let channel = index / inner
                let factor = Double(gamma[channel]) / (Double(variance[channel]) + 1e-5).squareRoot()
                let step = Double(abs(steps[channel]))
                let code = min(max((value / Float(step)).rounded(.toNearestOrEven), -3), 3)
                let expected = Double(code) * step * factor
                let written = Double(codes[index]) * Double(found.scales[channel])
                #expect(abs(expected - written) <= 1e-6 * max(abs(expected), 1e-6))
            }
        }
    }

    @Test func aTransposedWeightKeepsItsSteps() throws {
        let graph = try SimulationFixtures.perceptron()
        let settings = settings(.x86, bits: 3)
        let quantizer = try ModelQuantizer(graph, settings: settings)
        let batches = [try SimulationFixtures.noise([64, 6], seed: 9)]
        let evidence = try SimulationFixtures.evidence(quantizer, batches)
        let simulated = try SimulationFixtures.movingSteps(quantizer.simulating(graph, evidence))
        #expect(simulated.initializers["w.step"]?.elementCount == 9)
        #expect(simulated.initializers["v.step"]?.elementCount == 1)
        let result = try ModelQuantizer(simulated, settings: settings).quantize(evidence)
        #expect(result.layers.map(\.isTrained) == [true, true])
        let expected = try Executable(simulated).logits(batches[0])
        let found = try Executable(result.graph).logits(batches[0])
        let step = try #require(result.activations["y"] ?? result.activations["e"]).scale
        #expect(largestDifference(expected, found) <= 4 * step)
    }

    @Test func withoutTrainingItIsTheFloatModelRounded() throws {
        let graph = try SimulationFixtures.resnet()
        let settings = settings(.int8Weights, bits: 8)
        let quantizer = try ModelQuantizer(graph, settings: settings)
        let simulated = try quantizer.simulating(graph, QuantizationEvidence())
        let input = try SimulationFixtures.noise([4, 3, 16, 16], seed: 5)
        let expected = try Executable(graph).logits(input)
        let size = expected.floats.reduce(0) { max($0, abs($1)) }
        #expect(largestDifference(expected, try Executable(simulated).logits(input)) < 0.05 * size)
        #expect(simulated.withUnroundedWeights() == graph)
        #expect(simulated.simulatedWeights.allSatisfy { $0.bits == 8 })
    }

    @Test func aBudgetGivesEachLayerItsBits() throws {
        let graph = try SimulationFixtures.resnet()
        let settings = QuantizationSettings(
            target: .int8Weights, weights: WeightScheme(range: .leastSquares), amount: .averageBits(4),
            candidates: [2, 4, 8])
        let quantizer = try ModelQuantizer(graph, settings: settings)
        let evidence = try SimulationFixtures.evidence(
            quantizer, [SimulationFixtures.noise([4, 3, 16, 16], seed: 6)])
        let asked = try quantizer.quantize(evidence)
        let simulated = try quantizer.simulating(graph, evidence)
        #expect(simulated.simulatedWeights.map(\.bits) == asked.layers.map(\.bits))
        #expect(Set(asked.layers.map(\.bits)).count > 1)
        let trained = try ModelQuantizer(simulated, settings: settings).quantize(evidence)
        #expect(trained.layers.map(\.bits) == asked.layers.map(\.bits))
    }

    @Test func deadChannelsGetStepsOfTheOthers() throws {
        var graph = try SimulationFixtures.perceptron()
        var weights = try graph.initializers.require("w").floats
        for column in 0..<6 { weights[2 * 6 + column] = 0 }
        graph.initializers["w"] = Tensor(weights, shape: [9, 6])
        let quantizer = try ModelQuantizer(graph, settings: settings(.int8Weights, bits: 4))
        let simulated = try quantizer.simulating(graph, QuantizationEvidence())
        let steps = try simulated.initializers.require("w.step").floats
        let others = steps.enumerated().filter { $0.offset != 2 }.map(\.element)
        #expect(abs(steps[2] - others.reduce(0, +) / 8) < 1e-6)
    }

    @Test func whatCannotBeSimulatedIsRefusedByName() throws {
        let graph = try SimulationFixtures.perceptron()
        func objection(_ change: (inout QuantizationSettings) -> Void) throws -> String? {
            var settings = QuantizationSettings(target: .int8Weights)
            change(&settings)
            return try ModelQuantizer(graph, settings: settings).simulationObjection
        }
        #expect(try objection { _ in } == nil)
        #expect(try objection { $0 = QuantizationSettings(target: .int4) }?.contains("int4") == true)
        #expect(try objection { $0.target = .float16 }?.contains("float16") == true)
        #expect(try objection { $0.weights = WeightScheme(bits: 4, levels: .kMeans) }?.contains("uniform") == true)
        #expect(try objection { $0.weights.isSymmetric = false }?.contains("symmetric") == true)
        #expect(try objection { $0.weights.granularity = .block(32) }?.contains("blocks") == true)
        #expect(try objection { $0.weights.hasPowerOfTwoScales = true }?.contains("powers of two") == true)
        #expect(try objection { $0.equalizes = true }?.contains("equalizing") == true)
        #expect(try objection { $0.rounding = .adaptive }?.contains("nearest") == true)

        let quantizer = try ModelQuantizer(graph, settings: QuantizationSettings(target: .int8Weights))
        let simulated = try quantizer.simulating(graph, QuantizationEvidence())
        #expect(throws: ModelError.self) { try quantizer.simulating(simulated, QuantizationEvidence()) }
        // For a target that training did not simulate, the file is made of what training saw.
        let other = try ModelQuantizer(simulated, settings: QuantizationSettings(target: .float16))
        #expect(other.trained == nil && !other.deployed.simulatesQuantization)
    }
}
