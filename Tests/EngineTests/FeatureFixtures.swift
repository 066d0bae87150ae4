import ModelGraph
import Tensors

@testable import Engine

/// A student whose value `h` is its only parameter `z`, or the softmax of it; its output is zeros of z's shape, so that
/// with `zeroLoss` everything that is learned is learned from `h`.
func valueGraph(_ z: Tensor, softmax: Bool = false) -> Graph {
    Graph(
        name: "value",
        nodes: [
            Node(name: "sum", operatorType: "Add", inputs: ["x", "z"], outputs: ["sum"]),
            Node(
                name: "h", operatorType: softmax ? "Softmax" : "Identity", inputs: ["sum"], outputs: ["h"],
                attributes: softmax ? ["axis": .int(-1)] : [:]),
            Node(name: "y", operatorType: "Mul", inputs: ["h", "zero"], outputs: ["y"]),
        ],
        inputs: [ValueInfo(name: "x", elementType: .float32, dimensions: z.shape.dimensions.map { .fixed($0) })],
        outputs: [ValueInfo(name: "y", elementType: .float32, dimensions: nil)],
        initializers: NamedTensors([("z", z), ("zero", Tensor([0] as [Float], shape: []))]), constantNames: ["zero"])
}

/// A batch on which the loss `.meanSquaredError` of a `valueGraph` is 0.
func zeroLoss(_ shape: Shape) -> Batch { Batch(Tensor(zeros: shape), targets: Tensor(zeros: shape)) }

/// Whose value `t` is its input.
func teacherGraph(_ shape: Shape) -> Graph {
    Graph(
        name: "teacher", nodes: [Node(name: "t", operatorType: "Identity", inputs: ["x"], outputs: ["t"])],
        inputs: [ValueInfo(name: "x", elementType: .float32, dimensions: shape.dimensions.map { .fixed($0) })],
        outputs: [ValueInfo(name: "t", elementType: .float32, dimensions: nil)], initializers: NamedTensors())
}

/// Convolution (`kernel`), tanh (`h`), mean over the places, classes (`dense`).
func smallNetwork(kernel: Tensor, dense: Tensor, size: Int) -> Graph {
    Graph(
        name: "small",
        nodes: [
            Node(
                name: "conv", operatorType: "Conv", inputs: ["x", "kernel"], outputs: ["c"],
                attributes: ["pads": .ints([1, 1, 1, 1]), "kernel_shape": .ints([3, 3])]),
            Node(name: "tanh", operatorType: "Tanh", inputs: ["c"], outputs: ["h"]),
            Node(name: "pool", operatorType: "GlobalAveragePool", inputs: ["h"], outputs: ["p"]),
            Node(name: "flatten", operatorType: "Flatten", inputs: ["p"], outputs: ["f"]),
            Node(
                name: "fc", operatorType: "Gemm", inputs: ["f", "dense"], outputs: ["logits"],
                attributes: ["transB": .int(1)]),
        ],
        inputs: [
            ValueInfo(
                name: "x", elementType: .float32,
                dimensions: [.symbolic("n"), .fixed(kernel.shape[1]), .fixed(size), .fixed(size)])
        ],
        outputs: [ValueInfo(name: "logits", elementType: .float32, dimensions: nil)],
        initializers: NamedTensors([("kernel", kernel), ("dense", dense)]))
}

/// Uniform values in ±bound.
func noise(_ shape: Shape, _ generator: inout SeededGenerator, bound: Float = 1) -> Tensor {
    Tensor((0..<shape.elementCount).map { _ in (2 * generator.uniform() - 1) * bound }, shape: shape)
}

let ht = FeaturePair(student: "h", teacher: "t")
