import Foundation
import ModelGraph
import Tensors

@testable import Engine

/// PyTorch's fixtures in `../shared/parity`; tests that need them are skipped where the folder is missing.
enum Parity {
    static let folder: String = {
        if let data = ProcessInfo.processInfo.environment["PLEACH_DATA"] { return data + "/../parity" }
        let root = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        return root.appendingPathComponent("../shared/parity").path
    }()

    static var isThere: Bool { FileManager.default.fileExists(atPath: folder + "/cnn.onnx") }

    static func load(_ name: String) throws -> (graph: Graph, tensors: NamedTensors) {
        (
            try Graph.load(path: "\(folder)/\(name).onnx"),
            try Safetensors.read(path: "\(folder)/\(name).safetensors").tensors
        )
    }

    /// Largest absolute difference over the largest absolute expected value, per tensor.
    static func relativeError(_ found: Tensor, _ expected: Tensor) -> Double {
        let (a, b) = (found.floats, expected.floats)
        let largest = b.map(abs).max() ?? 0
        let difference = zip(a, b).map { abs($0 - $1) }.max() ?? 0
        return Double(difference) / Double(max(largest, .leastNormalMagnitude))
    }
}

/// A graph of one node with constant inputs beside `x`.
func oneNode(
    _ type: String, input: [Int], constants: [(String, Tensor)] = [], attributes: [String: AttributeValue] = [:]
) -> Graph {
    Graph(
        name: "one",
        nodes: [
            Node(
                name: "node", operatorType: type, inputs: ["x"] + constants.map(\.0), outputs: ["y"],
                attributes: attributes)
        ],
        inputs: [ValueInfo(name: "x", elementType: .float32, dimensions: input.map { .fixed($0) })],
        outputs: [ValueInfo(name: "y", elementType: .float32, dimensions: nil)], initializers: NamedTensors(constants))
}

/// Runs a one-node graph.
func evaluate(_ graph: Graph, _ values: [Float], _ shape: Shape) throws -> Tensor {
    let outputs = try Executable(graph).run(NamedTensors([("x", Tensor(values, shape: shape))]))
    return try outputs.require("y")
}
