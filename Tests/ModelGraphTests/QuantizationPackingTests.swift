import Tensors
import Testing

@testable import ModelGraph

@Suite("Packed weights")
struct QuantizationPackingTests {
    /// What the unpacking nodes of a file compute, node by node.
    private func unpacked(_ graph: Graph, _ value: String) throws -> [Int] {
        if let tensor = graph.initializers[value] {
            return try #require(tensor.convertedToInt64()).elements(as: Int64.self).map(Int.init)
        }
        let node = try #require(graph.producer(of: value))
        let inputs = try node.inputs.map { try unpacked(graph, $0) }
        switch node.operatorType {
        case "Cast": return inputs[0]
        case "Reshape": return inputs[0]
        case "Add": return zip(inputs[0], inputs[1]).map(+)
        case "Slice": return Array(inputs[0][inputs[1][0]..<inputs[2][0]])
        case "Gather":
            let width = try #require(graph.initializers[node.inputs[0]]).shape.dimensions.dropFirst().reduce(1, *)
            return inputs[1].flatMap { inputs[0][$0 * width..<($0 + 1) * width] }
        default:
            Issue.record("unexpected \(node.operatorType)")
            return []
        }
    }

    @Test("planes hold every code of every width", arguments: 2...7)
    func planes(bits: Int) throws {
        var generator = SeededGenerator(seed: UInt64(bits))
        for count in [1, 7, 8, 9, 1_000, 1_003] {
            let codes = (0..<count).map { _ in UInt8(generator.next() % (1 << UInt64(bits))) }
            let packed = PackedCodes(codes, bits: bits)
            #expect(packed.planes.map(\.bits).reduce(0, +) == bits)
            #expect(packed.byteCount == (count + 7) / 8 * bits)
            var found = [Int](repeating: 0, count: packed.paddedCount)
            for plane in packed.planes {
                let table = PackedCodes.table(bits: plane.bits, shift: plane.shift, offset: 0).elements(as: Int8.self)
                let perByte = 8 / plane.bits
                for index in found.indices {
                    found[index] += Int(table[Int(plane.bytes[index / perByte]) * perByte + index % perByte])
                }
            }
            #expect(found[..<count].elementsEqual(codes.map(Int.init)))
        }
    }

    @Test("a packed file unpacks to the codes of the plain one and is as small as its bits", arguments: 2...8)
    func file(bits: Int) throws {
        for shape: Shape in [[96, 64], [61, 67]] {
            let graph = smallGraph([node("MatMul", ["x", "w"], ["y"])], [("w", noise(shape))], input: [shape[0]])
            let plain = try graph.sample(for: .x86, bits: bits, packs: false)
            let packed = try graph.sample(for: .x86, bits: bits)
            let codes = try plain.initializers.require("w.quantized").elements(as: Int8.self).map(Int.init)
            let source = try #require(packed.producer(of: "w")).inputs[0]
            #expect(try unpacked(packed, source) == codes)
            let again = packed.unpackingWeights()
            let unfolded = try again.initializers.require(try #require(again.producer(of: "w")).inputs[0])
            #expect(unfolded == plain.initializers["w.quantized"])
            #expect(again.nodes.map(\.operatorType) == plain.nodes.map(\.operatorType))
            #expect(try Graph.load(packed.serialized(), path: "packed") == packed)
            // Tables of up to 3.5 KB, scales and nodes come on top.
            let tables = packed.initializers.ordered.filter { $0.tensor.shape.dimensions.first == 256 }
            let fixed = tables.reduce(0) { $0 + $1.tensor.bytes.count }
            let most = shape.elementCount * bits / 8 + fixed + 8 * shape[1] + 2_500
            #expect(packed.serialized().count <= most, "\(packed.serialized().count) bytes, at most \(most)")
        }
    }

    @Test("tables and shapes are shared by all weights of a file")
    func sharing() throws {
        let graph = try ModelBuilder.build(architecture: "cnn", seed: 1)
        let packed = try graph.sample(for: .x86, bits: 4)
        #expect(packed.initializers.names.filter { $0.hasPrefix("unpack.4.") }.count == 1)
        #expect(packed.serializedByteCount < 421_642 / 2 + 12_000)
        #expect(try graph.sample(for: .x86, bits: 4) == packed, "the same bytes every time")
        #expect(try packed.summary(fileBytes: 0).parameters == 421_642)
    }

    @Test("levels of a codebook are int8: powers of two come out exact")
    func levels() throws {
        let powers: [Float] = [-1, -0.5, -0.25, -0.125, 0, 0.125, 0.25, 0.5]
        let exact = IntegerLevels(powers, largestCode: 127)
        #expect(zip(exact.codes, powers).allSatisfy { Float($0) * exact.step == $1 })
        let odd: [Float] = [-0.731, -0.2, 0, 0.11, 0.4, 0.93]
        for largest in [63, 127] {
            let near = IntegerLevels(odd, largestCode: largest)
            #expect(near.codes.allSatisfy { abs(Int($0)) <= largest })
            #expect(zip(near.codes, odd).allSatisfy { abs(Float($0) * near.step - $1) <= 0.93 / Float(largest) })
        }
        #expect(IntegerLevels([0, 0], largestCode: 127).step == 1)
    }

    @Test("a codebook's indices are looked up, packed or not")
    func codebook() throws {
        let graph = smallGraph([node("MatMul", ["x", "w"], ["y"])], [("w", noise([64, 64]))], input: [64])
        let levels: [Float] = [-1, -0.5, 0, 0.25, 0.5, 1]
        let indices = (0..<4_096).map { Int8($0 * 7 % 6) }
        let weight = QuantizedWeight(
            values: Tensor(elements: indices, elementType: .int8, shape: [64, 64]),
            scales: [Float](repeating: 2, count: 64), axis: 1, bits: 3, codebook: levels)
        let points = Dictionary(
            uniqueKeysWithValues: graph.quantizationPoints().map {
                ($0, ActivationQuantization(scale: 1, zeroPoint: 0))
            })
        for packs in [false, true] {
            let result = try graph.quantized(
                for: .x86, activations: points, weights: ["w": weight], opset: 17, packsWeights: packs)
            let dequantize = try #require(result.producer(of: "w"))
            let codes = try unpacked(result, dequantize.inputs[0])
            let scale = try result.initializers.require(dequantize.inputs[1]).floats[0]
            let wrong = zip(codes, indices).filter { abs(Float($0) * scale - 2 * levels[Int($1)]) > 1e-6 }
            #expect(wrong.isEmpty)
        }
    }
}
