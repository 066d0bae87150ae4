import Tensors

// What stands around a group, and what it costs.
extension GroupFinder {
    /// By group: the operators that make, pass on and read its channels, with how often, in that order and each part
    /// sorted by name. Layers that only make channels end in ".out", those that only read them in ".in".
    func signatures() -> [String: String] {
        var counts: [String: [String: Int]] = [:]
        var known: [String: Set<String>] = [:]
        func touched(_ values: [String]) -> Set<String> {
            var result = Set<String>()
            for value in values where !value.isEmpty && !structure.fixed.contains(value) {
                if known[value] == nil {
                    known[value] = (0..<structure.rank(value)).reduce(into: Set<String>()) { found, axis in
                        for label in structure.classes(value, axis) {
                            if let group = groupOf[label] { found.insert(group) }
                        }
                    }
                }
                result.formUnion(known[value] ?? [])
            }
            return result
        }
        for node in structure.graph.nodes where !ChannelOperators.isHostArithmetic(node, structure.inference) {
            let (before, after) = (touched(node.inputs), touched(node.outputs))
            let isLayer = ChannelOperators.layers.contains(node.operatorType)
            for group in before.union(after) {
                var token = "1 \(node.operatorType)"
                if isLayer, !before.contains(group) { token = "0 \(node.operatorType).out" }
                if isLayer, !after.contains(group) { token = "2 \(node.operatorType).in" }
                counts[group, default: [:]][token, default: 0] += 1
            }
        }
        return counts.mapValues { tokens in
            tokens.sorted { $0.key < $1.key }.map { token, count in
                let name = token.dropFirst(2)
                return count == 1 ? String(name) : "\(name) x\(count)"
            }.joined(separator: " ")
        }
    }

    /// Multiply-accumulates of one sample by node, with the axes that shrink with groups.
    func costs(_ groups: [ChannelGroup]) throws(ModelError) -> [ChannelCost] {
        let graph = structure.graph
        let shapes = try graph.inferredForOneSample(structure.references[0]).shapes
        var result: [ChannelCost] = []
        for node in graph.nodes where node.domain.isEmpty {
            guard let macs = try graph.multiplyAccumulates(of: node, shapes) else { continue }
            let factors = axes(of: node).map { value, axis in
                ChannelCost.Factor(extent: structure.extent(value, axis), perChannel: self.groups(on: value, axis))
            }
            result.append(ChannelCost(node: node.name, macs: macs, factors: factors))
        }
        return result
    }

    /// The axes whose extents multiply to a node's cost and may shrink.
    private func axes(of node: Node) -> [(String, Int)] {
        guard node.inputs.count > 1, let y = node.outputs.first else { return [] }
        let (x, w) = (node.inputs[0], node.inputs[1])
        switch node.operatorType {
        // The axis of a kernel that a group of channels reads; a depthwise kernel's is 1.
        case "Conv": return [(y, 1), (w, 1)]
        case "ConvTranspose": return [(x, 1), (w, 1)]
        case "Gemm": return [(y, 1), (w, node.int("transB") ?? 0 != 0 ? 1 : 0)]
        case "MatMul": return (0..<structure.rank(y)).map { (y, $0) } + [(x, structure.rank(x) - 1)]
        case "Einsum":
            guard let equation = try? EinsumEquation(structure.view(node)) else { return [] }
            return equation.extents.keys.sorted().compactMap { letter in
                zip(node.inputs, equation.terms).lazy.compactMap { value, letters in
                    letters.firstIndex(of: letter).map { (value, $0) }
                }.first
            }
        default: return []
        }
    }
}
