extension Graph {
    /// The trainable parameters that weight decay is for where it is not for all: those of two axes or more, embeddings
    /// among them, but no scale or bias of a normalization and no bias of a convolution, product or recurrent layer.
    public var decayingNames: Set<String> {
        var spared: Set<String> = []
        for node in nodes where node.domain.isEmpty {
            let positions: ClosedRange<Int>
            switch node.operatorType {
            case "BatchNormalization", "LayerNormalization", "InstanceNormalization", "GroupNormalization":
                positions = 1...2
            case "RMSNormalization": positions = 1...1
            case "Conv", "ConvTranspose", "Gemm": positions = 2...2
            case "LSTM", "GRU", "RNN": positions = 3...3
            default: continue
            }
            for position in positions where position < node.inputs.count { spared.insert(node.inputs[position]) }
        }
        return Set(
            parameters.filter { $0.role == .trainable && $0.shape.rank >= 2 && !spared.contains($0.name) }.map(\.name))
    }
}
