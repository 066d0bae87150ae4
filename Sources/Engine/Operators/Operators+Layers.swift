import CTorch
import ModelGraph
import Tensors

// Softmax and dropout.
extension Operators {
    static let layers: [String: OperatorDefinition] = [
        "Dropout": .several(dropout), "Softmax": .one(softmax(ct_softmax)), "LogSoftmax": .one(softmax(ct_log_softmax)),
    ]

    /// Training mode is the engine's decision, whatever the file says, and so is the seed.
    static func dropout(_ node: Node, _ graph: Graph) throws(EngineError) -> Perform {
        let wantsMask = has(node.outputs, 1)
        return { frame, x throws(EngineError) in
            let input = try first(x)
            if !frame.training, !wantsMask { return [input] }
            let ratio = try numbers(x, 1)?.first ?? 0.5
            guard (0...1).contains(ratio) else { throw refuse(node, "a ratio of \(ratio)") }
            let isTraining = frame.training
            return try filled(2) { ct_dropout(input.handle, ratio, isTraining, $0) }
        }
    }

    private static func softmax(
        _ function: @escaping @Sendable (OpaquePointer?, Int64) -> OpaquePointer?
    ) -> SingleCompiler {
        { node, _ throws(EngineError) in
            let axis = node.int("axis") ?? -1
            return { _, x throws(EngineError) in
                let input = try first(x)
                _ = try place(node, axis, rank: input.extents.count)
                return try TorchTensor(function(input.handle, axis))
            }
        }
    }
}
