import ModelGraph
import Tensors

@testable import Compression

/// y = W2 · relu(W1 · x + b1) + b2, with 2 inputs, 3 hidden channels and 2 outputs. The numbers of the hand-computed cases.
enum HandModel {
    static let w1: [Float] = [1, -2, 0.5, 0.5, 3, 0]
    static let b1: [Float] = [0.25, 0.5, -0.5]
    static let w2: [Float] = [1, 0, 2, -1, 4, 0]

    static let graph = Graph(
        name: "hand",
        nodes: [
            Node(
                name: "first", operatorType: "Gemm", inputs: ["x", "w1", "b1"], outputs: ["h"],
                attributes: ["transB": .int(1)]),
            Node(name: "relu", operatorType: "Relu", inputs: ["h"], outputs: ["a"]),
            Node(
                name: "second", operatorType: "Gemm", inputs: ["a", "w2", "b2"], outputs: ["y"],
                attributes: ["transB": .int(1)]),
        ],
        inputs: [ValueInfo(name: "x", elementType: .float32, dimensions: [.symbolic("n"), .fixed(2)])],
        outputs: [ValueInfo(name: "y", elementType: .float32, dimensions: nil)],
        initializers: NamedTensors([
            ("w1", Tensor(w1, shape: [3, 2])), ("b1", Tensor(b1, shape: [3])), ("w2", Tensor(w2, shape: [2, 3])),
            ("b2", Tensor([0, 0.125] as [Float], shape: [2])),
        ]))

    static let group = ChannelGroup(
        name: "w1", kind: .channels, channels: 3,
        members: [
            member("w1", 0, .producer, 3), member("b1", 0, .producer, 3), member("w2", 1, .consumer, 3),
        ], signature: "Gemm", isNormalizedOver: false)

    /// Statistics of w1 and w2 alone.
    static func statistics(_ w1: [Float], _ w2: [Float], square: Bool = false) -> NamedTensors {
        func name(_ parameter: String) -> String { square ? ScoreStatistic.squareName(parameter) : parameter }
        return NamedTensors([
            (name("w1"), Tensor(w1, shape: [3, 2])), (name("w2"), Tensor(w2, shape: [2, 3])),
        ])
    }
}

/// Channel i at index i of an axis.
func member(_ parameter: String, _ axis: Int, _ side: ChannelMember.Side, _ channels: Int) -> ChannelMember {
    ChannelMember(parameter: parameter, axis: axis, side: side, places: (0..<channels).map { [$0] })
}

func bits(_ masks: MaskSet, _ name: String) -> [Bool] {
    guard let bitmap = masks[name] else { return [] }
    return (0..<bitmap.count).map { bitmap[$0] }
}

func expectClose(_ found: [Double]?, _ expected: [Double], within tolerance: Double = 1e-6) -> Bool {
    guard let found, found.count == expected.count else { return false }
    return zip(found, expected).allSatisfy { abs($0 - $1) <= tolerance * max(1, abs($1)) }
}
