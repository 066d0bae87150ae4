import Tensors

/// A branch f of Add(x, f(x)) that can leave the graph whole: behind it stays x. Nothing outside reads what it computes, its
/// shortcut is the identity, and no smaller block is inside it.
public struct ResidualBlock: Sendable, Equatable {
    /// The name of its first weight: unique within a graph.
    public let name: String
    /// The nodes of the branch by name, in order, those that prepare its weights and the Add at its end included.
    public let nodes: [String]
    /// The parameters that only the branch reads, in the order of the initializers.
    public let parameters: [String]
    /// The operators of the branch in order, the same for blocks of the same structure: what importance is normalised over.
    public let signature: String
    /// Multiply-accumulates for one sample, at the extents that `residualBlocks` made up where the file leaves axes open.
    public let macs: Int

    public init(name: String, nodes: [String], parameters: [String], signature: String, macs: Int) {
        self.name = name
        self.nodes = nodes
        self.parameters = parameters
        self.signature = signature
        self.macs = macs
    }
}

extension Graph {
    /// The residual blocks, in the order of their Adds. A block whose shortcut is a projection is none: without it x would
    /// not fit what follows. The attention and the feed-forward branch of a transformer are a block each.
    /// - Throws: `ModelError` where shapes cannot be inferred.
    public func residualBlocks() throws(ModelError) -> [ResidualBlock] {
        try ResidualBranches(self).branches.map(\.block)
    }

    /// The graph without the branches of these blocks: what read their sum reads x. Outputs of the graph keep their names.
    /// - Throws: `ModelError.invalidRequest` for a name that is no block's, with the nearest that is.
    public func removing(blocks names: Set<String>) throws(ModelError) -> PrunedGraph {
        let branches = try branches(named: names)
        var graph = self
        // By the sum that goes: what is read in its place.
        var shortcuts: [String: String] = [:]
        for branch in branches {
            let sum = nodes[branch.add].outputs[0]
            // Adds stand in topological order, so a shortcut that is itself such a sum is known by now.
            shortcuts[sum] = shortcuts[branch.shortcut] ?? branch.shortcut
        }
        for index in graph.nodes.indices {
            graph.nodes[index].inputs = graph.nodes[index].inputs.map { shortcuts[$0] ?? $0 }
            let node = nodes[index]
            guard let sum = node.outputs.first, let shortcut = shortcuts[sum] else { continue }
            graph.nodes[index] = Node(
                name: node.name, operatorType: "Identity", inputs: [shortcut], outputs: [sum])
        }
        graph.dropUnreadNodes()
        graph.dropUnusedInitializers()
        let left = Set(graph.initializers.names)
        let removed = parameters.map(\.name).filter { !left.contains($0) }
        return PrunedGraph(graph: graph, slices: ParameterSlices(removed: Set(removed)))
    }

    /// The same structure with the branches of these blocks multiplied by 0: what `removing` must equal.
    /// - Throws: as `removing`.
    public func muting(blocks names: Set<String>) throws(ModelError) -> Graph {
        let branches = try branches(named: names)
        var graph = self
        var taken = valueNames
        let zero = Graph.uniqueName("zero", taken: &taken)
        if !branches.isEmpty { graph.initializers[zero] = Tensor([0 as Float], shape: []) }
        for branch in branches.reversed() {
            let add = nodes[branch.add]
            let side = add.inputs[0] == branch.shortcut ? 1 : 0
            let muted = Graph.uniqueName("\(add.inputs[side]).muted", taken: &taken)
            graph.nodes[branch.add].inputs[side] = muted
            graph.nodes.insert(
                Node(name: muted, operatorType: "Mul", inputs: [add.inputs[side], zero], outputs: [muted]),
                at: branch.add)
        }
        return graph
    }

    /// In the order of their Adds.
    private func branches(named names: Set<String>) throws(ModelError) -> [ResidualBranches.Branch] {
        let branches = try ResidualBranches(self).branches
        let known = branches.map(\.block.name)
        for name in names.sorted() where !known.contains(name) {
            let hint = NearestName.hint(for: name, in: known)
            throw .invalidRequest("the model has no residual block '\(name)'\(hint)")
        }
        return branches.filter { names.contains($0.block.name) }
    }

    /// Drops nodes whose outputs nothing reads and nobody asks for.
    private mutating func dropUnreadNodes() {
        var read = outputNames
        var kept: [Node] = []
        for node in nodes.reversed() where node.outputs.contains(where: read.contains) {
            read.formUnion(node.inputs.filter { !$0.isEmpty })
            kept.append(node)
        }
        nodes = kept.reversed()
    }
}
