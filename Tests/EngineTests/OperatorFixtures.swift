import ModelGraph
import Tensors

@testable import Engine

/// Tensors of one dimension.
func reals(_ values: [Float]) throws -> Tensor { Tensor(values, shape: try Shape([values.count])) }

func integers(_ values: [Int64]) throws -> Tensor { Tensor(values, shape: try Shape([values.count])) }

/// Runs one node on tensors of any types, all of them inputs of the graph.
/// - Returns: the outputs in order.
func apply(
    _ type: String, _ inputs: [Tensor?], attributes: [String: AttributeValue] = [:], outputs count: Int = 1,
    opset: Int64 = 21
) throws -> [Tensor] {
    let names = inputs.enumerated().map { index, tensor in tensor == nil ? "" : "x\(index)" }
    let outputs = (0..<count).map { "y\($0)" }
    let given = zip(names, inputs).compactMap { name, tensor in tensor.map { (name, $0) } }
    let graph = Graph(
        name: "one",
        nodes: [Node(name: "node", operatorType: type, inputs: names, outputs: outputs, attributes: attributes)],
        inputs: given.map { ValueInfo(name: $0.0, elementType: $0.1.elementType, dimensions: nil) },
        outputs: outputs.map { ValueInfo(name: $0, elementType: .float32, dimensions: nil) },
        initializers: NamedTensors(), opset: opset)
    let results = try Executable(graph).run(NamedTensors(given))
    return try outputs.map { try results.require($0) }
}
