import Tensors

extension Graph {
    /// The graph with each ReduceMean over the spatial axes of an image as GlobalAveragePool, for which there are integer
    /// kernels (METHODS "Export" 4). The result keeps its name; without kept axes a Flatten gives it. Means over other axes
    /// stay, and all where shapes are not known.
    public func poolingSpatialMeans() -> Graph {
        guard nodes.contains(where: { $0.operatorType == "ReduceMean" && $0.domain.isEmpty }),
            let shapes = try? sampleShapes()
        else { return self }
        var taken = valueNames
        var graph = self
        graph.nodes = nodes.flatMap { node -> [Node] in
            guard node.operatorType == "ReduceMean", node.domain.isEmpty, node.outputs.count == 1,
                let input = node.inputs.first, initializers[input] == nil, let shape = shapes[input], shape.rank == 4,
                let axes = reducedAxes(of: node), Set(axes.map { $0 < 0 ? $0 + 4 : $0 }) == [2, 3]
            else { return [node] }
            var pool = Node(
                name: node.name, operatorType: "GlobalAveragePool", inputs: [input], outputs: node.outputs)
            guard node.int("keepdims") ?? 1 == 0 else { return [pool] }
            let pooled = Graph.uniqueName("\(node.outputs[0]).pooled", taken: &taken)
            pool.outputs = [pooled]
            let flatten = Node(
                name: "\(node.name).flatten", operatorType: "Flatten", inputs: [pooled], outputs: node.outputs,
                attributes: ["axis": .int(1)])
            return [pool, flatten]
        }
        graph.dropUnusedInitializers()
        return graph
    }

    private func reducedAxes(of node: Node) -> [Int64]? {
        if let axes = node.ints("axes") { return axes }
        guard node.inputs.count > 1, let tensor = initializers[node.inputs[1]], tensor.elementType == .int64 else {
            return nil
        }
        return tensor.elements(as: Int64.self)
    }
}
