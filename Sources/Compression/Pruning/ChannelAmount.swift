/// What is to be left of a graph.
public enum ChannelAmount: Sendable, Equatable {
    /// A share of the channels of the groups to prune: a target, met as nearly as widths allow.
    case channels(Double)
    /// At most this share of the graph's trainable weights.
    case weights(Double)
    /// At most this share of the graph's multiply-accumulates.
    case macs(Double)
    /// At most this many bytes of float32 parameters, running statistics among them.
    case bytes(Int)

    /// - Throws: `CompressionError.valueOutOfRange`.
    public func validate() throws(CompressionError) {
        switch self {
        case .channels(let share): try Self.check(share, "channels")
        case .weights(let share): try Self.check(share, "weights")
        case .macs(let share): try Self.check(share, "multiply-accumulates")
        case .bytes(let count):
            guard count > 0 else { throw .valueOutOfRange("\(count) bytes are to be left: give at least 1") }
        }
    }

    private static func check(_ share: Double, _ what: String) throws(CompressionError) {
        guard share > 0, share <= 1 else {
            throw .valueOutOfRange("a share of \(share) of the \(what) is to be left: give one above 0 and at most 1")
        }
    }
}

/// What the scores of one group are worth beside those of another, where groups compete under a budget.
public enum ChannelWeighting: String, Sendable, Equatable, CaseIterable {
    /// Scores say what part of its group a channel is, as `Importance.ofChannels` gives them by default. All channels of a
    /// group together are worth the layers that they run through: a channel of a residual stream, which many layers make
    /// and read, is worth more than one inside a block, and one of few more than one of many. Costs fall with layers and
    /// widths in the same way, so a budget alone prefers no group, and what differs is how much weaker its weak channels are.
    case layers
    /// Scores are comparable as they are: estimates of the loss, not normalised.
    case none
}
