import CTorch
import ModelGraph
import Tensors

/// Operators that the engine runs, with the opsets whose meaning it implements.
public enum SupportedOperators {
    /// First and last opset of each operator.
    public static let table: [String: ClosedRange<Int64>] = Operators.definitions.mapValues(\.opsets)
}

/// How to compile the nodes of one operator, and the opsets for which that is right.
struct OperatorDefinition: Sendable {
    let opsets: ClosedRange<Int64>
    let compile: Operators.Compiler

    /// An operator with any number of outputs.
    static func several(
        _ compile: @escaping Operators.Compiler, opsets: ClosedRange<Int64> = ModelLimits.opsets
    ) -> OperatorDefinition {
        OperatorDefinition(opsets: opsets, compile: compile)
    }

    /// An operator with one output. A node that asks for more is refused.
    static func one(
        _ compile: @escaping Operators.SingleCompiler, opsets: ClosedRange<Int64> = ModelLimits.opsets
    ) -> OperatorDefinition {
        OperatorDefinition(opsets: opsets) { node, graph throws(EngineError) in
            if let name = node.outputs.dropFirst().first(where: { !$0.isEmpty }) {
                throw Operators.refuse(node, "its further output '\(name)' is used")
            }
            let perform = try compile(node, graph)
            return { frame, x throws(EngineError) in [try perform(&frame, x)] }
        }
    }
}

/// Compiles nodes: reads and checks attributes once, so that running a node is one call into libtorch.
enum Operators {
    /// Runs a node: a tensor for each of its outputs, in order; those that nobody reads may be left out.
    typealias Perform = (inout Frame, [TorchTensor?]) throws(EngineError) -> [TorchTensor?]
    typealias Compiler = @Sendable (Node, Graph) throws(EngineError) -> Perform
    typealias Single = (inout Frame, [TorchTensor?]) throws(EngineError) -> TorchTensor
    typealias SingleCompiler = @Sendable (Node, Graph) throws(EngineError) -> Single

    static func compile(_ node: Node, graph: Graph) throws(EngineError) -> Perform {
        if node.isFakeQuantization { return try fakeQuantize(node, graph) }
        guard node.domain.isEmpty || node.domain == "ai.onnx", let definition = definitions[node.operatorType] else {
            throw .unsupported(
                operatorType: node.operatorType, node: node.name,
                detail: "opset \(graph.opset), domain '\(node.domain)'")
        }
        guard definition.opsets.contains(graph.opset) else {
            throw refuse(
                node, "opset \(graph.opset); from \(definition.opsets.lowerBound) to \(definition.opsets.upperBound)")
        }
        return try definition.compile(node, graph)
    }

    /// Every operator, each family in a file of its own.
    static let definitions: [String: OperatorDefinition] = [
        layers, convolutions, pools, normalizations, recurrent, attention, resizing, padding, matrices, shapes, slices,
        indexing, elementwise, arithmetic, reductions, quantization,
    ].reduce(into: [:]) { all, family in
        all.merge(family) { _, _ in preconditionFailure("an operator is defined twice") }
    }

    // MARK: Shared parts

    static func first(_ inputs: [TorchTensor?], _ index: Int = 0) throws(EngineError) -> TorchTensor {
        guard inputs.indices.contains(index), let tensor = inputs[index] else {
            throw .runtime("input \(index) is missing")
        }
        return tensor
    }

    static func optional(_ inputs: [TorchTensor?], _ index: Int) -> OpaquePointer? {
        inputs.indices.contains(index) ? inputs[index]?.handle : nil
    }

    static func unary(_ function: @escaping @Sendable (OpaquePointer?) -> OpaquePointer?) -> SingleCompiler {
        { _, _ throws(EngineError) in { _, x throws(EngineError) in try TorchTensor(function(first(x).handle)) } }
    }

    static func binary(
        _ function: @escaping @Sendable (OpaquePointer?, OpaquePointer?) -> OpaquePointer?
    ) -> SingleCompiler {
        { _, _ throws(EngineError) in
            { _, x throws(EngineError) in try TorchTensor(function(first(x).handle, first(x, 1).handle)) }
        }
    }

    static func refuse(_ node: Node, _ detail: String) -> EngineError {
        .unsupported(operatorType: node.operatorType, node: node.name, detail: detail)
    }

    /// A constant input's integers (shapes, axes).
    static func integers(_ node: Node, _ graph: Graph, input index: Int) throws(EngineError) -> [Int64]? {
        guard node.inputs.indices.contains(index), !node.inputs[index].isEmpty else { return nil }
        guard let tensor = graph.initializers[node.inputs[index]], let values = integers(tensor) else {
            throw refuse(node, "input \(index) must be a constant int64 tensor")
        }
        return values
    }

    /// The elements of an int64 or int32 tensor; nil for another type.
    private static func integers(_ tensor: Tensor) -> [Int64]? {
        switch tensor.elementType {
        case .int64: tensor.elements(as: Int64.self)
        case .int32: tensor.elements(as: Int32.self).map(Int64.init)
        default: nil
        }
    }

    /// An input's integers where the graph fixes them; nil where it computes them.
    static func known(_ node: Node, _ graph: Graph, input index: Int) throws(EngineError) -> [Int64]? {
        guard node.inputs.indices.contains(index), graph.initializers[node.inputs[index]] != nil else { return nil }
        return try integers(node, graph, input: index)
    }

    /// A shape or list of axes: what the graph fixes, else what an input holds now.
    static func integers(
        _ constant: [Int64]?, else inputs: [TorchTensor?], _ index: Int, _ node: Node
    ) throws(EngineError) -> [Int64] {
        if let constant { return constant }
        let tensor = try first(inputs, index)
        guard let values = integers(try tensor.tensor()) else {
            throw refuse(node, "integers of type \(tensor.elementType)")
        }
        return values
    }

    /// An axis counted from the front.
    static func place(_ node: Node, _ axis: Int64, rank: Int) throws(EngineError) -> Int {
        let place = axis < 0 ? axis + Int64(rank) : axis
        guard (0..<Int64(rank)).contains(place) else { throw refuse(node, "axis \(axis) of rank \(rank)") }
        return Int(place)
    }
}
