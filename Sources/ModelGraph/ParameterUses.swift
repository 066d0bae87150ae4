import Tensors

/// Which values a graph treats as parameters, found from how nodes read them.
///
/// A float32 initializer is a parameter when a layer reads it, directly or behind operators that only move or convert
/// numbers (a transposed matrix, a table's rows, a class token that is expanded and joined). It is a setting, which
/// nothing changes, when all that read it are bounds, pads, scales of quantization, comparisons or initial states. A
/// file does not say what its author trained, so two cases follow rules of thumb:
/// - A tensor of one element that elementwise arithmetic reads is a setting: exporters write 1/sqrt(d), an epsilon or
///   sqrt(2) so. The bias of a layer with one output, and whatever a normalisation or a layer itself reads, is not.
/// - A float buffer (an attention mask, sinusoidal positions) looks like a position embedding and counts as one.
struct ParameterUses {
    /// How strongly a use speaks for a parameter.
    private enum Evidence: Int {
        /// A setting.
        case none
        /// A parameter if it has more than one element.
        case weak
        case strong
    }

    private enum Use {
        case evidence(Evidence)
        /// What the node's outputs are used for.
        case passedOn
    }

    private var evidence: [String: Evidence] = [:]
    /// Running means and variances.
    private var statistics = Set<String>()
    /// Values that come from initializers alone.
    private var fixed: Set<String>
    private let producers: [String: Int]

    init(_ graph: Graph) {
        fixed = Set(graph.initializers.names)
        producers = graph.producers
        for node in graph.nodes
        where !node.inputs.isEmpty && node.inputs.allSatisfy({ $0.isEmpty || fixed.contains($0) }) {
            fixed.formUnion(node.outputs)
        }
        for output in graph.outputs { evidence[output.name] = .weak }
        for node in graph.nodes.reversed() where node.domain.isEmpty || node.isFakeQuantization {
            for (position, name) in node.inputs.enumerated() where !name.isEmpty {
                if node.operatorType == "BatchNormalization", position >= 3 {
                    statistics.insert(name)
                    continue
                }
                let found: Evidence
                switch use(position, of: node, graph) {
                case .evidence(let own): found = own
                case .passedOn:
                    found = node.outputs.map { evidence[$0] ?? .none }.max { $0.rawValue < $1.rawValue } ?? .none
                }
                if found.rawValue > (evidence[name] ?? .none).rawValue { evidence[name] = found }
            }
        }
        // A file may return its weights: that alone makes no parameter of them.
        let read = Set(graph.nodes.flatMap(\.inputs))
        for output in graph.outputs where graph.initializers[output.name] != nil && !read.contains(output.name) {
            evidence[output.name] = nil
        }
    }

    /// What an initializer is, or nil for a setting.
    func role(of name: String, _ tensor: Tensor) -> Parameter.Role? {
        guard tensor.elementType == .float32, tensor.shape.rank > 0 else { return nil }
        if statistics.contains(name) { return .statistic }
        switch evidence[name] ?? .none {
        case .none: return nil
        case .weak: return tensor.elementCount == 1 ? nil : .trainable
        case .strong: return .trainable
        }
    }

    private func use(_ position: Int, of node: Node, _ graph: Graph) -> Use {
        switch node.operatorType {
        case "BatchNormalization", "Conv", "ConvTranspose", "Gemm", "MatMul", "LayerNormalization",
            "InstanceNormalization", "GroupNormalization", "RMSNormalization", "Einsum":
            return .evidence(.strong)
        // The step is trained; what is rounded is what it was.
        case SimulatedQuantization.operatorType: return position == 0 ? .passedOn : .evidence(.strong)
        case "PRelu": return .evidence(position == 1 ? .strong : .weak)
        case "LSTM", "GRU", "RNN":
            // An embedded table, W, R, B and the peepholes P; the initial states h and c are inputs that an exporter froze.
            return .evidence([0, 1, 2, 3, 7].contains(position) ? .strong : .none)
        case "Attention": return .evidence(position < 3 ? .strong : .none)
        case "Add", "Sub": return .evidence(isBias(position, of: node, graph) ? .strong : .weak)
        case "Mul", "Div", "Pow": return .evidence(.weak)
        case "Where": return .evidence(position == 0 ? .none : .weak)
        case let type where Self.elementwise.contains(type): return .evidence(position == 0 ? .weak : .none)
        case let type where Self.moving.contains(type): return position == 0 ? .passedOn : .evidence(.none)
        case "Concat": return .passedOn
        default: return .evidence(.none)
        }
    }

    /// Operators of one operand that arithmetic applies to it.
    private static let elementwise: Set<String> = [
        "Relu", "Sigmoid", "Tanh", "Erf", "Exp", "Log", "Neg", "Abs", "Sqrt", "Reciprocal", "Softplus", "Softmax",
        "LogSoftmax", "LeakyRelu", "Elu", "Selu", "Gelu", "HardSwish", "HardSigmoid", "Clip", "ReduceMean", "ReduceSum",
        "ReduceMax", "ReduceMin", "ReduceL2", "ReduceSumSquare", "Sin", "Cos", "Resize", "Dropout",
    ]

    /// Operators that move or convert the numbers of their first input.
    private static let moving: Set<String> = [
        "Gather", "GatherElements", "GatherND", "Transpose", "Reshape", "Unsqueeze", "Squeeze", "Expand", "Slice",
        "Flatten", "Cast", "CastLike", "Identity", "QuantizeLinear", "DequantizeLinear", "Split", "Tile", "Pad",
        "DepthToSpace", "SpaceToDepth", "Trilu",
    ]

    /// Whether an addition to what a layer computes adds a fixed tensor: MatMul followed by Add is a layer with a bias.
    private func isBias(_ position: Int, of node: Node, _ graph: Graph) -> Bool {
        guard node.operatorType == "Add", node.inputs.count == 2, var producer = producers[node.inputs[1 - position]]
        else { return false }
        if graph.nodes[producer].isFakeQuantization, let exact = graph.nodes[producer].inputs.first {
            guard let before = producers[exact] else { return false }
            producer = before
        }
        let layer = graph.nodes[producer]
        guard ["MatMul", "Conv", "ConvTranspose", "Gemm", "Einsum"].contains(layer.operatorType) else { return false }
        return layer.inputs.contains(where: fixed.contains)
    }
}
