import ModelGraph
import Tensors

/// Who reads a graph's values.
struct ValueReaders {
    private let readers: [String: [(node: Int, input: Int)]]
    private let outputs: Set<String>

    init(_ graph: Graph) {
        outputs = Set(graph.outputs.map(\.name))
        readers = graph.consumers
    }

    /// The graph's outputs count as readers.
    func count(_ value: String) -> Int { (readers[value]?.count ?? 0) + (outputs.contains(value) ? 1 : 0) }

    /// The only reader of a value, unless it is an output too.
    func only(_ value: String) -> (node: Int, input: Int)? { count(value) == 1 ? readers[value]?.first : nil }

    /// Where a layer's bias stands: the node and input that read it, and its name if there is one. nil where there is no place.
    func biasPlace(of index: Int, in graph: Graph, outputs: Int) -> (node: Int, input: Int, bias: String?)? {
        let node = graph.nodes[index]
        func isBias(_ name: String) -> Bool {
            guard let tensor = graph.initializers[name], tensor.elementType == .float32 else { return false }
            return tensor.elementCount == outputs && tensor.shape.dimensions.last == outputs
        }
        switch node.operatorType {
        case "Conv", "Gemm":
            guard node.inputs.count > 2, !node.inputs[2].isEmpty else { return (index, 2, nil) }
            return isBias(node.inputs[2]) ? (index, 2, node.inputs[2]) : nil
        case "MatMul":
            guard let output = node.outputs.first, let reader = only(output) else { return nil }
            let sum = graph.nodes[reader.node]
            guard sum.operatorType == "Add", sum.domain.isEmpty, sum.inputs.count == 2,
                isBias(sum.inputs[1 - reader.input])
            else { return nil }
            return (reader.node, 1 - reader.input, sum.inputs[1 - reader.input])
        default: return nil
        }
    }
}
