import Foundation
import ModelGraph
import Tensors
import Testing

@testable import Compression
@testable import Engine

/// Whole models: evidence, bits, rounding and what is said of it.
struct ModelQuantizerTests {
    private func model() throws -> Graph {
        try ModelBuilder.build(architecture: "cnn", inputShape: [1, 12, 12], classes: 4, width: 8, seed: 3)
    }

    private func batch(_ count: Int, seed: UInt64) -> Tensor {
        var generator = SeededGenerator(seed: seed)
        return Tensor(
            (0..<count * 144).map { _ in Float.random(in: -1...1, using: &generator) }, shape: [count, 1, 12, 12])
    }

    private func evidence(_ quantizer: ModelQuantizer) throws -> QuantizationEvidence {
        let calibrator = try Calibrator(deployed: quantizer.deployed, points: quantizer.points)
        let moments = try QuantizationMoments(deployed: quantizer.deployed, layout: quantizer.momentLayout)
        for seed in 1...4 {
            try calibrator.add(batch(16, seed: UInt64(seed)))
            try moments.add(batch(16, seed: UInt64(seed)))
        }
        var evidence = QuantizationEvidence(calibration: calibrator.result, moments: try moments.inputMoments())
        if quantizer.needsSensitivities {
            let meter = try SensitivityMeter(
                deployed: quantizer.deployed, layers: quantizer.layers, scheme: quantizer.settings.weights,
                bits: quantizer.candidates)
            try meter.add(batch(16, seed: 9))
            evidence.sensitivities = try meter.table()
        }
        return evidence
    }

    @Test func theSameEvidenceGivesTheSameBytes() throws {
        let settings = QuantizationSettings(
            weights: WeightScheme(bits: 4, range: .leastSquares), rounding: .adaptive, amount: .averageBits(4))
        let quantizer = try ModelQuantizer(model(), settings: settings)
        let evidence = try evidence(quantizer)
        let first = try quantizer.quantize(evidence)
        let again = try ModelQuantizer(model(), settings: settings).quantize(evidence)
        #expect(first.graph.serialized() == again.graph.serialized())
        #expect(first.layers.count == quantizer.layers.count)
        let bits = first.layers.reduce(0) { $0 + $1.weights * $1.bits }
        #expect(Double(bits) <= 4 * Double(first.layers.reduce(0) { $0 + $1.weights }))
    }

    @Test func moreBitsLoseLess() throws {
        var noise: [Double] = []
        for bits in [3, 5, 8] {
            let quantizer = try ModelQuantizer(
                model(), settings: QuantizationSettings(weights: WeightScheme(bits: bits, range: .leastSquares)))
            let evidence = try evidence(quantizer)
            let result = try quantizer.quantize(evidence)
            let comparison = try LayerComparison(
                deployed: quantizer.deployed, quantized: result.graph, layers: quantizer.layers)
            try comparison.add(batch(32, seed: 20))
            #expect(comparison.sums.outputs == 32)
            let layers = quantizer.explain(result, evidence).compared(with: comparison.sums)
            #expect(layers.count == quantizer.layers.count)
            #expect(abs(layers.reduce(0) { $0 + $1.shareOfBytes } - 1) < 1e-9)
            #expect(abs(layers.reduce(0) { $0 + ($1.shareOfMacs ?? 0) } - 1) < 1e-9)
            let ratios = layers.compactMap(\.signalToNoise)
            #expect(ratios.count == layers.count && ratios == ratios.sorted())
            noise.append(try #require(ratios.first))
        }
        #expect(noise[0] + 6 < noise[1] && noise[1] + 3 < noise[2], "\(noise)")
    }

    @Test func sensitivitiesFallWithBitsAndAreThoseOfTheModel() throws {
        let quantizer = try ModelQuantizer(
            model(), settings: QuantizationSettings(amount: .averageBits(4), candidates: [2, 4, 8]))
        let input = batch(16, seed: 5)
        let meter = try SensitivityMeter(
            deployed: quantizer.deployed, layers: quantizer.layers, scheme: WeightScheme(), bits: [2, 4, 8])
        try meter.add(input)
        let table = try meter.table()
        for costs in table.costs { #expect(costs[0] > costs[1] && costs[1] > costs[2] && costs[2] >= 0) }
        // One entry by the long way.
        let layer = quantizer.layers[1]
        var graph = quantizer.deployed
        let weight = try graph.initializers.require(layer.name)
        graph.initializers[layer.name] = try WeightQuantizer.quantize(
            weight, axis: layer.axis, scheme: WeightScheme(bits: 2), name: layer.name
        ).dequantized()
        let (one, other) = (
            try Executable(quantizer.deployed).logits(input).floats, try Executable(graph).logits(input).floats
        )
        var expected = 0.0
        for row in 0..<16 {
            func logarithms(_ values: [Float]) -> [Double] {
                let row = values[row * 4..<row * 4 + 4].map(Double.init)
                let total = log(row.reduce(0) { $0 + exp($1) })
                return row.map { $0 - total }
            }
            for (a, b) in zip(logarithms(one), logarithms(other)) { expected += exp(a) * (a - b) / 16 }
        }
        #expect(abs(table.costs[1][0] - expected) < 1e-6 * max(1, expected))
        #expect(table.cost(of: layer.name, bits: 2) == table.costs[1][0])
        #expect(table.cost(of: "nothing", bits: 2) == nil)
    }

    @Test func correctedBiasesBringTheMeanBack() throws {
        var means: [Double] = []
        for corrects in [false, true] {
            let quantizer = try ModelQuantizer(
                model(),
                settings: QuantizationSettings(
                    target: .int8Weights, weights: WeightScheme(bits: 2), correctsBiases: corrects))
            let result = try quantizer.quantize(evidence(quantizer))
            var sum = 0.0
            for seed in 1...4 {
                let input = batch(16, seed: UInt64(seed))
                let name = try #require(quantizer.deployed.nodes.first { $0.operatorType == "Conv" }?.outputs.first)
                let x = try Executable(quantizer.deployed).run(NamedTensors([("input", input)]), outputs: [name])
                let y = try Executable(result.graph).run(NamedTensors([("input", input)]), outputs: [name])
                for (a, b) in zip(try x.require(name).floats, try y.require(name).floats) { sum += Double(b - a) }
            }
            means.append(abs(sum))
        }
        #expect(means[1] < means[0] / 50, "\(means)")
    }

    @Test func whatIsAskedOfItMustBePossible() throws {
        let graph = try model()
        func failure(_ settings: QuantizationSettings) -> String {
            do {
                _ = try ModelQuantizer(graph, settings: settings)
                return ""
            } catch { return "\(error)" }
        }
        #expect(failure(QuantizationSettings(excluded: ["conv1.wieght"])).contains("conv1.weight"))
        #expect(failure(QuantizationSettings(amount: .averageBits(1))).contains("between 2 and 8"))
        #expect(failure(QuantizationSettings(amount: .bytes(0))).contains("0 bytes"))
        #expect(failure(QuantizationSettings(weights: WeightScheme(levels: .kMeans))).contains("2 to 7"))
        #expect(failure(QuantizationSettings(candidates: [4, 3])).contains("ascending"))
        #expect(failure(QuantizationSettings(target: .float16, rounding: .adaptive)).contains("integer weights"))
        #expect(failure(QuantizationSettings(target: .int4, weights: WeightScheme())).contains("4 bits at most"))
        let quantizer = try ModelQuantizer(graph, settings: QuantizationSettings(excluded: ["conv1.weight"]))
        #expect(!quantizer.layers.map(\.name).contains("conv1.weight"))
        #expect(throws: CompressionError.self) { try quantizer.quantize(QuantizationEvidence()) }
    }

    /// Before anything is measured.
    @Test func whatATargetCannotHoldIsRefusedAtOnce() throws {
        let graph = try model()
        func failure(_ settings: QuantizationSettings, _ graph: Graph) -> String {
            do {
                _ = try ModelQuantizer(graph, settings: settings)
                return ""
            } catch { return "\(error)" }
        }
        func failure(
            _ target: DeploymentTarget, _ scheme: WeightScheme, opset: Int64? = nil, equalizes: Bool = false
        ) -> String {
            failure(
                QuantizationSettings(target: target, weights: scheme, equalizes: equalizes, opset: opset), graph)
        }
        #expect(failure(.x86, WeightScheme(isSymmetric: false)).contains("quantize it symmetrically"))
        #expect(failure(.arm, WeightScheme(granularity: .block(32))).contains("one scale a channel"))
        #expect(failure(.tensorrt, WeightScheme(bits: 4, levels: .kMeans)).contains("uniform steps"))
        #expect(failure(.x86NoVNNI, WeightScheme(bits: 8)).contains("7 bits at most"))
        #expect(failure(.int4, WeightScheme(bits: 4, levels: .kMeans)).contains("uniform steps"))
        #expect(failure(.int4, WeightScheme(bits: 4, granularity: .block(8))).contains("power of two"))
        #expect(failure(.int8Weights, WeightScheme(granularity: .block(32)), opset: 17).contains("opset 21"))
        #expect(failure(.int4, WeightScheme(for: .int4), opset: 17).contains("raise the opset"))
        #expect(failure(.float16, WeightScheme(bits: 4)).contains("integer weights"))
        #expect(failure(.float32, WeightScheme(), equalizes: true).contains("integer weights"))
        #expect(failure(.x86, WeightScheme(bits: 5, levels: .powersOfTwo)).contains("2 to 4 bits"))
        #expect(failure(.float16, WeightScheme()).isEmpty && failure(.x86, WeightScheme(for: .x86)).isEmpty)
        // A file that is quantized already, by the node that shows it.
        let quantizer = try ModelQuantizer(graph, settings: QuantizationSettings())
        let file = try quantizer.quantize(quantizer.rehearsalEvidence()).graph
        #expect(failure(QuantizationSettings(), file).contains("QuantizeLinear"))
        #expect(failure(QuantizationSettings(target: .float16), file).contains("quantized already"))
    }

    /// A convolution of volumes becomes integers too, rounded to the nearest.
    @Test func whatCannotBeMeasuredIsQuantizedAllTheSame() throws {
        var generator = SeededGenerator(seed: 8)
        func noise(_ extents: [Int]) throws -> Tensor {
            let shape = try Shape(extents)
            return Tensor(
                (0..<shape.elementCount).map { _ in Float.random(in: -1...1, using: &generator) }, shape: shape)
        }
        let graph = Graph(
            name: "volumes",
            nodes: [
                Node(name: "c3", operatorType: "Conv", inputs: ["x", "w3"], outputs: ["h"]),
                Node(name: "r", operatorType: "Relu", inputs: ["h"], outputs: ["a"]),
                Node(name: "f", operatorType: "Flatten", inputs: ["a"], outputs: ["v"]),
                Node(name: "g", operatorType: "Gemm", inputs: ["v", "w", "b"], outputs: ["y"]),
            ],
            inputs: [
                ValueInfo(
                    name: "x", elementType: .float32,
                    dimensions: [.symbolic("n"), .fixed(1), .fixed(4), .fixed(4), .fixed(4)])
            ],
            outputs: [ValueInfo(name: "y", elementType: .float32, dimensions: nil)],
            initializers: NamedTensors([
                ("w3", try noise([2, 1, 3, 3, 3])), ("w", try noise([16, 5])), ("b", try noise([5])),
            ]))
        let quantizer = try ModelQuantizer(graph, settings: QuantizationSettings(rounding: .errorFeedback))
        #expect(quantizer.layers.map(\.name) == ["w3", "w"])
        #expect(quantizer.momentLayout.leftOut == ["w3"] && quantizer.momentLayout.layers.map(\.name) == ["w"])
        let result = try quantizer.quantize(quantizer.rehearsalEvidence())
        #expect(result.layers.map(\.name) == ["w3", "w"] && result.layers[0].rounding == .nearest)
        #expect(result.graph.initializers["w3.quantized"]?.elementType == .int8)
    }

    /// What a bias cannot take is not said to be corrected, and rounded with the mean in mind.
    @Test func onlyBiasesThatExistCorrect() throws {
        var graph = LowRankFixtures.graph("MatMul", x: [4, 6], weight: QuantizationFixtures.weights([6, 3], seed: 4))
        let quantizer = try ModelQuantizer(
            graph, settings: QuantizationSettings(target: .int8Weights, weights: WeightScheme(bits: 3)))
        let moments = try QuantizationMoments(deployed: quantizer.deployed, layout: quantizer.momentLayout)
        let inputs = QuantizationFixtures.weights([4, 6], seed: 9)
        try moments.add(Tensor(inputs.floats.map { $0 + 1 }, shape: [4, 6]))
        let evidence = QuantizationEvidence(moments: try moments.inputMoments())
        let bare = try #require(try quantizer.quantize(evidence).layers.first)
        #expect(!bare.isCorrected)
        let output = try #require(graph.nodes.last?.outputs.first)
        graph.nodes.append(Node(name: "sum", operatorType: "Add", inputs: [output, "b"], outputs: ["biased"]))
        graph.initializers["b"] = Tensor(zeros: [3])
        graph.outputs = [ValueInfo(name: "biased", elementType: .float32, dimensions: nil)]
        let biased = try ModelQuantizer(graph, settings: quantizer.settings)
        #expect(try #require(try biased.quantize(evidence).layers.first).isCorrected)
    }

    /// Ranges are those of the file, and powers of two where these are asked for.
    @Test func reportedRangesAreTheFiles() throws {
        for powers in [false, true] {
            let quantizer = try ModelQuantizer(
                model(),
                settings: QuantizationSettings(
                    weights: WeightScheme(hasPowerOfTwoScales: powers), hasPowerOfTwoActivations: powers))
            let result = try quantizer.quantize(evidence(quantizer))
            for (name, activation) in result.activations {
                let scale = try result.graph.initializers.require("\(name).scale").floats
                #expect(scale == [activation.scale], "\(name)")
                #expect(!powers || activation.scale.significand == 1)
            }
        }
    }

    @Test(arguments: [[6, 4], [2, 3, 5], [2, 3, 4, 4], [5, 1]]) func divergenceIsThatOfTheDefinition(extents: [Int])
        throws
    {
        var generator = SeededGenerator(seed: 4)
        let shape = try Shape(extents)
        let make = { (generator: inout SeededGenerator) in
            Tensor((0..<shape.elementCount).map { _ in Float.random(in: -3...3, using: &generator) }, shape: shape)
        }
        let (one, other) = (make(&generator), make(&generator))
        let found = OutputDivergence.sum(reference: one, candidate: other)
        let axis = extents.count == 4 ? 1 : extents.count - 1
        #expect(found.rows == shape.elementCount / extents[axis])
        let stride = extents[(axis + 1)...].reduce(1, *)
        var expected = 0.0
        for start in 0..<shape.elementCount where start / stride % extents[axis] == 0 {
            let places = (0..<extents[axis]).map { start + $0 * stride }
            let a = places.map { Double(one.floats[$0]) }
            let b = places.map { Double(other.floats[$0]) }
            if places.count == 1 {
                expected += (a[0] - b[0]) * (a[0] - b[0])
                continue
            }
            let (sumA, sumB) = (a.reduce(0) { $0 + exp($1) }, b.reduce(0) { $0 + exp($1) })
            for (x, y) in zip(a, b) { expected += exp(x) / sumA * (log(exp(x) / sumA) - log(exp(y) / sumB)) }
        }
        #expect(abs(found.sum - expected) < 1e-9 * max(1, expected))
        #expect(OutputDivergence.sum(reference: one, candidate: one).sum < 1e-12)
    }
}
