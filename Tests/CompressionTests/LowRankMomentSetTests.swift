import Engine
import ModelGraph
import Tensors
import Testing

@testable import Compression

/// Moments on their way from workers to the coordinator.
@Suite struct LowRankMomentSetTests {
    private static let graph = try? ModelBuilder.build(
        architecture: "cnn", inputShape: [1, 12, 12], classes: 10, width: 4, seed: 1)

    private static func set(_ samples: Range<Int>) throws -> (MomentSet, MomentLayout) {
        let graph = try #require(graph)
        let layout = MomentLayout(try graph.factorizableLayers().layers, choice: .auto)
        let moments = try SecondMoments(graph, layout: layout)
        let x = try RandomBatch.inputs(for: graph, rows: 6).require("x")
        let values = Array(x.floats[(144 * samples.lowerBound)..<(144 * samples.upperBound)])
        try moments.add(NamedTensors([("x", Tensor(values, shape: [samples.count, 1, 12, 12]))]))
        return (try moments.set(), layout)
    }

    @Test func aSetSurvivesItsBytes() throws {
        let (set, layout) = try Self.set(0..<6)
        let bytes = set.serialized()
        #expect(bytes.count == MomentSet.byteCount(of: layout))
        #expect(try MomentSet(parsing: bytes, expecting: layout) == set)
        let description = try MomentDescription(describing: bytes)
        #expect(description.layers.map(\.name) == layout.layers.map(\.name))
        #expect(description.layers.allSatisfy { $0.size > 0 && $0.rootMeanSquare > 0 && $0.largest > 0 })
    }

    @Test func everythingHostileIsRefused() throws {
        let (set, layout) = try Self.set(0..<2)
        let bytes = set.serialized()
        func refused(_ bytes: [UInt8]) -> Bool {
            do {
                _ = try MomentSet(parsing: bytes, expecting: layout)
                return false
            } catch { return "\(error)".contains("cannot be used") }
        }
        for length in stride(from: 0, to: bytes.count, by: 97) { #expect(refused(Array(bytes[..<length]))) }
        #expect(refused(bytes + [0]) && refused([]))
        // Any other head: magic, number of layers, names, extents.
        let head = bytes.count - 4 * set.triangles.reduce(0) { $0 + $1.count }
        for place in 0..<head {
            var other = bytes
            other[place] ^= 0x41
            #expect(refused(other), "byte \(place)")
        }
        func with(_ value: Float, at number: Int) -> [UInt8] {
            var other = bytes
            withUnsafeBytes(of: value.bitPattern.littleEndian) { raw in
                for (place, byte) in raw.enumerated() { other[head + 4 * number + place] = byte }
            }
            return other
        }
        for value in [Float.nan, .infinity, -.infinity, -1, 0x1p61] { #expect(refused(with(value, at: 0)), "\(value)") }
        // Beside the diagonal: more than it allows, or nothing that can be compared.
        let far = set.sizes[0] > 1 ? 1 : set.sizes[0]
        for value in [Float.nan, .infinity, 1e6, -1e6] { #expect(refused(with(value, at: far)), "\(value)") }
    }

    /// Whatever order they come in, as long as the sum is made in one: the mean of shards is that of all data.
    @Test func workersTogetherAreOneThatHoldsAll() throws {
        let (whole, layout) = try Self.set(0..<6)
        var fold = MomentFold(layout)
        for samples in [0..<1, 1..<3, 3..<6] { fold.add(try Self.set(samples).0, weight: UInt32(samples.count)) }
        var alone = MomentFold(layout)
        alone.add(whole, weight: 6)
        let (folded, expected) = (fold.means(), alone.means())
        #expect(folded.names == layout.layers.map(\.name) && folded.names == expected.names)
        for (name, tensor) in expected.ordered {
            let largest = tensor.floats.map(abs).max() ?? 0
            for (a, b) in zip(tensor.floats, try folded.require(name).floats) { #expect(abs(a - b) <= 1e-5 * largest) }
        }
    }

    /// Of a layer with fewer outputs than inputs the outputs are measured, without the bias, however it is written; the
    /// factors are as good as those by the inputs.
    @Test(arguments: ["MatMul", "Gemm", "Conv"]) func outputsSayAsMuchAsInputs(_ type: String) throws {
        var random = SeededGenerator(seed: 31)
        let isConvolution = type == "Conv"
        let weight =
            isConvolution
            ? try LowRankFixtures.tensor([5, 9, 1, 1], &random) : try LowRankFixtures.tensor([9, 5], &random)
        let bias: Tensor? = type == "MatMul" ? nil : Tensor([3, -4, 5, -6, 7] as [Float], shape: [5])
        let extents = isConvolution ? [4, 9, 6, 6] : [60, 9]
        let graph = LowRankFixtures.graph(
            type, x: extents, weight: weight, bias: bias,
            attributes: isConvolution ? ["strides": .ints([2, 2])] : type == "Gemm" ? ["beta": .float(0.5)] : [:])
        // Few directions and a mean that is not zero.
        let mixing = LowRankReference.matrix(3, 9, &random)
        let places = isConvolution ? 4 * 36 : 60
        let rows = LowRankReference.product(LowRankReference.matrix(places, 3, &random), mixing)
        let x =
            isConvolution
            ? FactorizableLayer.tensor(
                Matrix(
                    rows: 4, columns: 324,
                    values: (0..<4).flatMap { n in (0..<9).flatMap { c in (0..<36).map { rows[n * 36 + $0, c] + 1 } } }),
                extents)
            : FactorizableLayer.tensor(Matrix(rows: 60, columns: 9, values: rows.values.map { $0 + 1 }), extents)
        let layer = try #require(try graph.factorizableLayers().layers.first)
        #expect(layer.readsOutputs)
        var read = layer
        read.output = nil
        func moment(_ layer: FactorizableLayer) throws -> Tensor {
            let moments = try SecondMoments(graph, layers: [layer])
            try moments.add(NamedTensors([("x", x)]))
            return try moments.means().require("w")
        }
        let (outputs, inputs) = (try moment(layer), try moment(read))
        #expect(outputs.shape == [5, 5] && inputs.shape == [9, 9])
        let product = try layer.matrix(weight, .svd).times(
            Matrix(rows: 9, columns: 9, values: inputs.floats.map(Double.init)))
        let expected = try product.times(layer.matrix(weight, .svd), transposingOther: true)
        for (a, b) in zip(outputs.floats, expected.values) { #expect(abs(Double(a) - b) <= 1e-4 * max(1, abs(b))) }
        for rank in 1...4 {
            let first = try LayerDecomposer(layer, weight: weight, moment: outputs)
            let second = try LayerDecomposer(read, weight: weight, moment: inputs)
            let (a, b) = (try first.factors(.svd, .single(rank)), try second.factors(.svd, .single(rank)))
            #expect(abs(a.kept - b.kept) < 1e-4)
            #expect(a.tensors.map(\.shape) == b.tensors.map(\.shape))
            let changed = [a, b].map {
                graph.factorized([LayerFactors(layer: layer, method: .svd, tensors: $0.tensors)])
            }
            let truth = try Executable(graph).logits(x).floats
            let errors = try changed.map { graph in
                zip(truth, try Executable(graph).logits(x).floats).reduce(0.0) {
                    $0 + Double($1.0 - $1.1) * Double($1.0 - $1.1)
                }
            }
            let energy = truth.reduce(0.0) { $0 + Double($1) * Double($1) }
            #expect(errors[0] <= errors[1] * 1.01 + 1e-6 * energy, "\(errors) at rank \(rank)")
        }
    }

    /// The smallest moments come first, and what is too much is left out by name.
    @Test func memoryIsBounded() {
        let layers = (0..<4).map { LowRankRankTests.layer("w\($0)", inputs: 4000 - $0, outputs: 4000) }
        let layout = MomentLayout(layers, choice: .auto)
        #expect(layout.layers.map(\.name) == ["w2", "w3"] && layout.leftOut == ["w0", "w1"])
        #expect(MomentSet.byteCount(of: layout) <= MomentSet.byteLimit)
        let narrow = MomentLayout([LowRankRankTests.layer("w", inputs: 4097, outputs: 4097)], choice: .auto)
        #expect(narrow.layers.isEmpty && narrow.leftOut == ["w"])
    }

    @Test func layersWithDeadWeightsStay() throws {
        let graph = try #require(Self.graph)
        var masks = MaskSet(epoch: 1)
        for name in ["fc1.weight", "fc2.weight"] {
            masks.bitmaps[name] = Bitmap(repeating: true, count: try graph.initializers.require(name).elementCount)
        }
        masks.bitmaps["fc1.weight"]?[3] = false
        let found = try LayerSelection().layers(of: graph, masks: masks)
        #expect(!found.layers.map(\.name).contains("fc1.weight") && found.layers.map(\.name).contains("fc2.weight"))
        #expect(found.refused.contains { $0.name == "fc1.weight" && $0.reason == LayerSelection.maskedReason })
        #expect(throws: CompressionError.notFactorizable(layer: "fc1.weight", reason: LayerSelection.maskedReason)) {
            try LayerSelection(only: ["fc1"]).layers(of: graph, masks: masks)
        }
        // Once names were checked, what is gone counts for nothing.
        let lenient = LayerSelection(only: ["fc1", "fc2", "gone"], excluded: ["gone too"], checksNames: false)
        #expect(try lenient.layers(of: graph, masks: masks).layers.map(\.name) == ["fc2.weight"])
    }

    /// What the methods can do nothing with is neither measured nor counted.
    @Test func largerKernelsAreNotMeantBySVD() throws {
        let graph = try #require(Self.graph)
        let found = try LayerSelection(choice: .svd).layers(of: graph)
        #expect(!found.layers.isEmpty && found.layers.allSatisfy(\.isMatrix))
        #expect(found.refused.contains { $0.name == "conv2.weight" && $0.reason.contains("spatial or tucker") })
        #expect(try LayerSelection().layers(of: graph).layers.contains { $0.name == "conv2.weight" })
    }

    @Test func rehearsalsKnowWhatNoWeightsWillMend() throws {
        let graph = try #require(Self.graph)
        func rehearsed(_ rule: RankRule) throws -> FactorizedModel? {
            try Factorizer(graph: graph, settings: FactorizationSettings(rule: rule, multiple: 1)).rehearse()
        }
        // Weights that were never trained keep no such energy in few ranks; they will.
        #expect(throws: CompressionError.self) {
            try Factorizer(graph: graph, settings: FactorizationSettings(rule: .energy(0.999), multiple: 1)).factorize()
        }
        let assumed = try #require(try rehearsed(.energy(0.999)))
        #expect(assumed.graph.trainableElementCount < graph.trainableElementCount)
        let tiny = try ModelBuilder.build(
            architecture: "cnn", inputShape: [1, 12, 12], classes: 2, width: 1, seed: 1)
        #expect(throws: CompressionError.self) {
            try Factorizer(
                graph: tiny, settings: FactorizationSettings(rule: .energy(0.5), choice: .tucker, only: ["conv1"])
            ).rehearse()
        }
        #expect(throws: CompressionError.self) { try rehearsed(.budget(RankBudget(.macs, share: 0.001))) }
        // What stands in for decompositions of large layers has their shapes and meets the same budgets.
        let factorizer = try Factorizer(
            graph: graph,
            settings: FactorizationSettings(rule: .budget(RankBudget(.parameters, share: 0.6)), multiple: 1))
        let quick = try factorizer.factorize(factorizer.layers.map(AssumedDecomposer.init))
        let left = Double(quick.graph.trainableElementCount) / Double(graph.trainableElementCount)
        #expect(left <= 0.6 && left > 0.4)
        #expect(try quick.graph.multiplyAccumulates() < graph.multiplyAccumulates())
    }
}
