import CTorch
import ModelGraph
import Tensors

// RNN, GRU and LSTM.
extension Operators {
    static let recurrent: [String: OperatorDefinition] = [
        "RNN": .several(rnn), "GRU": .several(gru), "LSTM": .several(lstm),
    ]

    static func rnn(_ node: Node, _ graph: Graph) throws(EngineError) -> Perform {
        try recurrent(node, kind: CT_RNN, activations: ["Tanh"])
    }

    static func gru(_ node: Node, _ graph: Graph) throws(EngineError) -> Perform {
        try recurrent(node, kind: CT_GRU, activations: ["Sigmoid", "Tanh"])
    }

    static func lstm(_ node: Node, _ graph: Graph) throws(EngineError) -> Perform {
        try recurrent(node, kind: CT_LSTM, activations: ["Sigmoid", "Tanh", "Tanh"])
    }

    private static func recurrent(
        _ node: Node, kind: Int, activations standard: [String]
    ) throws(EngineError) -> Perform {
        let direction = try mode(
            node, "direction", default: "forward",
            [("forward", CT_FORWARD), ("reverse", CT_REVERSE), ("bidirectional", CT_BIDIRECTIONAL)])
        let directions = direction == CT_BIDIRECTIONAL ? 2 : 1
        let activations = try activations(node, standard: standard, directions: directions)
        let clip = Double(node.float("clip") ?? 0)
        guard clip.isFinite, clip >= 0 else { throw refuse(node, "clip \(clip)") }
        let layout = node.int("layout") ?? 0
        guard layout == 0 || layout == 1 else { throw refuse(node, "layout \(layout)") }
        let declared = try node.int("hidden_size").map { _ throws(EngineError) in try count(node, "hidden_size") }
        let settings = CTRecurrent(
            kind: Int32(kind), direction: direction, hidden_size: 0, batch_first: layout == 1, clip: clip,
            input_forget: flag(node, "input_forget"), linear_before_reset: flag(node, "linear_before_reset"),
            activations: nil)
        return { _, x throws(EngineError) in
            let weight = try first(x, 2)
            guard weight.extents.count == 3, let hidden = weight.extents.last, hidden > 0 else {
                throw refuse(node, "R of \(weight.extents)")
            }
            var settings = settings
            settings.hidden_size = declared ?? Int64(hidden)
            var handles: [OpaquePointer?] = [try first(x).handle, try first(x, 1).handle, weight.handle]
            for index in 3..<8 { handles.append(optional(x, index)) }
            return try filled(3) { outputs in
                activations.withUnsafeBufferPointer {
                    settings.activations = $0.baseAddress
                    return ct_recurrent(&settings, handles, outputs)
                }
            }
        }
    }

    /// The names ONNX gives, with the constants of those that have any.
    private static let activationKinds: [String: (kind: Int, alpha: Double?, beta: Double?)] = [
        "relu": (CT_RELU, nil, nil), "tanh": (CT_TANH, nil, nil), "sigmoid": (CT_SIGMOID, nil, nil),
        "affine": (CT_AFFINE, 1, 0), "leakyrelu": (CT_LEAKY_RELU, 0.01, nil),
        "thresholdedrelu": (CT_THRESHOLDED_RELU, 1, nil), "scaledtanh": (CT_SCALED_TANH, 1, 1),
        "hardsigmoid": (CT_HARD_SIGMOID, 0.2, 0.5), "elu": (CT_ELU, 1, nil), "softsign": (CT_SOFTSIGN, nil, nil),
        "softplus": (CT_SOFTPLUS, nil, nil),
    ]

    /// Activations of every direction. The lists of constants are used up by the functions that have some, in order.
    private static func activations(
        _ node: Node, standard: [String], directions: Int
    ) throws(EngineError) -> [CTActivation] {
        var names = Array(repeating: standard, count: directions).flatMap { $0 }
        if case .strings(let given)? = node.attributes["activations"] {
            // A list for one direction holds for both.
            names = given.count == standard.count ? Array(repeating: given, count: directions).flatMap { $0 } : given
        }
        guard names.count == standard.count * directions else { throw refuse(node, "\(names.count) activations") }
        func constants(_ key: String) -> [Float] {
            if case .floats(let values)? = node.attributes[key] { values } else { [] }
        }
        var (alphas, betas) = (constants("activation_alpha")[...], constants("activation_beta")[...])
        var activations: [CTActivation] = []
        for name in names {
            guard let kind = activationKinds[name.lowercased()] else { throw refuse(node, "activation '\(name)'") }
            let alpha = kind.alpha.map { alphas.popFirst().map(Double.init) ?? $0 } ?? 0
            let beta = kind.beta.map { betas.popFirst().map(Double.init) ?? $0 } ?? 0
            activations.append(CTActivation(kind: Int32(kind.kind), alpha: alpha, beta: beta))
        }
        return activations
    }
}
