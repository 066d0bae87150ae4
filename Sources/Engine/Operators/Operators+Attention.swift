import CTorch
import ModelGraph
import Tensors

// Attention and rotary positions.
extension Operators {
    static let attention: [String: OperatorDefinition] = [
        "Attention": .several(scaledDotProductAttention, opsets: 23...25),
        "RotaryEmbedding": .one(rotaryEmbedding, opsets: 23...25),
    ]

    static func scaledDotProductAttention(_ node: Node, _ graph: Graph) throws(EngineError) -> Perform {
        guard has(node.inputs, 4) == has(node.inputs, 5) else { throw refuse(node, "one of past_key and past_value") }
        guard !has(node.inputs, 6) || !has(node.inputs, 4) else {
            throw refuse(node, "nonpad_kv_seqlen together with past_key")
        }
        let shown = node.int("qk_matmul_output_mode") ?? 0
        guard (0...3).contains(shown) else { throw refuse(node, "qk_matmul_output_mode \(shown)") }
        let scale = node.float("scale").map(Double.init)
        let softcap = Double(node.float("softcap") ?? 0)
        guard scale.map({ $0.isFinite && $0 >= 0 }) ?? true, softcap.isFinite, softcap >= 0 else {
            throw refuse(node, "a scale or softcap that is negative or not finite")
        }
        var settings = CTAttention()
        settings.causal = flag(node, "is_causal")
        settings.has_scale = scale != nil
        settings.scale = scale ?? 0
        settings.softcap = softcap
        settings.shown = Int32(shown)
        settings.softmax_type = try softmaxType(node)
        settings.left_window = node.int("left_window_size") ?? -1
        settings.right_window = node.int("right_window_size") ?? -1
        guard min(settings.left_window, settings.right_window) >= -1 else { throw refuse(node, "a window below -1") }
        let heads = try ["q_num_heads", "kv_num_heads"].map { name throws(EngineError) in
            try node.int(name) == nil ? 0 : count(node, name)
        }
        (settings.query_heads, settings.key_heads) = (heads[0], heads[1])
        return { [settings] _, x throws(EngineError) in
            var settings = settings
            var handles: [OpaquePointer?] = []
            for index in 0..<3 { handles.append(try first(x, index).handle) }
            for index in 3..<7 { handles.append(optional(x, index)) }
            return try filled(4) { ct_attention(handles, &settings, $0) }
        }
    }

    private static func softmaxType(_ node: Node) throws(EngineError) -> Int32 {
        switch node.int("softmax_precision") ?? 0 {
        case 0: 0
        case 1: Int32(CT_FLOAT32)
        case 10: Int32(CT_FLOAT16)
        case 11: Int32(CT_FLOAT64)
        case 16: Int32(CT_BFLOAT16)
        case let other: throw refuse(node, "softmax_precision \(other)")
        }
    }

    static func rotaryEmbedding(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        let isInterleaved = flag(node, "interleaved")
        let rotated = node.int("rotary_embedding_dim") ?? 0
        guard (0...Int64(ModelLimits.extent)).contains(rotated) else {
            throw refuse(node, "rotary_embedding_dim \(rotated)")
        }
        let heads = node.int("num_heads") ?? 0
        guard (0...Int64(ModelLimits.extent)).contains(heads) else { throw refuse(node, "num_heads \(heads)") }
        return { _, x throws(EngineError) in
            try TorchTensor(
                ct_rotary_embedding(
                    first(x).handle, first(x, 1).handle, first(x, 2).handle, optional(x, 3), heads, rotated,
                    isInterleaved))
        }
    }
}
