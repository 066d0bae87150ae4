import Tensors
import Testing

@testable import ModelGraph

@Suite("What a file holds of weights, and which are left alone")
struct QuantizationStorageTests {
    /// Bytes of the initializers that are a weight's own.
    private func written(_ graph: Graph, _ weight: String) -> Int {
        graph.initializers.ordered.reduce(0) { sum, entry in
            guard entry.name == weight || entry.name.hasPrefix("\(weight).") else { return sum }
            let isFourBits = graph.fourBitNames.contains(entry.name)
            return sum + (isFourBits ? (entry.tensor.elementCount + 1) / 2 : entry.tensor.bytes.count)
        }
    }

    private static let graphs: [(graph: Graph, axis: Int)] = [
        (smallGraph([node("MatMul", ["x", "w"], ["y"])], [("w", noise([64, 96]))], input: [4, 64]), 1),
        (smallGraph([node("Conv", ["x", "w"], ["y"])], [("w", noise([33, 2, 5, 5]))], input: [2, 9, 9]), 0),
    ]

    @Test(
        "bytes are counted as they are written",
        arguments: [DeploymentTarget.x86, .x86NoVNNI, .arm, .tensorrt, .int4, .int8Weights, .dynamic], [2, 3, 4, 6, 7])
    func bytes(target: DeploymentTarget, bits: Int) throws {
        guard target != .int4 || bits <= 4 else { return }
        for (graph, axis) in Self.graphs where target != .dynamic || axis == 1 {
            let tensor = try graph.initializers.require("w")
            let block = target == .int4 && axis == 1 ? 32 : nil
            for packs in [false, true] {
                let file = try graph.sample(for: target, bits: bits, block: block, packs: packs)
                let counted = WeightStorage(target: target, packs: packs).bytes(
                    shape: tensor.shape, axis: axis, bits: bits,
                    blocks: block.map { QuantizedWeight.Blocks(axis: 1 - axis, size: $0) })
                #expect(counted == written(file, "w"), "packed: \(packs)")
            }
        }
    }

    @Test("levels and zero points are counted too")
    func parts() throws {
        for (graph, axis) in Self.graphs {
            let tensor = try graph.initializers.require("w")
            let plain = rounded(tensor, axis: axis, bits: 4)
            let codes = plain.values.elements(as: Int8.self)
            let shifted = QuantizedWeight(
                values: plain.values, scales: plain.scales, axis: axis, bits: 4,
                zeroPoints: plain.scales.indices.map { Int8($0 % 3) })
            let looked = QuantizedWeight(
                values: Tensor(elements: codes.map { $0 + 8 }, elementType: .int8, shape: tensor.shape),
                scales: plain.scales, axis: axis, bits: 4, codebook: (-8...7).map { Float($0) })
            for (weight, hasCodebook) in [(shifted, false), (looked, true)] {
                for packs in [false, true] {
                    let file = try graph.quantized(
                        for: .int8Weights, weights: ["w": weight], opset: 17, packsWeights: packs)
                    let counted = WeightStorage(target: .int8Weights, packs: packs).bytes(
                        shape: tensor.shape, axis: axis, bits: 4, hasZeroPoints: !hasCodebook, hasCodebook: hasCodebook)
                    #expect(counted == written(file, "w"), "codebook: \(hasCodebook), packed: \(packs)")
                }
            }
        }
    }

    @Test("levels that are integers stay, others become the nearest")
    func levels() {
        for largest in [63, 127] {
            let integers: [Float] = [-40, -7, 0, 3, 63]
            let kept = IntegerLevels(integers, largestCode: largest)
            #expect(kept.step == 1 && kept.codes.map(Float.init) == integers)
            let levels: [Float] = [-1, -0.37, 0, 0.11, 0.9]
            for isPower in [false, true] {
                let found = IntegerLevels(levels, largestCode: largest, hasPowerOfTwoStep: isPower)
                #expect(!isPower || found.step.significand == 1)
                #expect(found.codes.allSatisfy { abs(Int($0)) <= largest })
                for (level, code) in zip(levels, found.codes) {
                    #expect(abs(Float(code) * found.step - level) <= found.step * 0.5001)
                }
            }
        }
        #expect(IntegerLevels([0, 0], largestCode: 127).step == 1)
        let far = IntegerLevels([-200, 0, 200], largestCode: 127)
        #expect(far.codes[0] == -far.codes[2] && far.codes[1] == 0 && (64...127).contains(far.codes[2]))
    }

    @Test(
        "where weights stay float, nothing is quantized for their sake", arguments: ["cnn", "resnet20", "mobilenetv2"])
    func leftAlone(architecture: String) throws {
        let graph = try ModelBuilder.build(architecture: architecture, seed: 1).foldingBatchNormalization()
        var random = SeededGenerator(seed: 5)
        for target in [DeploymentTarget.x86, .arm, .tensorrt] {
            let weights = graph.quantizableWeights(for: target)
            let all = Set(graph.quantizationPoints(for: target))
            let activation = ActivationQuantization(scale: 0.05, zeroPoint: 0, storage: target.activationStorage)
            let activations = Dictionary(uniqueKeysWithValues: all.map { ($0, activation) })
            for _ in 0..<6 {
                let chosen = weights.filter { _ in random.index(below: 3) == 0 }
                let left = Set(weights.map(\.name)).subtracting(chosen.map(\.name))
                let points = graph.quantizationPoints(for: target, leavingFloat: left)
                #expect(all.isSuperset(of: points))
                var codes: [String: QuantizedWeight] = [:]
                for (name, axis) in chosen { codes[name] = rounded(try graph.initializers.require(name), axis: axis) }
                let file = try graph.quantized(
                    for: target, activations: activations.filter { points.contains($0.key) }, weights: codes, opset: 17)
                let integers = file.fusionAudit(for: target).entries.filter { $0.kernel == .integer }
                let nodes = Set(integers.map(\.name))
                for (index, node) in graph.nodes.enumerated() where node.inputs.count > 1 {
                    if codes[node.inputs[1]] != nil { #expect(nodes.contains(node.name), "\(index): \(node.name)") }
                }
                // More ranges than are needed are no mistake.
                let again = try graph.quantized(
                    for: target, activations: activations, weights: codes, opset: 17)
                #expect(again == file)
            }
            let plain = try graph.quantized(for: target, activations: activations, weights: [:], opset: 17)
            #expect(architecture == "mobilenetv2" || !plain.nodes.contains { $0.operatorType == "QuantizeLinear" })
        }
    }

    @Test("a file that is quantized already is named as such")
    func alreadyQuantized() throws {
        for (graph, axis) in Self.graphs {
            #expect(graph.reasonAlreadyQuantized == nil)
            for target in [DeploymentTarget.x86, .tensorrt, .int4, .int8Weights, .dynamic]
            where target != .dynamic || axis == 1 {
                for bits in [3, 4] {
                    let file = try graph.sample(for: target, bits: bits)
                    #expect(file.reasonAlreadyQuantized?.contains("quantized already") == true, "\(target)")
                    #expect(throws: ModelError.self) { try file.quantized(for: .float16, opset: 21) }
                }
            }
        }
        for type in ["QLinearMatMul", "QLinearConv", "ConvInteger", "MatMulInteger", "DynamicQuantizeLinear"] {
            let file = smallGraph([node(type, ["x", "w"], ["y"])])
            #expect(file.reasonAlreadyQuantized?.contains("'y_node' (\(type))") == true)
        }
        // A table of numbers that are looked up is no weight.
        let table = smallGraph([node("Gather", ["table", "x"], ["y"])], [("table", noise([4, 4]))])
        #expect(table.reasonAlreadyQuantized == nil)
    }
}

@Suite("Powers of two stay powers of two")
struct QuantizationPowerTests {
    @Test("a range that is cut keeps a power of two, covers what is left and goes no lower")
    func ranges() {
        let bounds: [ClosedRange<Float>] = [0...Float.infinity, 0...6, -1...1, -0.5...3]
        for storage in [ActivationQuantization.Storage.uint8, .int8] {
            for bounds in bounds {
                for (exponent, offset) in [(-4, Int32(110)), (-5, 0), (-3, 40), (-10, 100)] {
                    let before = ActivationQuantization(
                        scale: Float(sign: .plus, exponent: exponent, significand: 1),
                        zeroPoint: storage.codes.lowerBound + offset, storage: storage, isPowerOfTwo: true)
                    let after = before.clamped(to: bounds)
                    #expect(after.isPowerOfTwo && after.scale.significand == 1)
                    #expect(Float(storage.codes.lowerBound - after.zeroPoint) * after.scale >= bounds.lowerBound)
                    let high = min(Float(storage.codes.upperBound - before.zeroPoint) * before.scale, bounds.upperBound)
                    #expect(Float(storage.codes.upperBound - after.zeroPoint) * after.scale >= high)
                    #expect(after.clamped(to: bounds) == after, "cutting again changes nothing")
                }
            }
        }
    }

    @Test("a scale that rises for its bias rises to a power of two where all are such")
    func raisedScales() throws {
        let graph = smallGraph(
            [node("Gemm", ["x", "w", "b"], ["y"])],
            [("w", ramp([4, 2])), ("b", floatTensor([1e6, 0], shape: [2]))], input: [4])
        let activation = ActivationQuantization(scale: 0.001, zeroPoint: 0)
        let activations = Dictionary(uniqueKeysWithValues: graph.quantizationPoints().map { ($0, activation) })
        for scales: [Float] in [[0.0625, 0.03125], [0.0625, 0.03]] {
            let weight = QuantizedWeight(
                values: Tensor(elements: (-4..<4).map { Int8($0) }, elementType: .int8, shape: [4, 2]), scales: scales,
                axis: 1)
            let file = try graph.quantizedQDQ(activations: activations, weights: ["w": weight], opset: 17)
            let found = try file.initializers.require("w.scale").floats
            let least = Float(2e6 / 4_294_967_295 / Double(activation.scale))
            #expect(found[0] >= least && found[1] == scales[1])
            #expect((found[0].significand == 1) == (scales[1].significand == 1))
        }
    }

    @Test("ranges are reported as they are written")
    func reported() throws {
        let graph = smallGraph(
            [node("Conv", ["x", "w"], ["c"]), node("Relu", ["c"], ["r"]), node("Conv", ["r", "v"], ["y"])],
            [("w", noise([4, 2, 1, 1])), ("v", noise([2, 4, 1, 1]))])
        let wide = ActivationQuantization(scale: 0.05, zeroPoint: 100)
        let given = Dictionary(uniqueKeysWithValues: graph.quantizationPoints().map { ($0, wide) })
        let found = graph.clampingRanges(of: given, for: .x86)
        #expect(found["r"]?.zeroPoint == 0 && found["x"] == wide && found.count == given.count)
        let file = try graph.quantizedQDQ(activations: given, weights: [:], opset: 17)
        #expect(file.nodes.count == 3)
        var codes: [String: QuantizedWeight] = [:]
        for (name, axis) in graph.quantizableWeights() {
            codes[name] = rounded(try graph.initializers.require(name), axis: axis)
        }
        let written = try graph.quantizedQDQ(activations: given, weights: codes, opset: 17)
        #expect(try written.initializers.require("r.scale").floats == [try #require(found["r"]).scale])
        // For TensorRT nothing is cut.
        #expect(graph.clampingRanges(of: given, for: .tensorrt) == given)
    }
}
