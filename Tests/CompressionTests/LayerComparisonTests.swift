import Engine
import Foundation
import ModelGraph
import Tensors
import Testing

@testable import Compression

/// Comparisons as sums: over batches, over workers, on the wire, and what they say of layers.
struct LayerComparisonTests {
    private func quantized() throws -> (ModelQuantizer, QuantizedModel, QuantizationEvidence) {
        let graph = try ModelBuilder.build(
            architecture: "cnn", inputShape: [1, 12, 12], classes: 4, width: 4, seed: 3)
        let quantizer = try ModelQuantizer(
            graph, settings: QuantizationSettings(weights: WeightScheme(bits: 4, range: .leastSquares)))
        let evidence = try SimulationFixtures.evidence(quantizer, [batch(1)])
        return (quantizer, try quantizer.quantize(evidence), evidence)
    }

    private func batch(_ seed: UInt64) throws -> Tensor {
        try SimulationFixtures.noise([8, 1, 12, 12], seed: seed)
    }

    private func comparison(_ quantizer: ModelQuantizer, _ model: QuantizedModel) throws -> LayerComparison {
        try LayerComparison(deployed: quantizer.deployed, quantized: model.graph, layers: quantizer.layers)
    }

    @Test func sumsOfWorkersAreThoseOfOne() throws {
        let (quantizer, model, _) = try quantized()
        let whole = try comparison(quantizer, model)
        var merged = ComparisonSums(layers: quantizer.layers.map(\.name))
        for seed in UInt64(2)...4 {
            try whole.add(batch(seed))
            let part = try comparison(quantizer, model)
            try part.add(batch(seed))
            let bytes = part.sums.serialized()
            merged.merge(try ComparisonSums(parsing: bytes, expecting: quantizer.layers.map(\.name)))
        }
        #expect(whole.sums.outputs == 24 && merged.outputs == 24)
        #expect(whole.sums.agreeing == merged.agreeing && merged.agreeing > 0)
        for (one, other) in zip(whole.sums.agreements, merged.agreements) {
            #expect(abs(one.error - other.error) <= 1e-9 * one.error)
            #expect(one.reference > 0 && abs(one.reference - other.reference) <= 1e-9 * one.reference)
        }
    }

    @Test func sumsAreThoseOfTheLayersOutputs() throws {
        let (quantizer, model, _) = try quantized()
        let comparison = try comparison(quantizer, model)
        let input = try batch(7)
        try comparison.add(input)
        let layer = try #require(quantizer.layers.first)
        let name = try #require(layer.comparedValue(deployed: quantizer.deployed, quantized: model.graph))
        let given = NamedTensors([(try #require(quantizer.deployed.inputs.first).name, input)])
        let x = try Executable(quantizer.deployed).run(given, outputs: [name]).require(name).floats
        let y = try Executable(model.graph).run(given, outputs: [name]).require(name).floats
        let error = zip(x, y).reduce(0.0) { $0 + Double($1.0 - $1.1) * Double($1.0 - $1.1) }
        let found = try #require(comparison.sums[layer.name])
        #expect(error > 0 && abs(found.error - error) < 1e-5 * error)
    }

    @Test func aFloatFileIsTheSame() throws {
        let (quantizer, _, _) = try quantized()
        let comparison = try LayerComparison(
            deployed: quantizer.deployed, quantized: quantizer.deployed, layers: quantizer.layers)
        try comparison.add(batch(2))
        #expect(comparison.sums.agreement == 1)
        #expect(comparison.sums.agreements.allSatisfy { $0.error == 0 && $0.signalToNoise == 200 })
    }

    @Test func hostileSumsAreRefused() throws {
        let names = ["a.weight", "b"]
        var sums = ComparisonSums(layers: names)
        try sums.agreements[0].add(Tensor([Float(1), 2], shape: [2]), Tensor([Float(1), 1], shape: [2]))
        (sums.agreeing, sums.outputs) = (2, 3)
        let bytes = sums.serialized()
        #expect(try ComparisonSums(parsing: bytes, expecting: names) == sums)
        for count in bytes.indices {
            #expect(throws: CompressionError.self) {
                try ComparisonSums(parsing: Array(bytes.prefix(count)), expecting: names)
            }
        }
        #expect(throws: CompressionError.self) { try ComparisonSums(parsing: bytes + [0], expecting: names) }
        for others in [["a.weight", "c"], ["a.weighs", "b"], ["a.weightb", ""], [], ["a.weight"]] {
            #expect(throws: CompressionError.self) { try ComparisonSums(parsing: bytes, expecting: others) }
        }
        func refused(_ change: (inout ComparisonSums) -> Void) {
            var changed = sums
            change(&changed)
            #expect(throws: CompressionError.self) {
                try ComparisonSums(parsing: changed.serialized(), expecting: names)
            }
        }
        refused { $0.agreeing = 4 }
        refused { $0.outputs = 1 << 50 }
        // The numbers of the first layer follow its name.
        let start = ComparisonSums.magic.count + 20 + 4 + names[0].utf8.count
        for value in [Double.nan, .infinity, -1, -0.0] {
            var changed = bytes
            withUnsafeBytes(of: value.bitPattern.littleEndian) { changed.replaceSubrange(start..<start + 8, with: $0) }
            #expect(throws: CompressionError.self) { try ComparisonSums(parsing: changed, expecting: names) }
        }
    }

    @Test func theWorstLayersComeFirstAndHaveAdvice() throws {
        let (quantizer, model, evidence) = try quantized()
        let layers = quantizer.explain(model, evidence)
        #expect(layers.map(\.layer) == quantizer.layers.map(\.name))
        #expect(layers.allSatisfy { $0.signalToNoise == nil && $0.advice == nil && $0.scales == "channel" })
        var sums = ComparisonSums(layers: layers.map(\.layer).reversed())
        // 10 dB, nothing, 40 dB, 20.4 dB: in the order of use from the last on.
        for (index, error) in [(0, 0.1), (2, 0.0001), (3, 0.0091)] {
            sums.agreements[index] = try Agreement(reference: 1, error: error, product: 0.9, other: 1)
        }
        let compared = layers.compared(with: sums)
        #expect(compared.map(\.layer) == [3, 0, 1, 2].map { layers[$0].layer })
        #expect(compared[0].advice == "rounding adaround, or more bits")
        #expect(compared.dropFirst().allSatisfy { $0.advice == nil })
        #expect(compared[3].signalToNoise == nil && compared[0].cosine == 0.9)
        let json = try compared.json()
        #expect(try compared.json() == json)
        #expect(try JSONDecoder().decode([LayerExplanation].self, from: Data(json)) == compared)
        let text = String(decoding: json, as: UTF8.self)
        let (first, last) = (try #require(text.range(of: "advice")), try #require(text.range(of: "weights")))
        #expect(first.lowerBound < last.lowerBound)
    }

    @Test func sensitivitiesTravelAsATensor() throws {
        let table = SensitivityTable(layers: ["a", "b"], bits: [2, 4, 8], costs: [[3, 2, 1], [1e9, 0.5, 0]])
        let tensor = table.tensor
        #expect(tensor.shape.dimensions == [2, 3])
        let again = try SensitivityTable(layers: ["a", "b"], bits: [2, 4, 8], tensor: tensor)
        #expect(again.costs == [[3, 2, 1], [1e6, 0.5, 0]])
        for value in [Float.nan, .infinity, -1, -0.001, 1.1e6] {
            var values = tensor.floats
            values[4] = value
            #expect(throws: CompressionError.self) {
                try SensitivityTable(
                    layers: ["a", "b"], bits: [2, 4, 8], tensor: Tensor(values, shape: tensor.shape))
            }
        }
        for (layers, bits) in [(["a"], [2, 4, 8]), (["a", "b", "c"], [2, 4])] {
            #expect(throws: CompressionError.self) {
                try SensitivityTable(layers: layers, bits: bits, tensor: tensor)
            }
        }
        #expect(throws: CompressionError.self) {
            try SensitivityTable(
                layers: ["a", "b"], bits: [2, 4, 8],
                tensor: Tensor(Array(repeating: Int64(1), count: 6), shape: [2, 3]))
        }
    }
}
