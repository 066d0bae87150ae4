// Channels that can only be removed together: found from how operators couple the axes of tensors, and removed as a
// function from graph to graph. This folder decides nothing about importance (Compression does).

/// One axis of one initializer that a group reaches.
public struct ChannelMember: Sendable, Equatable {
    /// Which side of a layer the axis is on.
    public enum Side: Sendable, Equatable {
        /// What makes the channel: rows of a kernel, a bias, a normalisation's scale, shift, mean and variance.
        case producer
        /// What reads it: the input channels of the layers behind.
        case consumer
    }

    /// The initializer's name.
    public let parameter: String
    public let axis: Int
    public let side: Side
    /// For each channel of the group, in order, the indices along `axis` that go with it, ascending. Several where the axis
    /// holds a channel more than once: places of a flattened map, the dimensions of a head.
    public let places: [[Int]]

    public init(parameter: String, axis: Int, side: Side, places: [[Int]]) {
        self.parameter = parameter
        self.axis = axis
        self.side = side
        self.places = places
    }
}

/// Channels of several tensors that can only be removed together: the closure of removing one channel (Fang et al. 2023,
/// "DepGraph", section 3).
public struct ChannelGroup: Sendable, Equatable {
    public enum Kind: String, Sendable, Equatable {
        /// Channels of maps or features.
        case channels
        /// Attention heads: a channel is a head.
        case heads
    }

    /// The name of the first weight that makes the group's channels: unique within a graph.
    public let name: String
    public let kind: Kind
    /// How many channels there are.
    public let channels: Int
    /// Ascending by the graph's order of initializers, then by axis; one for each (parameter, axis, side).
    public let members: [ChannelMember]
    /// The operators around the group, the same for groups of the same structure: what the isomorphic scope compares.
    public let signature: String
    /// Whether a normalisation takes its statistics over the group's channels (LayerNormalization, GroupNormalization), so
    /// that removing some changes what it makes of the others.
    public let isNormalizedOver: Bool

    public init(
        name: String, kind: Kind, channels: Int, members: [ChannelMember], signature: String, isNormalizedOver: Bool
    ) {
        self.name = name
        self.kind = kind
        self.channels = channels
        self.members = members
        self.signature = signature
        self.isNormalizedOver = isNormalizedOver
    }
}

/// What a node costs and which groups it shrinks with: its multiply-accumulates are `macs` times, for each factor, the
/// share of the extent that is left.
public struct ChannelCost: Sendable, Equatable {
    /// One axis of what the node multiplies.
    public struct Factor: Sendable, Equatable {
        /// Elements along the axis as the graph stands.
        public let extent: Int
        /// By group: elements that leave with each of its channels.
        public let perChannel: [String: Int]

        public init(extent: Int, perChannel: [String: Int]) {
            self.extent = extent
            self.perChannel = perChannel
        }
    }

    public let node: String
    /// Multiply-accumulates for one sample, as the graph stands.
    public let macs: Int
    public let factors: [Factor]

    public init(node: String, macs: Int, factors: [Factor]) {
        self.node = node
        self.macs = macs
        self.factors = factors
    }
}

/// The groups of a graph.
public struct ChannelGroups: Sendable, Equatable {
    /// Why no channel of a layer can be removed.
    public struct Fixed: Sendable, Equatable {
        public let parameter: String
        public let axis: Int
        public let reason: String

        public init(parameter: String, axis: Int, reason: String) {
            self.parameter = parameter
            self.axis = axis
            self.reason = reason
        }
    }

    /// In the order of their names' initializers.
    public let groups: [ChannelGroup]
    public let costs: [ChannelCost]
    /// Axes of weights that belong to no group, with the reason: an input's or output's channels, say.
    public let fixed: [Fixed]

    public init(groups: [ChannelGroup], costs: [ChannelCost], fixed: [Fixed]) {
        self.groups = groups
        self.costs = costs
        self.fixed = fixed
    }

    public subscript(name: String) -> ChannelGroup? { groups.first { $0.name == name } }
}

/// How the initializers of one graph become those of a smaller one.
public struct ParameterSlices: Sendable, Equatable {
    /// By parameter and axis: the indices that stay, ascending. Axes that stay whole are left out.
    public var kept: [String: [Int: [Int]]]
    /// Parameters that are no more.
    public var removed: Set<String>

    public init(kept: [String: [Int: [Int]]] = [:], removed: Set<String> = []) {
        self.kept = kept
        self.removed = removed
    }
}
