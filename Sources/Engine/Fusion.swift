import CTorch
import ModelGraph
import Tensors

/// Joins what exporters take apart, for training: a linear layer written as Transpose, MatMul and Add, and GELU written
/// with Erf. One operator in the place of several has one node in the backward pass too, and keeps one tensor for it; a
/// step of a small transformer takes a third less time. The values between are gone, so whoever asks for those runs the
/// graph as it stands.
struct Fusion {
    /// Domain of the joined nodes, which no file can name.
    static let domain = "pleach.fused"

    private let graph: Graph
    private let producers: [String: Node]
    private let readers: [String: [Node]]
    private let outputs: Set<String>
    private let parameters: Set<String>

    private init(_ graph: Graph) {
        self.graph = graph
        var producers: [String: Node] = [:]
        var readers: [String: [Node]] = [:]
        for node in graph.nodes {
            for output in node.outputs where !output.isEmpty { producers[output] = node }
            for input in node.inputs where !input.isEmpty { readers[input, default: []].append(node) }
        }
        self.producers = producers
        self.readers = readers
        outputs = Set(graph.outputs.map(\.name))
        parameters = Set(graph.trainableNames)
    }

    /// The graph's nodes, in a valid order, with fewer of them where they can be joined.
    static func nodes(of graph: Graph) -> [Node] {
        let fusion = Fusion(graph)
        var replaced: [String: Node] = [:]
        var gone = Set<String>()
        for node in graph.nodes {
            guard let output = node.outputs.first, let (joined, parts) = fusion.linear(node) ?? fusion.gelu(node) else {
                continue
            }
            replaced[output] = joined
            gone.formUnion(parts)
        }
        return graph.nodes.compactMap { node in
            guard let output = node.outputs.first else { return node }
            if let joined = replaced[output] { return joined }
            return gone.contains(output) ? nil : node
        }
    }

    static func compile(_ node: Node) throws(EngineError) -> Operators.Perform {
        let isTransposed = node.int("transposed") ?? 0 != 0
        switch node.operatorType {
        case "Linear":
            return { _, x throws(EngineError) in
                let (input, weight, bias) = (
                    try Operators.first(x), try Operators.first(x, 1), try Operators.first(x, 2)
                )
                return [try TorchTensor(ct_linear(input.handle, weight.handle, bias.handle, isTransposed))]
            }
        case "Gelu":
            return { _, x throws(EngineError) in
                let input = try Operators.first(x)
                return [try TorchTensor(ct_unary(CT_UNARY_GELU, input.handle, 0, 0))]
            }
        default: throw Operators.refuse(node, "domain '\(node.domain)'")
        }
    }

    /// Add(MatMul(x, W or its transpose), bias) as x Wᵀ + b.
    private func linear(_ add: Node) -> (Node, gone: [String])? {
        guard isPlain(add, "Add", inputs: 2) else { return nil }
        for (sum, name) in [(add.inputs[0], add.inputs[1]), (add.inputs[1], add.inputs[0])] {
            guard let bias = parameter(name, rank: 1), let product = only(sum, "MatMul", inputs: 2) else { continue }
            var gone = [sum]
            var weight = product.inputs[1]
            var isTransposed = false
            if let transpose = only(weight, "Transpose", inputs: 1), transpose.ints("perm") ?? [1, 0] == [1, 0] {
                gone.append(weight)
                weight = transpose.inputs[0]
                isTransposed = true
            }
            guard let matrix = parameter(weight, rank: 2), matrix[isTransposed ? 0 : 1] == bias[0] else { continue }
            let joined = Node(
                name: product.name, operatorType: "Linear", domain: Self.domain,
                inputs: [product.inputs[0], weight, name], outputs: add.outputs,
                attributes: ["transposed": .int(isTransposed ? 1 : 0)])
            return (joined, gone)
        }
        return nil
    }

    /// x · (1 + erf(x/√2)) · ½ in the orders in which exporters multiply (Hendrycks and Gimpel 2016, equation 2).
    private func gelu(_ last: Node) -> (Node, gone: [String])? {
        guard isPlain(last, "Mul", inputs: 2) else { return nil }
        for (rest, other) in [(last.inputs[0], last.inputs[1]), (last.inputs[1], last.inputs[0])] {
            // (x · s) · ½
            if isNumber(other, 0.5), let product = only(rest, "Mul", inputs: 2) {
                for (x, sum) in [
                    (product.inputs[0], product.inputs[1]), (product.inputs[1], product.inputs[0]),
                ] {
                    if let parts = erfSum(sum, of: x) { return (joinedGelu(x, last), [rest] + parts) }
                }
            }
            // (x · ½) · s
            if let half = only(rest, "Mul", inputs: 2) {
                for (x, number) in [(half.inputs[0], half.inputs[1]), (half.inputs[1], half.inputs[0])]
                where isNumber(number, 0.5) {
                    if let parts = erfSum(other, of: x) { return (joinedGelu(x, last), [rest] + parts) }
                }
            }
        }
        return nil
    }

    private func joinedGelu(_ x: String, _ last: Node) -> Node {
        Node(name: last.name, operatorType: "Gelu", domain: Self.domain, inputs: [x], outputs: last.outputs)
    }

    /// The values of 1 + erf(x/√2), if that is what `name` is.
    private func erfSum(_ name: String, of x: String) -> [String]? {
        guard let sum = only(name, "Add", inputs: 2) else { return nil }
        for (value, one) in [(sum.inputs[0], sum.inputs[1]), (sum.inputs[1], sum.inputs[0])] where isNumber(one, 1) {
            guard let erf = only(value, "Erf", inputs: 1) else { continue }
            let scaled = erf.inputs[0]
            if let division = only(scaled, "Div", inputs: 2), division.inputs[0] == x,
                isNumber(division.inputs[1], 2.0.squareRoot())
            {
                return [name, value, scaled]
            }
            if let product = only(scaled, "Mul", inputs: 2) {
                let pairs = [(product.inputs[0], product.inputs[1]), (product.inputs[1], product.inputs[0])]
                if pairs.contains(where: { $0.0 == x && isNumber($0.1, 0.5.squareRoot()) }) {
                    return [name, value, scaled]
                }
            }
        }
        return nil
    }

    /// The node that computes a value which only one node reads and nobody asks for.
    private func only(_ name: String, _ type: String, inputs: Int) -> Node? {
        guard let node = producers[name], isPlain(node, type, inputs: inputs), readers[name]?.count == 1,
            !outputs.contains(name)
        else { return nil }
        return node
    }

    private func isPlain(_ node: Node, _ type: String, inputs: Int) -> Bool {
        node.domain.isEmpty && node.operatorType == type && node.inputs.count == inputs && node.outputs.count == 1
    }

    private func parameter(_ name: String, rank: Int) -> Shape? {
        guard parameters.contains(name), let shape = graph.initializers[name]?.shape, shape.rank == rank else {
            return nil
        }
        return shape
    }

    /// Whether a value is this number and nothing else, to the digits of a float32.
    private func isNumber(_ name: String, _ value: Double) -> Bool {
        guard let tensor = graph.initializers[name], tensor.elementType == .float32, tensor.elementCount == 1,
            !parameters.contains(name), let found = tensor.floats.first
        else { return false }
        return abs(Double(found) - value) <= 1e-6 * value
    }
}
