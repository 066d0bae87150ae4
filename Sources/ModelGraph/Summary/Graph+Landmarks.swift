import Tensors

// Values inside a network that mean the same in networks of other widths and depths: what a student can learn from.
extension Graph {
    /// The values at which stages of the network end, in order, with shapes as of `shapesOfSomeInput`.
    ///
    /// Of a transformer each layer's: the last residual sum before the next attention. Of an image network the last
    /// residual sum (or, where it has none, the last activation) of every run of values with one height and width. Of
    /// others every residual sum of sequences, or else every activation. Where only an activation, a LayerNormalization
    /// or a Dropout reads such a sum, the stage ends behind that.
    /// - Throws: `ModelError` where shapes cannot be inferred.
    public func stageOutputs() throws(ModelError) -> [(name: String, shape: Shape)] {
        // Values have their names behind the rounding that training simulates.
        let plain = withUnroundedWeights()
        let search = LandmarkSearch(plain, shapes: try plain.shapesOfSomeInput())
        let attention = search.attention
        let sums = search.sums
        let sequences = sums.filter { search.rank(of: $0.name) == 3 }
        var found: [String] = []
        if !attention.isEmpty, !sequences.isEmpty {
            for (index, node) in attention.map(\.node).enumerated() {
                let next = index + 1 < attention.count ? attention[index + 1].node : plain.nodes.count
                if let last = sequences.last(where: { $0.node > node && $0.node < next }) { found.append(last.name) }
            }
        } else {
            let planes = sums.filter { search.rank(of: $0.name) == 4 }
            found = search.lastOfRuns(planes.isEmpty ? search.activations(rank: 4) : planes)
            if found.isEmpty { found = sequences.map(\.name) }
            if found.isEmpty { found = search.activations(rank: 2).map(\.name) }
        }
        return found.map(search.settled).compactMap { name in search.shapes[name].map { (name, $0) } }
    }

    /// The attention matrices in order, with shapes as of `shapesOfSomeInput`: outputs of a Softmax over the last axis
    /// that a MatMul reads first, through a Dropout, Cast, Identity or Where at most. A node that computes attention as
    /// a whole shows none.
    /// - Throws: `ModelError` where shapes cannot be inferred.
    public func attentionMatrices() throws(ModelError) -> [(name: String, shape: Shape)] {
        // Values have their names behind the rounding that training simulates.
        let plain = withUnroundedWeights()
        let search = LandmarkSearch(plain, shapes: try plain.shapesOfSomeInput())
        return search.attention.compactMap { found in
            guard let name = found.matrix else { return nil }
            return search.shapes[name].map { (name, $0) }
        }
    }
}

/// What the search for landmarks looks up.
private struct LandmarkSearch {
    static let activations: Set<String> = [
        "Relu", "Clip", "LeakyRelu", "PRelu", "Elu", "Selu", "Celu", "HardSwish", "Gelu", "Mish", "Tanh", "Sigmoid",
        "Softplus", "Softsign",
    ]
    /// What hands an attention matrix on.
    static let carriers: Set<String> = ["Dropout", "Cast", "Identity", "Where"]

    let graph: Graph
    let shapes: [String: Shape]
    private let consumers: [String: [(node: Int, input: Int)]]
    /// Values that follow from the graph's inputs.
    private let derived: Set<String>

    init(_ graph: Graph, shapes: [String: Shape]) {
        self.graph = graph
        self.shapes = shapes
        consumers = graph.consumers
        var derived = Set(graph.inputs.map(\.name))
        for node in graph.nodes where node.inputs.contains(where: derived.contains) {
            derived.formUnion(node.outputs.filter { !$0.isEmpty })
        }
        self.derived = derived
    }

    func rank(of name: String) -> Int { shapes[name]?.rank ?? 0 }

    /// Sums of two values of one shape that both follow from the inputs: residual sums, and some arithmetic.
    var sums: [(node: Int, name: String)] {
        graph.nodes.enumerated().compactMap { index, node in
            guard node.operatorType == "Add", node.domain.isEmpty, node.inputs.count == 2, let sum = node.outputs.first,
                node.inputs.allSatisfy({ derived.contains($0) && shapes[$0] == shapes[sum] })
            else { return nil }
            return (index, sum)
        }
    }

    func activations(rank: Int) -> [(node: Int, name: String)] {
        graph.nodes.enumerated().compactMap { index, node in
            guard Self.activations.contains(node.operatorType), node.domain.isEmpty, let output = node.outputs.first,
                derived.contains(output), self.rank(of: output) == rank
            else { return nil }
            return (index, output)
        }
    }

    /// Nodes that compute attention, with the matrix of those that show it.
    var attention: [(node: Int, matrix: String?)] {
        graph.nodes.enumerated().compactMap { index, node in
            guard let output = node.outputs.first, derived.contains(output) else { return nil }
            if node.operatorType == "Attention" { return (index, nil) }
            guard node.operatorType == "Softmax", node.domain.isEmpty, let shape = shapes[output],
                (3...4).contains(shape.rank), [-1, Int64(shape.rank - 1)].contains(node.int("axis") ?? -1),
                reachesProduct(output)
            else { return nil }
            return (index, output)
        }
    }

    private func reachesProduct(_ value: String) -> Bool {
        var open = [value]
        var seen: Set<String> = [value]
        while let name = open.popLast() {
            for (index, input) in consumers[name] ?? [] {
                let node = graph.nodes[index]
                if node.operatorType == "MatMul", input == 0 { return true }
                guard Self.carriers.contains(node.operatorType), let output = node.outputs.first,
                    seen.insert(output).inserted
                else { continue }
                open.append(output)
            }
        }
        return false
    }

    /// The last of each run of values with one height and width.
    func lastOfRuns(_ values: [(node: Int, name: String)]) -> [String] {
        var last: [(size: ArraySlice<Int>, name: String)] = []
        for (_, name) in values {
            guard let size = shapes[name]?.dimensions.suffix(2) else { continue }
            if last.last.map({ Array($0.size) == Array(size) }) ?? false { last.removeLast() }
            last.append((size, name))
        }
        return last.map(\.name)
    }

    /// The value behind what alone reads it.
    func settled(_ value: String) -> String {
        var value = value
        let outputs = graph.outputNames
        while let readers = consumers[value], readers.count == 1, readers[0].input == 0, !outputs.contains(value) {
            let node = graph.nodes[readers[0].node]
            let isPlain = Self.activations.contains(node.operatorType) || node.operatorType == "Dropout"
            guard isPlain || node.operatorType == "LayerNormalization", node.domain.isEmpty,
                let output = node.outputs.first, shapes[output] == shapes[value]
            else { break }
            value = output
        }
        return value
    }
}
