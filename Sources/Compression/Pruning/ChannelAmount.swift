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
