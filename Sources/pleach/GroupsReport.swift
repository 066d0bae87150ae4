import ModelGraph

/// What `pleach model inspect --groups` tells: what structured pruning can take from a model, and what it cannot.
struct GroupsReport: Codable {
    /// One axis of a tensor that shrinks with a group.
    struct Member: Codable {
        var parameter: String
        var axis: Int
        /// `producer` makes the channels, `consumer` reads them.
        var side: String
    }

    struct Group: Codable {
        var name: String
        /// `channels` or `heads`.
        var kind: String
        var channels: Int
        var members: [Member]
        /// Numbers that leave if all channels do.
        var parameters: Int
        /// Of the model's multiply-accumulates, what leaves if all channels do, 0 to 1.
        var macShare: Double
        /// Whether a normalisation takes its statistics over the channels, so that removing some changes the others.
        var normalizedOver: Bool
        /// Equal for groups of the same structure.
        var signature: String
    }

    struct Block: Codable {
        var name: String
        var nodes: [String]
        var parameters: Int
        var macShare: Double
        var signature: String
    }

    struct Fixed: Codable {
        var parameter: String
        var axis: Int
        var reason: String
    }

    var groups: [Group]
    /// Residual blocks that can leave whole.
    var blocks: [Block]
    /// Axes of weights that belong to no group.
    var fixed: [Fixed]

    init(_ graph: Graph) throws {
        let found = try graph.channelGroups()
        let total = found.costs.reduce(0.0) { $0 + Double($1.macs) }
        groups = found.groups.map { group in
            Group(
                name: group.name, kind: group.kind.rawValue, channels: group.channels,
                members: group.members.map {
                    Member(parameter: $0.parameter, axis: $0.axis, side: $0.side == .producer ? "producer" : "consumer")
                },
                parameters: group.elements(in: graph),
                macShare: total > 0 ? found.costs.reduce(0) { $0 + group.macs(of: $1) } / total : 0,
                normalizedOver: group.isNormalizedOver, signature: group.signature)
        }
        let sizes = Dictionary(
            graph.parameters.map { ($0.name, $0.shape.elementCount) }, uniquingKeysWith: { first, _ in first })
        blocks = try graph.residualBlocks().map { block in
            Block(
                name: block.name, nodes: block.nodes,
                parameters: block.parameters.reduce(0) { $0 + (sizes[$1] ?? 0) },
                macShare: total > 0 ? Double(block.macs) / total : 0, signature: block.signature)
        }
        fixed = found.fixed.map { Fixed(parameter: $0.parameter, axis: $0.axis, reason: $0.reason) }
    }
}

extension ChannelGroup {
    /// Numbers of the graph's initializers that go with a channel of this group.
    fileprivate func elements(in graph: Graph) -> Int {
        var order: [String] = []
        var axes: [String: [Int: Int]] = [:]
        for member in members {
            if axes[member.parameter] == nil { order.append(member.parameter) }
            let places = member.places.reduce(0) { $0 + $1.count }
            axes[member.parameter, default: [:]][member.axis] = places
        }
        return order.reduce(0) { sum, name in
            guard let shape = graph.initializers[name]?.shape else { return sum }
            let left = shape.dimensions.enumerated().reduce(1) { $0 * ($1.element - (axes[name]?[$1.offset] ?? 0)) }
            return sum + shape.elementCount - left
        }
    }

    /// Multiply-accumulates of a node that go with the group.
    fileprivate func macs(of cost: ChannelCost) -> Double {
        let left = cost.factors.reduce(1.0) { left, factor in
            guard factor.extent > 0, let perChannel = factor.perChannel[name] else { return left }
            return left * (1 - min(1, Double(perChannel * channels) / Double(factor.extent)))
        }
        return Double(cost.macs) * (1 - left)
    }
}
