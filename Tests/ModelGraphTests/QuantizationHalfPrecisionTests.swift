import Tensors
import Testing

@testable import ModelGraph

@Suite("16-bit export")
struct QuantizationHalfPrecisionTests {
    @Test(
        "inputs and outputs stay float32, weights and values between do not",
        arguments: [DeploymentTarget.float16, .bfloat16])
    func network(target: DeploymentTarget) throws {
        let graph = try ModelBuilder.build(architecture: "cnn", seed: 1)
        let result = try graph.quantized(for: target, opset: max(17, target.leastOpset))
        let type: ElementType = target == .float16 ? .float16 : .bfloat16
        #expect(result.inputs == graph.inputs && result.outputs == graph.outputs)
        #expect(result.nodes.first?.operatorType == "Cast" && result.nodes.last?.operatorType == "Cast")
        let floats = result.initializers.ordered.filter { $0.tensor.elementType.isFloatingPoint }
        #expect(!floats.isEmpty && floats.allSatisfy { $0.tensor.elementType == type })
        #expect(result.serializedByteCount < graph.serializedByteCount / 2 + 2_000)
        #expect(try Graph.load(result.serialized(), path: "half") == result)
        #expect(try result.inferShapes(batch: 2)["logits"] == [2, 10])
    }

    @Test("shape arithmetic and the scales of Resize stay float32")
    func shapes() throws {
        let graph = smallGraph(
            [
                node("Shape", ["x"], ["shape"]), node("Cast", ["shape"], ["real"], ["to": .int(1)]),
                node("Mul", ["real", "two"], ["doubled"]), node("Cast", ["doubled"], ["sizes"], ["to": .int(7)]),
                node("Resize", ["x", "", "", "sizes"], ["r"]), node("Resize", ["r", "", "up"], ["s"]),
                node("Mul", ["s", "two"], ["y"]),
            ],
            [
                ("two", floatTensor([1, 1, 2, 2], shape: [4])), ("up", floatTensor([1, 1, 2, 2], shape: [4])),
            ])
        let result = try graph.quantized(for: .float16, opset: 17)
        #expect(result.nodes.first { $0.outputs == ["doubled"] }?.inputs == ["real", "two"])
        #expect(result.nodes.first { $0.outputs == ["real"] }?.int("to") == 1)
        let second = try #require(result.nodes.first { $0.outputs == ["s"] })
        #expect(result.initializers[second.inputs[2]]?.elementType == .float32)
        let product = try #require(result.nodes.first { $0.name == "y_node" })
        #expect(result.initializers[product.inputs[1]]?.elementType == .float16)
        #expect(result.initializers["two"]?.elementType == .float32)
    }

    @Test("a weight beyond 65504 is refused by name; a mask's constant ends there")
    func overflow() throws {
        func graph(_ weight: Float, _ mask: Float) -> Graph {
            smallGraph(
                [node("Mul", ["x", "w"], ["h"]), node("Add", ["h", "mask"], ["y"])],
                [("w", floatTensor([weight, 1, 1, 1], shape: [4])), ("mask", floatTensor([mask], shape: []))])
        }
        func failure(_ target: DeploymentTarget) -> String? {
            do throws(ModelError) {
                _ = try graph(70_000, 0).quantized(for: target, opset: max(17, target.leastOpset))
                return nil
            } catch { return error.description }
        }
        #expect(failure(.float16)?.contains("weight 'w' holds 70000") == true)
        #expect(failure(.bfloat16) == nil)
        // Convolutions of bfloat16 came with opset 22.
        #expect(throws: ModelError.self) { try graph(1, 0).quantized(for: .bfloat16, opset: 21) }
        let masked = try graph(1, -3.4e38).quantized(for: .float16, opset: 17)
        let bits = try masked.initializers.require("mask.half").elements(as: UInt16.self)
        #expect(HalfPrecision.float(fromFloat16: bits[0]) == -65_504)
        let infinite = try graph(.infinity, 0).quantized(for: .float16, opset: 17)
        #expect(try infinite.initializers.require("w.half").elements(as: UInt16.self)[0] == 0x7c00)
    }
}
