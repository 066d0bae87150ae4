import Tensors

/// The residual blocks of a graph with where they stand. A branch of Add(x, f) is every node that computes f and itself
/// depends on x; x may be any value, so that weights, masks and shapes from elsewhere go into the branch freely.
struct ResidualBranches {
    struct Branch {
        let block: ResidualBlock
        /// Index of the Add.
        let add: Int
        /// The value x.
        let shortcut: String
    }

    let branches: [Branch]

    init(_ graph: Graph) throws(ModelError) {
        let search = Search(graph)
        var found: [Candidate] = []
        for (index, node) in graph.nodes.enumerated()
        where node.operatorType == "Add" && node.domain.isEmpty && node.inputs.count == 2 && node.outputs.count == 1 {
            // The shortcut may stand on either side.
            guard
                let candidate = search.candidate(add: index, shortcutAt: 0)
                    ?? search.candidate(add: index, shortcutAt: 1)
            else { continue }
            found.append(candidate)
        }
        guard !found.isEmpty else {
            branches = []
            return
        }
        // Several samples, so that an axis of extent 1 that only looks like the batch is told from it.
        let reference = try graph.references()[0]
        let several = reference.inference.shapes
        found = found.filter { several[graph.nodes[$0.add].outputs[0]] == several[$0.shortcut] }
        // The innermost: of a network inside one long shortcut the blocks are those of the network.
        let adds = Set(found.map(\.add))
        found = found.filter { adds.isDisjoint(with: $0.nodes) }
        let single = try graph.inferredForOneSample(reference).shapes
        var taken = Set<String>()
        var result: [Branch] = []
        for candidate in found {
            let block = try search.block(candidate, shapes: single, taken: &taken)
            result.append(Branch(block: block, add: candidate.add, shortcut: candidate.shortcut))
        }
        branches = result
    }
}

private struct Candidate {
    /// Index of the Add.
    let add: Int
    let shortcut: String
    /// The nodes that lead from the shortcut to the Add, in order.
    let nodes: [Int]
    /// Those, the Add, and the nodes that only they read, in order.
    let whole: [Int]
    /// The first weight that these read.
    let weight: String
}

/// What the search for branches looks up.
private struct Search {
    let graph: Graph
    let producers: [String: Int]
    let consumers: [String: [(node: Int, input: Int)]]
    let outputs: Set<String>
    let prunable: Set<String>
    let parameters: [String]

    init(_ graph: Graph) {
        self.graph = graph
        producers = graph.producers
        consumers = graph.consumers
        outputs = graph.outputNames
        prunable = Set(graph.prunableNames)
        parameters = graph.parameters.map(\.name)
    }

    /// The block at an Add; nil where something besides the Add reads what the branch computes, and for a branch without a
    /// weight, which is arithmetic (x + 0.04 x³ of a Gelu).
    func candidate(add: Int, shortcutAt position: Int) -> Candidate? {
        let shortcut = graph.nodes[add].inputs[position]
        guard let nodes = branch(of: add, at: 1 - position, from: shortcut) else { return nil }
        let whole = closure(of: nodes, add: add)
        guard let weight = whole.lazy.flatMap({ graph.nodes[$0].inputs }).first(where: prunable.contains) else {
            return nil
        }
        return Candidate(add: add, shortcut: shortcut, nodes: nodes, whole: whole, weight: weight)
    }

    private func branch(of add: Int, at position: Int, from shortcut: String) -> [Int]? {
        let end = graph.nodes[add].inputs[position]
        // x comes before f(x), so nothing in front of its producer can belong to the branch.
        let start = producers[shortcut] ?? -1
        guard end != shortcut, let last = producers[end], last > start, graph.initializers[shortcut] == nil else {
            return nil
        }
        var ancestors: Set<Int> = [last]
        for index in stride(from: last, through: start + 1, by: -1) where ancestors.contains(index) {
            for input in graph.nodes[index].inputs where input != shortcut {
                if let producer = producers[input], producer > start { ancestors.insert(producer) }
            }
        }
        var derived: Set<String> = [shortcut]
        var nodes: [Int] = []
        for index in ancestors.sorted() where graph.nodes[index].inputs.contains(where: derived.contains) {
            derived.formUnion(graph.nodes[index].outputs.filter { !$0.isEmpty })
            nodes.append(index)
        }
        guard derived.contains(end) else { return nil }
        derived.remove(shortcut)
        let inside = Set(nodes)
        for value in derived {
            guard !outputs.contains(value) else { return nil }
            for reader in consumers[value] ?? [] where !inside.contains(reader.node) {
                guard reader.node == add, reader.input == position else { return nil }
            }
        }
        return nodes
    }

    /// The branch with what only it reads: transposed weights, masks of its own.
    private func closure(of nodes: [Int], add: Int) -> [Int] {
        var whole = Set(nodes + [add])
        for index in stride(from: add, through: 0, by: -1) where !whole.contains(index) {
            let readers = graph.nodes[index].outputs.flatMap { consumers[$0] ?? [] }
            guard !readers.isEmpty, readers.allSatisfy({ whole.contains($0.node) }),
                outputs.isDisjoint(with: graph.nodes[index].outputs), !isShortcut(index, of: add)
            else { continue }
            whole.insert(index)
        }
        return whole.sorted()
    }

    func block(
        _ candidate: Candidate, shapes: [String: Shape], taken: inout Set<String>
    ) throws(ModelError) -> ResidualBlock {
        let whole = Set(candidate.whole)
        var part = graph
        part.nodes = candidate.nodes.map { graph.nodes[$0] }
        return ResidualBlock(
            name: Graph.uniqueName(candidate.weight, taken: &taken),
            nodes: candidate.whole.map { graph.nodes[$0].name },
            parameters: parameters.filter { name in
                guard let readers = consumers[name], !outputs.contains(name) else { return false }
                return readers.allSatisfy { whole.contains($0.node) }
            },
            signature: part.nodes.map(\.operatorType).joined(separator: " "),
            macs: try part.multiplyAccumulates(shapes))
    }

    /// Whether a node computes the value that stays when the Add goes.
    private func isShortcut(_ index: Int, of add: Int) -> Bool {
        graph.nodes[add].inputs.contains { producers[$0] == index }
    }
}
