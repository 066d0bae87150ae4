import CTorch
import ModelGraph
import Tensors

// Pooling.
extension Operators {
    static let pools: [String: OperatorDefinition] = [
        "MaxPool": .several(maxPool), "AveragePool": .one(averagePool),
        "GlobalAveragePool": .one(unary(ct_global_average_pool)), "GlobalMaxPool": .one(unary(ct_global_max_pool)),
    ]

    /// What libtorch's own pools take as it is.
    private static func isPlain(_ input: TorchTensor) -> Bool { [.float32, .float64].contains(input.elementType) }

    static func maxPool(_ node: Node, _ graph: Graph) throws(EngineError) -> Perform {
        let (kernel, window) = (try Window.kernel(node), try Window(node))
        let (ceilMode, isColumnMajor) = (flag(node, "ceil_mode"), flag(node, "storage_order"))
        let wantsPlaces = has(node.outputs, 1)
        let roundsUp = roundsUp(window, ceilMode)
        return { _, x throws(EngineError) in
            let input = try first(x)
            let w = try window.resolved(node, input: input, kernel: kernel, ceilMode: roundsUp)
            if !wantsPlaces, isPlain(input), w.suitsPooling(kernel: kernel) {
                return [
                    try TorchTensor(
                        ct_max_pool(input.handle, kernel, w.strides, w.pads, w.dilations, Int32(kernel.count), roundsUp)
                    )
                ]
            }
            return try filled(2) {
                ct_max_pool_windows(
                    input.handle, kernel, w.strides, w.pads, w.dilations, w.extents, Int32(kernel.count), isColumnMajor,
                    $0)
            }
        }
    }

    /// Automatic padding says itself how many windows there are.
    private static func roundsUp(_ window: Window, _ ceilMode: Bool) -> Bool {
        switch window.padding {
        case .explicit, .valid: ceilMode
        case .sameUpper, .sameLower: false
        }
    }

    static func averagePool(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        let (kernel, window) = (try Window.kernel(node), try Window(node))
        let roundsUp = roundsUp(window, flag(node, "ceil_mode"))
        let countsPadding = flag(node, "count_include_pad")
        return { _, x throws(EngineError) in
            let input = try first(x)
            let w = try window.resolved(node, input: input, kernel: kernel, ceilMode: roundsUp)
            let spatial = Int32(kernel.count)
            if isPlain(input), w.suitsPooling(kernel: kernel), w.dilations.allSatisfy({ $0 == 1 }) {
                return try TorchTensor(
                    ct_average_pool(input.handle, kernel, w.strides, w.pads, spatial, roundsUp, countsPadding))
            }
            return try TorchTensor(
                ct_average_pool_windows(
                    input.handle, kernel, w.strides, w.pads, w.dilations, w.extents, spatial, countsPadding))
        }
    }
}
