/// What to do with a channel whose constant meets a border padded with zeros, where the layer behind sees less of it
/// than elsewhere.
public enum BorderRule: Sendable, Equatable {
    /// Absorb it as if there were no border, and note it.
    case absorb
    /// Refuse, naming the channels, so that the caller can keep them.
    case keep
}

/// Dead channels for which the smaller graph equals the masked one only nearly.
public struct PruningNote: Sendable, Equatable {
    public enum Reason: String, Sendable, Equatable {
        /// Their constant meets zeros at a padded border.
        case border
        /// What they emit at a layer behind is no constant, or nothing there can take it; it is left out.
        case notConstant
    }

    public let group: String
    /// Ascending.
    public let channels: [Int]
    /// The node that meets them.
    public let node: String
    public let reason: Reason

    public init(group: String, channels: [Int], node: String, reason: Reason) {
        self.group = group
        self.channels = channels
        self.node = node
        self.reason = reason
    }
}

/// A graph without some of its channels or blocks, and how the parameters of the graph before become its own.
public struct PrunedGraph: Sendable, Equatable {
    public let graph: Graph
    /// For tensors beside the parameters, such as an optimizer's; the values in `graph` may differ from sliced ones by
    /// what was absorbed.
    public let slices: ParameterSlices
    /// Where the graph is not exactly the masked one, in node order. Groups with `isNormalizedOver` are not listed.
    public let notes: [PruningNote]

    public init(graph: Graph, slices: ParameterSlices, notes: [PruningNote] = []) {
        self.graph = graph
        self.slices = slices
        self.notes = notes
    }
}
