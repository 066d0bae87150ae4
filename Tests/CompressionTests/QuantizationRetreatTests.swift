import Engine
import ModelGraph
import Tensors
import Testing

@testable import Compression

/// What is given up of a file, in which order, and what is left at the end.
struct QuantizationRetreatTests {
    private func model() throws -> Graph {
        try ModelBuilder.build(architecture: "mlp", inputShape: [12], classes: 4, width: 8, seed: 3)
    }

    private func quantizer(_ bits: Int, target: DeploymentTarget = .int8Weights) throws -> ModelQuantizer {
        try ModelQuantizer(
            model(),
            settings: QuantizationSettings(target: target, weights: WeightScheme(bits: bits, range: .leastSquares)))
    }

    private func table(_ quantizer: ModelQuantizer, _ costs: [[Double]]) -> QuantizationEvidence {
        QuantizationEvidence(
            sensitivities: SensitivityTable(layers: quantizer.layers.map(\.name), bits: [3, 8], costs: costs))
    }

    @Test func whatGainsMostIsGivenUpFirst() throws {
        let quantizer = try quantizer(3)
        let names = quantizer.layers.map(\.name)
        #expect(names.count == 3)
        // At 8 bits, float gains of layer 2 are larger than those that raising layer 0 brings.
        let evidence = table(quantizer, [[0.3, 0.1], [2, 0.01], [5, 0.5]])
        let expected: [[Int?]] = [
            [3, 3, 3], [3, 3, 8], [3, 8, 8], [3, 8, nil], [8, 8, nil], [nil, 8, nil], [nil, nil, nil],
        ]
        for (retreat, bits) in expected.enumerated() {
            let found = try quantizer.quantize(evidence, retreat: retreat)
            #expect(names.map { name in found.layers.first { $0.name == name }?.bits } == bits, "\(retreat)")
            #expect(found.canRetreat)
            let sentences: [String] = zip(names, bits).compactMap { name, bits in
                guard bits != 3 else { return nil }
                return "\(name): " + (bits.map { "\($0) bits" } ?? "float32") + " instead of 3 bits"
            }
            #expect(found.givenUp == sentences)
        }
    }

    @Test func atTheEndTheFileIsTheFloatModel() throws {
        let quantizer = try quantizer(8)
        let evidence = table(quantizer, [[1, 1], [1, 1], [1, 1]])
        // At the target's most bits there is one move a layer.
        let last = try quantizer.quantize(evidence, retreat: 3)
        #expect(last.layers.isEmpty && last.canRetreat && last.givenUp.count == 3)
        let plain = try CompactModel.float32(graph: model(), opset: 17)
        for retreat in [4, 100] {
            let end = try quantizer.quantize(evidence, retreat: retreat)
            #expect(!end.canRetreat && end.layers.isEmpty)
            #expect(end.givenUp.count == 1 && end.givenUp[0].hasPrefix("everything"))
            #expect(end.graph.serialized() == plain.serialized())
        }
    }

    @Test func aLayerThatIsGivenUpComputesBetter() throws {
        let quantizer = try quantizer(2)
        let evidence = table(quantizer, [[9, 0], [5, 0], [1, 0]])
        let input = try SimulationFixtures.noise([32, 12], seed: 2)
        let float = try Executable(quantizer.deployed).logits(input).floats
        var errors: [Float] = []
        for retreat in 0...3 {
            let found = try Executable(quantizer.quantize(evidence, retreat: retreat).graph).logits(input).floats
            errors.append(zip(float, found).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) })
        }
        #expect(errors[3] < errors[0] / 50, "\(errors)")
    }

    @Test func withoutSensitivitiesMomentsSayWhatCostsMost() throws {
        let quantizer = try quantizer(3)
        let moments = try QuantizationMoments(deployed: quantizer.deployed, layout: quantizer.momentLayout)
        try moments.add(SimulationFixtures.noise([64, 12], seed: 2))
        let evidence = QuantizationEvidence(moments: try moments.inputMoments())
        let asked = try quantizer.quantize(evidence)
        let worst = try #require(
            asked.layers.max { ($0.relativeError ?? 0) < ($1.relativeError ?? 0) })
        let found = try quantizer.quantize(evidence, retreat: 1)
        #expect(found.givenUp == ["\(worst.name): 8 bits instead of 3 bits"])
        // With nothing known, those that are used first.
        let first = try #require(quantizer.layers.first).name
        #expect(
            try quantizer.quantize(QuantizationEvidence(), retreat: 1).givenUp
                == ["\(first): 8 bits instead of 3 bits"])
    }

    @Test func bitsThatWereNotMeasuredAreReckonedFromTheNearest() {
        let costs = RetreatCosts(measured: [(3, 1.6), (6, 0.5)])
        #expect(costs.cost(3) == 1.6 && costs.cost(6) == 0.5)
        #expect(costs.cost(4) == 0.4 && costs.cost(2) == 6.4)
        #expect(costs.cost(8) == 0.5 / 16)
    }

    @Test func whatWasTrainedGetsItsUnroundedWeightsBack() throws {
        let graph = try SimulationFixtures.resnet()
        let settings = QuantizationSettings(
            target: .int8Weights, weights: WeightScheme(bits: 2, range: .leastSquares))
        let quantizer = try ModelQuantizer(graph, settings: settings)
        let simulated = try quantizer.simulating(graph, QuantizationEvidence())
        let trained = try ModelQuantizer(simulated, settings: settings)
        let result = try trained.quantize(QuantizationEvidence(), retreat: 1)
        let name = try #require(quantizer.layers.first).name
        #expect(result.layers.first { $0.name == name }?.isTrained == false)
        #expect(result.layers.dropFirst().allSatisfy { $0.isTrained })
        // At 8 bits the file holds nearly what was trained; at 2 bits it cannot.
        let before = try quantizer.deployed.initializers.require(name).floats
        let rounded = try trained.deployed.initializers.require(name).floats
        let unrounded = try #require(trained.trained).unrounded.initializers.require(name).floats
        #expect(before == unrounded && before != rounded)
    }
}
