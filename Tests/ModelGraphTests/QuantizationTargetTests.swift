import Tensors
import Testing

@testable import ModelGraph

@Suite("Deployment targets")
struct QuantizationTargetTests {
    private func perceptron() throws -> Graph {
        try ModelBuilder.build(architecture: "mlp", inputShape: [64], classes: 5, width: 32, seed: 1)
    }

    private func failure(_ body: () throws -> Void) -> String? {
        do {
            try body()
            return nil
        } catch { return "\(error)" }
    }

    @Test("arm stores activations as int8, x86 as uint8")
    func storages() throws {
        let graph = try ModelBuilder.build(architecture: "cnn", seed: 1)
        for (target, type) in [(DeploymentTarget.x86, ElementType.uint8), (.x86NoVNNI, .uint8), (.arm, .int8)] {
            let result = try graph.sample(for: target, bits: 7)
            let types = result.nodes.filter { $0.operatorType == "QuantizeLinear" }.map {
                result.initializers[$0.inputs[2]]?.elementType
            }
            #expect(!types.isEmpty && types.allSatisfy { $0 == type })
        }
    }

    @Test(
        "TensorRT: codes at the inputs of convolutions alone, float biases, plain int8 weights, no matrix-vector product"
    )
    func tensorrt() throws {
        let graph = try ModelBuilder.build(architecture: "resnet20", seed: 1).foldingBatchNormalization()
        let result = try graph.sample(for: .tensorrt, bits: 4)
        for convolution in result.nodes where convolution.operatorType == "Conv" {
            #expect(result.producer(of: convolution.inputs[0])?.operatorType == "DequantizeLinear")
            #expect(result.initializers[convolution.inputs[2]]?.elementType == .float32)
            let weight = try #require(result.producer(of: convolution.inputs[1]))
            #expect(result.initializers[weight.inputs[0]]?.elementType == .int8)
        }
        for sum in result.nodes where sum.operatorType == "Add" {
            let types = sum.inputs.map { result.producer(of: $0)?.operatorType }
            #expect(types.filter { $0 == "DequantizeLinear" }.count == 1)
        }
        let gemm = try #require(result.nodes.first { $0.operatorType == "Gemm" })
        #expect(result.initializers[gemm.inputs[1]]?.elementType == .float32)
        #expect(result.outputs == graph.outputs && result.producer(of: graph.outputs[0].name) == gemm)
    }

    @Test("int4: two codes a byte, blocks along the inputs, a transposed matrix stored straight")
    func int4() throws {
        let graph = smallGraph(
            [node("Gemm", ["x", "w", "b"], ["h"], ["transB": .int(1)]), node("MatMul", ["h", "v"], ["y"])],
            [("w", noise([32, 64])), ("b", noise([32])), ("v", noise([32, 10], seed: 2))], input: [64])
        let result = try graph.sample(for: .int4, bits: 4, block: 16)
        #expect(result.opset == 21)
        let gemm = try #require(result.nodes.first { $0.operatorType == "Gemm" })
        #expect(gemm.int("transB") == nil)
        let weight = try #require(result.producer(of: gemm.inputs[1]))
        #expect(weight.int("block_size") == 16 && weight.int("axis") == 0)
        #expect(result.initializers[weight.inputs[0]]?.shape == [64, 32])
        #expect(result.initializers[weight.inputs[1]]?.shape == [4, 32])
        #expect(result.fourBitNames.contains(weight.inputs[0]) && result.fourBitNames.contains(weight.inputs[2]))
        let bytes = result.serialized()
        #expect(bytes.count < 64 * 32 / 2 + 32 * 10 / 2 + 4 * (4 * 32 + 32 + 2 * 10) + 1_500)
        #expect(try Graph.load(bytes, path: "int4") == result)
        // Codes and scales went together: every weight is what it was.
        let original = rounded(try graph.initializers.require("w"), axis: 0, bits: 4, block: 16)
        let codes = try result.initializers.require(weight.inputs[0]).elements(as: Int8.self)
        let scales = try result.initializers.require(weight.inputs[1]).floats
        let before = original.values.elements(as: Int8.self)
        for row in 0..<32 {
            for column in 0..<64 {
                #expect(codes[column * 32 + row] == before[row * 64 + column])
                #expect(scales[column / 16 * 32 + row] == original.scales[row * 4 + column / 16])
            }
        }
    }

    @Test("4-bit tensors: odd counts, both signs, and sizes that do not fit")
    func fourBits() throws {
        let codes: [Int8] = [-8, 7, -1, 0, 3]
        let packed = OnnxTensor.fourBitBytes(codes.map { UInt8(bitPattern: $0) })
        #expect(packed == [0x78, 0x0f, 0x03])
        var proto = OnnxTensorProto()
        proto.dataType = Int32(OnnxTensorProto.DataType.int4.rawValue)
        proto.dims = [5]
        proto.rawData = .init(packed)
        #expect(try OnnxTensor.readFourBits(proto, name: "w", path: "f").elements(as: Int8.self) == codes)
        proto.dims = [7]
        #expect(throws: ModelError.self) { try OnnxTensor.readFourBits(proto, name: "w", path: "f") }
        proto.dims = [1 << 31, 1 << 31]
        #expect(throws: ModelError.self) { try OnnxTensor.readFourBits(proto, name: "w", path: "f") }
    }

    @Test("int8 weights: matrices are dequantized, convolutions are arithmetic that runtimes fold")
    func weightsAlone() throws {
        let graph = try ModelBuilder.build(architecture: "cnn", seed: 1)
        let result = try graph.sample(for: .int8Weights)
        let convolution = try #require(result.nodes.first { $0.operatorType == "Conv" })
        let scaled = try #require(result.producer(of: convolution.inputs[1]))
        #expect(scaled.operatorType == "Mul" && result.producer(of: scaled.inputs[0])?.operatorType == "Cast")
        let gemm = try #require(result.nodes.first { $0.operatorType == "Gemm" })
        #expect(result.producer(of: gemm.inputs[1])?.operatorType == "DequantizeLinear" && gemm.int("transB") == nil)
        let bias = try #require(result.nodes.first { $0.operatorType == "Sub" })
        #expect(
            try result.initializers.require(bias.inputs[1]).floats
                == graph.initializers.require("fc1.bias").floats.map { -$0 })
        #expect(try graph.sample(for: .int8Weights, bits: 3).serializedByteCount < 421_642 * 3 / 8 + 12_000)
    }

    @Test("dynamic: values are quantized once, products are in integers and keep their names")
    func dynamic() throws {
        let graph = smallGraph(
            [
                node("MatMul", ["x", "w"], ["a"]), node("Gemm", ["x", "v", "b"], ["c"], ["transB": .int(1)]),
                node("Add", ["a", "c"], ["y"]),
            ], [("w", noise([64, 32])), ("v", noise([32, 64])), ("b", noise([32]))], input: [64])
        let result = try graph.sample(for: .dynamic)
        #expect(graph.quantizationPoints(for: .dynamic).isEmpty)
        #expect(result.nodes.filter { $0.operatorType == "DynamicQuantizeLinear" }.count == 1)
        let products = result.nodes.filter { $0.operatorType == "MatMulInteger" }
        #expect(products.map { result.initializers[$0.inputs[1]]?.shape } == [[64, 32], [64, 32]])
        #expect(result.producer(of: "a")?.operatorType == "Mul" && result.producer(of: "c")?.operatorType == "Add")
        #expect(result.nodes.last == graph.nodes.last)
    }

    @Test("a scheme that a target cannot represent is refused by name")
    func refusals() throws {
        let graph = try perceptron()
        #expect(failure { _ = try graph.sample(for: .int4, bits: 4, opset: 17) }?.contains("needs opset 21") == true)
        #expect(failure { _ = try graph.sample(for: .x86NoVNNI) }?.contains("at most 7") == true)
        #expect(failure { _ = try graph.sample(for: .int4) }?.contains("at most 4") == true)
        let blocks = failure { _ = try graph.sample(for: .arm, block: 16) }
        #expect(blocks?.contains("'fc1.weight' in blocks") == true)
        #expect(failure { _ = try graph.sample(for: .int4, bits: 4, block: 8) }?.contains("power of two") == true)
        #expect(failure { _ = try graph.sample(for: .int8Weights, block: 16) }?.contains("write opset 21") == true)
        let storage = failure { _ = try graph.sample(for: .x86, storage: .int8) }
        #expect(storage?.contains("takes uint8") == true)
        let twice = try graph.sample(for: .x86)
        #expect(failure { _ = try twice.sample(for: .x86) }?.contains("quantized already") == true)
    }

    @Test("codes outside of bits or codebook are refused")
    func codes() throws {
        let graph = smallGraph([node("MatMul", ["x", "w"], ["y"])], [("w", noise([4, 2]))], input: [4])
        func attempt(_ codes: [Int8], bits: Int, codebook: [Float]? = nil, zeroPoints: [Int8]? = nil) -> String? {
            let weight = QuantizedWeight(
                values: Tensor(elements: codes, elementType: .int8, shape: [4, 2]), scales: [1, 1], axis: 1, bits: bits,
                zeroPoints: zeroPoints, codebook: codebook)
            return failure { _ = try graph.quantized(for: .int8Weights, weights: ["w": weight], opset: 17) }
        }
        let codes: [Int8] = [0, 1, -1, 3, -4, 2, 0, 0]
        #expect(attempt(codes, bits: 3) == nil)
        #expect(attempt(codes, bits: 2)?.contains("'w' has a code outside") == true)
        #expect(attempt(codes, bits: 1)?.contains("2 to 8") == true)
        #expect(attempt(codes, bits: 3, codebook: [-1, 0, 1, 2])?.contains("code outside") == true)
        #expect(attempt(codes.map(abs), bits: 3, codebook: [-1, 0, 1, 2, 3]) == nil)
        #expect(attempt(codes.map(abs), bits: 3, codebook: [-1, 0, .nan, 2, 3])?.contains("finite levels") == true)
        #expect(attempt(codes, bits: 3, zeroPoints: [4, 0])?.contains("zero point outside") == true)
        #expect(attempt(codes, bits: 3, zeroPoints: [3, -4]) == nil)
    }

    @Test("a bias beyond every scale is an error")
    func impossibleBias() throws {
        let graph = smallGraph(
            [node("Gemm", ["x", "w", "b"], ["y"])],
            [("w", noise([4, 2])), ("b", floatTensor([.infinity, 0], shape: [2]))], input: [4])
        let message = failure { _ = try graph.sample(for: .x86) }
        #expect(message?.contains("bias 'b'") == true && message?.contains("overflows int32") == true)
    }

    @Test("a range ends where the fused Relu or Clip cuts, so that the runtime may drop it")
    func clamps() {
        let bounds: [ClosedRange<Float>] = [0...Float.infinity, 0...6, -1...1, -0.5...3]
        for storage in [ActivationQuantization.Storage.uint8, .int8] {
            for bounds in bounds {
                for (scale, offset) in [(Float(0.05), Int32(110)), (6 / 255, 0), (0.1, 40), (0.001, 255)] {
                    let before = ActivationQuantization(
                        scale: scale, zeroPoint: storage.codes.lowerBound + offset, storage: storage)
                    let after = before.clamped(to: bounds)
                    let hasPositive = offset < 255
                    #expect(after.implies(bounds) || !hasPositive, "\(before) \(bounds) \(after)")
                    if before.implies(bounds) { #expect(after == before) }
                    #expect(after.scale <= before.scale)
                }
            }
        }
    }
}
