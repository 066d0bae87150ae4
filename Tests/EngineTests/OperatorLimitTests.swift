import ModelGraph
import Tensors
import Testing

@testable import Engine

/// A few numbers in a file must not ask for more elements than 2^31 - 1; they are refused before anything is computed.
struct OperatorLimitTests {
    private let image = Tensor([1.0, 2, 3, 4], [1, 1, 2, 2])
    private let kernel = Tensor([1.0], [1, 1, 1, 1])

    private func expectLimit(_ type: String, _ attributes: [String: AttributeValue], _ inputs: [Tensor?]) {
        #expect(
            performing: {
                let application = Application(type: type, attributes: attributes)
                let values = inputs.enumerated().compactMap { index, tensor in tensor.map { ("x\(index)", $0) } }
                return try Executable(application.graph(inputs)).run(NamedTensors(values))
            }, throws: says("'\(type)' (node 'node')", "a result of extents"))
    }

    @Test func padsAreBounded() {
        for mode in ["constant", "edge"] {
            expectLimit(
                "Pad", ["mode": .string(mode)],
                [image, Tensor([0, 0, 50_000, 50_000, 0, 0, 0, 0] as [Int64], shape: [8])])
        }
        // What is cut off again counts too.
        expectLimit("Pad", [:], [image, Tensor([0, 0, 0, 1 << 30, 0, 0, 0, 2 - (1 << 30)] as [Int64], shape: [8])])
    }

    @Test func resizedImagesAreBounded() {
        expectLimit("Resize", [:], [image, nil, nil, Tensor([1, 1, 50_000, 50_000] as [Int64], shape: [4])])
    }

    @Test func joinedTensorsAreBounded() {
        let shape = Tensor([1, 1 << 30] as [Int64], shape: [2])
        let graph = Graph(
            name: "g",
            nodes: [
                Node(name: "wide", operatorType: "Expand", inputs: ["x", "shape"], outputs: ["w"]),
                Node(
                    name: "node", operatorType: "Concat", inputs: ["w", "w", "w"], outputs: ["y"],
                    attributes: ["axis": .int(0)]),
            ], inputs: [ValueInfo(name: "x", elementType: .float32, dimensions: [.fixed(1), .fixed(1)])],
            outputs: [ValueInfo(name: "y", elementType: .float32, dimensions: nil)],
            initializers: NamedTensors([("shape", shape)]), opset: 17)
        #expect(
            performing: {
                try Executable(graph).run(NamedTensors([("x", Tensor([1] as [Float], shape: [1, 1]))]))
            }, throws: says("'Concat' (node 'node')", "a result of extents"))
    }

    @Test func windowsAreBounded() {
        let pads = AttributeValue.ints([50_000, 50_000, 0, 0])
        expectLimit("Conv", ["pads": pads], [image, kernel])
        expectLimit("MaxPool", ["pads": pads, "kernel_shape": .ints([1, 1])], [image])
        expectLimit("AveragePool", ["pads": pads, "kernel_shape": .ints([1, 1])], [image])
        expectLimit("ConvTranspose", ["strides": .ints([100_000, 100_000])], [image, kernel])
        expectLimit("ConvTranspose", ["output_shape": .ints([100_000, 100_000])], [image, kernel])
    }
}
