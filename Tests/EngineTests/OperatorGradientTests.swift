import ModelGraph
import Tensors
import Testing

@testable import Engine

/// An operator between a trained tensor and the loss.
struct GradientCase: Sendable, CustomTestStringConvertible {
    var type: String
    var attributes: [String: AttributeValue] = [:]
    var constants: [Tensor] = []
    /// Makes the trained values positive, for functions of positive numbers.
    var isPositive = false
    var testDescription: String { type }

    static let indices = Tensor([1, 0, 1] as [Int64], shape: [3])
    static let factor = Tensor([1.5, -0.7, 2.2] as [Float], shape: [3])
    static let lastAxis = Tensor([1] as [Int64], shape: [1])

    static let all: [GradientCase] =
        [
            "Abs", "Cos", "Erf", "Exp", "Neg", "Relu", "Sigmoid", "Sin", "Softplus", "Softsign", "Tanh", "Mish",
            "HardSwish",
            "Gelu", "Celu", "Elu", "LeakyRelu", "Selu", "HardSigmoid", "Identity", "Flatten", "Transpose",
        ].map { GradientCase(type: $0) }
        + ["Log", "Sqrt", "Reciprocal"].map { GradientCase(type: $0, isPositive: true) }
        + ["Add", "Sub", "Mul", "Div", "Max", "Min", "Sum", "Mean", "PRelu", "Concat"].map {
            GradientCase(
                type: $0, attributes: $0 == "Concat" ? ["axis": .int(0)] : [:],
                constants: [$0 == "Concat" ? Tensor([1, 2, 3] as [Float], shape: [1, 3]) : factor])
        }
        + [
            "ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2",
            "ReduceSumSquare",
            "ReduceLogSumExp",
        ].map { GradientCase(type: $0, constants: [lastAxis]) }
        + [
            GradientCase(type: "ReduceLogSum", constants: [lastAxis], isPositive: true),
            GradientCase(type: "Gelu", attributes: ["approximate": .string("tanh")]),
            GradientCase(type: "Pow", constants: [Tensor([2, 3, 1] as [Float], shape: [3])]),
            GradientCase(
                type: "Clip",
                constants: [Tensor([-0.5] as [Float], shape: []), Tensor([0.8] as [Float], shape: [])]),
            GradientCase(type: "Gather", attributes: ["axis": .int(1)], constants: [indices]),
            GradientCase(type: "GatherElements", constants: [Tensor([1, 0, 1] as [Int64], shape: [1, 3])]),
            GradientCase(type: "GatherND", constants: [Tensor([0, 2, 1, 1] as [Int64], shape: [2, 2])]),
            GradientCase(
                type: "ScatterND", attributes: ["reduction": .string("add")],
                constants: [Tensor([0] as [Int64], shape: [1, 1]), Tensor([1, 2, 3] as [Float], shape: [1, 3])]),
            GradientCase(
                type: "Slice",
                constants: [[-1], [-4], [1], [-1]].map { Tensor($0 as [Int64], shape: [1]) }),
            GradientCase(type: "Expand", constants: [Tensor([2, 2, 3] as [Int64], shape: [3])]),
            GradientCase(type: "Tile", constants: [Tensor([2, 1] as [Int64], shape: [2])]),
            GradientCase(type: "CumSum", constants: [Tensor([1] as [Int64], shape: [])]),
            GradientCase(type: "Trilu"),
            GradientCase(type: "TopK", constants: [Tensor([2] as [Int64], shape: [1])]),
        ]
}

/// The gradient through every differentiable operator, against finite differences of the loss.
@Test(arguments: GradientCase.all)
func gradientsMatchFiniteDifferences(_ sample: GradientCase) throws {
    let start: [Float] = sample.isPositive ? [0.8, 0.7, 1.2, 1.5, 1.9, 0.9] : [0.3, -0.7, 1.2, -0.25, 1.9, -1.4]
    let constants = sample.constants.enumerated().map { ("c\($0)", $1) }
    func graph(_ weights: [Float]) -> Graph {
        Graph(
            name: "gradient",
            nodes: [
                Node(name: "scale", operatorType: "Mul", inputs: ["x", "w"], outputs: ["a"]),
                Node(
                    name: "node", operatorType: sample.type, inputs: ["a"] + constants.map(\.0), outputs: ["b"],
                    attributes: sample.attributes),
                Node(name: "row", operatorType: "Reshape", inputs: ["b", "shape"], outputs: ["logits"]),
            ],
            inputs: [ValueInfo(name: "x", elementType: .float32, dimensions: [.fixed(1)])],
            outputs: [ValueInfo(name: "logits", elementType: .float32, dimensions: nil)],
            initializers: NamedTensors(
                [("w", Tensor(weights, shape: [2, 3])), ("shape", Tensor([1, -1] as [Int64], shape: [2]))] + constants),
            opset: 21, constantNames: Set(constants.map(\.0)))
    }
    let (x, labels) = (Tensor([1] as [Float], shape: [1]), Tensor([0] as [Int64], shape: [1]))
    func loss(_ weights: [Float]) throws -> Double {
        try Trainer(graph(weights), optimizer: OptimizerSettings(learningRate: 0)).gradients(x, labels: labels).result
            .loss
    }
    let found = try Trainer(graph(start), optimizer: OptimizerSettings(learningRate: 0)).gradients(x, labels: labels)
    let gradient = try found.gradients.require("w").floats
    let step: Float = 1e-2
    for index in start.indices {
        var (up, down) = (start, start)
        up[index] += step
        down[index] -= step
        let expected = (try loss(up) - loss(down)) / Double(2 * step)
        #expect(abs(Double(gradient[index]) - expected) < 2e-3, "element \(index)")
    }
}
