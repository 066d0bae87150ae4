import ModelGraph
import Tensors

/// The pairs of layers of a graph between which channels can be scaled: each weight and bias has one reader, each value between
/// them too, and operators between them only move, choose, average or cut at 0.
struct ChannelPairs {
    private(set) var pairs: [ChannelPair] = []
    private let graph: Graph
    private let readers: ValueReaders

    private static let homogeneous: Set<String> = [
        "Relu", "LeakyRelu", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "Identity", "Dropout",
    ]

    init(_ graph: Graph) {
        self.graph = graph
        readers = ValueReaders(graph)
        for node in graph.nodes where node.domain.isEmpty {
            if let pair = pair(from: node) { pairs.append(pair) }
        }
    }

    private func pair(from node: Node) -> ChannelPair? {
        guard let (first, channels) = outputs(of: node), let bias = bias(of: node, channels) else { return nil }
        var value = node.outputs[0]
        // A product takes the last axis: of images that is the channels' only once they are flattened.
        var areChannelsLast = node.operatorType != "Conv"
        var isFlattened = false
        // Graphs have no cycles, so each step is at another node.
        while let reader = readers.only(value), reader.input == 0 {
            let next = graph.nodes[reader.node]
            guard next.domain.isEmpty, next.outputs.count == 1, value != next.outputs[0] else { return nil }
            if Self.homogeneous.contains(next.operatorType) {
                value = next.outputs[0]
            } else if next.operatorType == "Flatten", next.int("axis") ?? 1 == 1 {
                (value, isFlattened, areChannelsLast) = (next.outputs[0], true, true)
            } else {
                guard areChannelsLast || next.operatorType == "Conv",
                    let second = inputs(of: next, channels, isFlattened), second.weight != first.weight
                else { return nil }
                return ChannelPair(first: first, bias: bias.name, second: second, channels: channels)
            }
        }
        return nil
    }

    /// A weight that is a node's own.
    private func weight(of node: Node) -> (name: String, tensor: Tensor)? {
        guard node.inputs.count >= 2, node.outputs.count == 1, let tensor = graph.initializers[node.inputs[1]],
            tensor.elementType == .float32, tensor.elementCount > 0, readers.only(node.inputs[1]) != nil
        else { return nil }
        return (node.inputs[1], tensor)
    }

    /// Where a layer's outputs stand in its weight, and how many there are.
    private func outputs(of node: Node) -> (ChannelPlaces, Int)? {
        guard let (name, tensor) = weight(of: node) else { return nil }
        switch node.operatorType {
        case "Conv" where tensor.shape.rank >= 3:
            let count = tensor.shape[0]
            return (ChannelPlaces(weight: name, inner: tensor.elementCount / count, extent: count), count)
        case "Gemm" where tensor.shape.rank == 2 && node.int("transA") ?? 0 == 0:
            let axis = node.int("transB") ?? 0 != 0 ? 0 : 1
            let count = tensor.shape[axis]
            return (ChannelPlaces(weight: name, inner: axis == 0 ? tensor.shape[1] : 1, extent: count), count)
        default: return nil
        }
    }

    /// A layer's own bias of one number for each output; nil where it has another kind.
    private func bias(of node: Node, _ channels: Int) -> (name: String?, ())? {
        guard node.inputs.count > 2, !node.inputs[2].isEmpty else { return (nil, ()) }
        let name = node.inputs[2]
        guard let tensor = graph.initializers[name], tensor.elementType == .float32, tensor.elementCount == channels,
            tensor.shape.dimensions.last == channels, readers.only(name) != nil
        else { return nil }
        return (name, ())
    }

    /// Where a layer's inputs stand in its weight.
    private func inputs(of node: Node, _ channels: Int, _ isFlattened: Bool) -> ChannelPlaces? {
        guard let (name, tensor) = weight(of: node) else { return nil }
        switch node.operatorType {
        case "Conv" where tensor.shape.rank >= 3 && !isFlattened:
            let groups = Int(exactly: node.int("group") ?? 1) ?? 0
            let own = tensor.shape[1]
            guard groups > 0, channels == own * groups, tensor.shape[0].isMultiple(of: groups) else { return nil }
            return ChannelPlaces(
                weight: name, inner: tensor.shape.dimensions[2...].reduce(1, *), extent: own,
                groupElements: tensor.elementCount / groups, groupChannels: own)
        case "Gemm", "MatMul":
            guard tensor.shape.rank == 2, node.int("transA") ?? 0 == 0 else { return nil }
            let isTransposed = node.operatorType == "Gemm" && node.int("transB") ?? 0 != 0
            let width = tensor.shape[isTransposed ? 1 : 0]
            // Flattened images have a channel's pixels beside each other.
            guard width.isMultiple(of: channels), isFlattened || width == channels else { return nil }
            return ChannelPlaces(
                weight: name, inner: isTransposed ? 1 : tensor.shape[1], extent: width, perChannel: width / channels)
        default: return nil
        }
    }
}
