import Tensors

// Edits that drop what inference does not need.
extension Graph {
    /// Drops Dropout and Identity, which do nothing in inference.
    func removingPassThrough() -> Graph {
        var graph = self
        let consumers = self.consumers
        let outputs = outputNames
        let producers = self.producers
        var replacement: [String: String] = [:]
        var kept: [Node] = []
        for var node in nodes {
            node.inputs = node.inputs.map { replacement[$0] ?? $0 }
            let passes = ["Dropout", "Identity"].contains(node.operatorType) && node.domain.isEmpty
            guard passes, let output = node.outputs.first, let input = node.inputs.first,
                node.outputs.dropFirst().allSatisfy({ consumers[$0] == nil && !outputs.contains($0) })
            else {
                kept.append(node)
                continue
            }
            if outputs.contains(output) {
                // The output's name must stay, so the value before takes it over, for all its readers.
                guard producers[input] != nil, !outputs.contains(input),
                    let place = kept.lastIndex(where: { $0.outputs.contains(input) })
                else {
                    kept.append(node)
                    continue
                }
                kept[place].outputs = kept[place].outputs.map { $0 == input ? output : $0 }
                for index in kept.indices { kept[index].inputs = kept[index].inputs.map { $0 == input ? output : $0 } }
                for (name, target) in replacement where target == input { replacement[name] = output }
                replacement[input] = output
            } else {
                replacement[output] = input
            }
        }
        graph.nodes = kept
        graph.dropUnusedInitializers()
        return graph
    }

    /// Stores matrices that only pass through a Transpose in the order in which they are used: PyTorch exports a Linear on
    /// three axes as MatMul with a transposed weight.
    func foldingTransposedWeights() -> (graph: Graph, origins: [String: FoldedWeight]) {
        var graph = self
        var origins: [String: FoldedWeight] = [:]
        let outputs = outputNames
        graph.nodes = nodes.filter { node in
            guard node.operatorType == "Transpose", node.domain.isEmpty, node.inputs.count == 1,
                node.outputs.count == 1,
                let matrix = initializers[node.inputs[0]], matrix.elementType == .float32, matrix.shape.rank == 2,
                node.ints("perm") ?? [1, 0] == [1, 0], !outputs.contains(node.outputs[0])
            else { return true }
            let (rows, columns) = (matrix.shape[0], matrix.shape[1])
            let transposed = matrix.withElements(as: Float.self) { values in
                (0..<columns).flatMap { column in (0..<rows).map { values[$0 * columns + column] } }
            }
            guard let shape = try? Shape([columns, rows]) else { return true }
            graph.initializers[node.outputs[0]] = Tensor(transposed, shape: shape)
            origins[node.outputs[0]] = FoldedWeight(
                source: node.inputs[0], isTransposed: true, axis: nil, factors: nil)
            return false
        }
        graph.orderConstantsLast()
        graph.dropUnusedInitializers()
        return (graph, origins)
    }
}
