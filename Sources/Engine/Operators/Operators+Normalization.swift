import CTorch
import ModelGraph
import Tensors

// Normalisations.
extension Operators {
    static let normalizations: [String: OperatorDefinition] = [
        "BatchNormalization": .several(batchNormalization),
        "LayerNormalization": .several(layerNormalization, opsets: 17...25),
        "RMSNormalization": .one(rmsNormalization, opsets: 23...25),
        "GroupNormalization": .one(groupNormalization, opsets: 18...25),
        "InstanceNormalization": .one(instanceNormalization),
    ]

    private static func epsilon(_ node: Node) -> Double { Double(node.float("epsilon") ?? 1e-5) }

    /// The precision of a normalization's first stage. Values are never computed in less than float32.
    private static func checkPrecision(_ node: Node) throws(EngineError) {
        guard node.int("stash_type") ?? 1 == 1 else { throw refuse(node, "stash_type other than float32") }
    }

    /// Training mode is the engine's decision, whatever the file says; but statistics that the graph reads as outputs are
    /// computed as ONNX's training mode says, from the batch. ONNX's momentum is 1 − PyTorch's.
    static func batchNormalization(_ node: Node, _ graph: Graph) throws(EngineError) -> Perform {
        let (epsilon, momentum) = (epsilon(node), Double(node.float("momentum") ?? 0.9))
        if node.outputs.dropFirst().contains(where: { !$0.isEmpty }) {
            guard graph.opset >= 14, flag(node, "training_mode"), node.outputs.count <= 3 else {
                throw refuse(node, "statistics as outputs without training_mode")
            }
            return { frame, x throws(EngineError) in
                let (input, scale, bias) = (try first(x), try first(x, 1), try first(x, 2))
                let (mean, variance) = (try first(x, 3), try first(x, 4))
                let outputs = try filled(3) {
                    ct_batch_norm_statistics(
                        input.handle, scale.handle, bias.handle, mean.handle, variance.handle, momentum, epsilon, $0)
                }
                if frame.updatesStatistics {
                    try CTorchStatus.check(ct_copy_values(mean.handle, outputs[1]?.handle))
                    try CTorchStatus.check(ct_copy_values(variance.handle, outputs[2]?.handle))
                }
                return outputs
            }
        }
        return { frame, x throws(EngineError) in
            let (mean, variance) = (try first(x, 3), try first(x, 4))
            let rate = frame.updatesStatistics && !frame.freezesStatistics ? 1 - momentum : 0
            return [
                try TorchTensor(
                    ct_batch_norm(
                        first(x).handle, first(x, 1).handle, first(x, 2).handle, mean.handle, variance.handle,
                        frame.training && !frame.freezesStatistics, rate, epsilon))
            ]
        }
    }

    static func layerNormalization(_ node: Node, _ graph: Graph) throws(EngineError) -> Perform {
        try checkPrecision(node)
        let (axis, epsilon) = (node.int("axis") ?? -1, epsilon(node))
        let wantsStatistics = has(node.outputs, 1) || has(node.outputs, 2)
        return { _, x throws(EngineError) in
            let (input, scale) = (try first(x), try first(x, 1))
            let extents = input.extents
            let normalized = Array(extents[try place(node, axis, rank: extents.count)...])
            let bias = x.indices.contains(2) ? x[2] : nil
            let isPlain = [scale, bias ?? scale].allSatisfy {
                $0.extents == normalized && $0.elementType == input.elementType
            }
            if isPlain, !wantsStatistics, input.elementType != .float16 {
                return [try TorchTensor(ct_layer_norm(input.handle, scale.handle, bias?.handle, axis, epsilon))]
            }
            return try filled(3) {
                ct_layer_norm_statistics(input.handle, scale.handle, bias?.handle, axis, epsilon, $0)
            }
        }
    }

    static func rmsNormalization(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        try checkPrecision(node)
        let (axis, epsilon) = (node.int("axis") ?? -1, epsilon(node))
        return { _, x throws(EngineError) in
            let input = try first(x)
            _ = try place(node, axis, rank: input.extents.count)
            return try TorchTensor(ct_rms_norm(input.handle, first(x, 1).handle, axis, epsilon))
        }
    }

    /// Scale and bias have a value a group until opset 20, a value a channel from opset 21 on.
    static func groupNormalization(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        try checkPrecision(node)
        let (groups, epsilon) = (try count(node, "num_groups"), epsilon(node))
        let isByGroup = graph.opset < 21
        return { _, x throws(EngineError) in
            let (input, scale) = (try first(x), try first(x, 1))
            let expected = isByGroup ? Int(groups) : input.extents.dropFirst().first ?? 0
            guard scale.extents == [expected] else {
                throw refuse(node, "scale of \(scale.extents), not [\(expected)]")
            }
            return try TorchTensor(
                ct_group_norm(input.handle, scale.handle, first(x, 2).handle, groups, epsilon))
        }
    }

    static func instanceNormalization(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        let epsilon = epsilon(node)
        return { _, x throws(EngineError) in
            try TorchTensor(ct_instance_norm(first(x).handle, first(x, 1).handle, first(x, 2).handle, epsilon))
        }
    }
}
