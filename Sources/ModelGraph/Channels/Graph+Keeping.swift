import Tensors

extension Graph {
    /// The graph without the channels that `kept` leaves out. What they still emit (a normalisation's shift behind its
    /// activation, say) goes into the biases of the layers behind, or into the running means of a normalisation that
    /// follows one without a bias, so that the result equals `masking(kept, of: groups)` within float rounding, but for
    /// `notes` and groups that are normalised over. Declared inputs and outputs stay as they are.
    /// - Parameters:
    ///   - kept: by group, the ascending indices of the channels that stay; groups left out stay whole.
    ///   - borders: what to do where a constant meets a border padded with zeros.
    /// - Throws: `ModelError.invalidRequest` for a group that does not exist or would vanish and for indices that do not
    ///   fit; `.invalidNode` naming a node that does not take its new shapes.
    ///
    /// A bias is added only where it is not 0, so the structure of the result may depend on values: a skeleton can turn out
    /// without one.
    public func keeping(
        _ kept: [String: [Int]], of groups: ChannelGroups, borders: BorderRule = .absorb
    ) throws(ModelError) -> PrunedGraph {
        let structure = try ChannelStructure(self)
        let dead = try DeadChannels(kept, of: groups, in: structure)
        guard !dead.isEmpty else { return PrunedGraph(graph: self, slices: ParameterSlices()) }
        let absorption = Absorption.absorb(self, dead)
        if borders == .keep, let note = absorption.notes.first(where: { $0.reason == .border }) {
            let channels = note.channels.map(String.init).joined(separator: ", ")
            throw .invalidRequest(
                "what channels \(channels) of group '\(note.group)' emit meets the padded border of node '\(note.node)'; "
                    + "keep them")
        }
        var slices = ParameterSlices()
        var graph = absorption.graph
        for (name, tensor) in graph.initializers.ordered {
            var own: [Int: [Int]] = [:]
            for axis in 0..<tensor.shape.rank {
                let source = absorption.sources[name]?[axis] ?? (value: name, axis: axis)
                own[axis] = dead.kept(source.value, source.axis)
            }
            guard !own.isEmpty else { continue }
            graph.initializers[name] = ParameterSlices(kept: [name: own]).apply(to: tensor, named: name)
            if initializers[name] != nil { slices.kept[name] = own }
        }
        var rewriter = StructureRewriter(graph, dead)
        try rewriter.run()
        graph = rewriter.graph
        graph.dropUnreadArithmetic(structure.inference)
        graph.orderConstantsLast()
        graph.dropUnusedInitializers()
        let left = Set(graph.initializers.names)
        slices.removed = Set(initializers.names).subtracting(left)
        for name in slices.removed { slices.kept[name] = nil }
        return PrunedGraph(graph: graph, slices: slices, notes: absorption.notes)
    }
    /// Drops the computation of shapes that nothing reads any more.
    private mutating func dropUnreadArithmetic(_ inference: ShapeInference) {
        var read = outputNames
        var kept: [Node] = []
        for node in nodes.reversed() {
            let isRead = node.outputs.contains(where: read.contains)
            guard isRead || !ChannelOperators.isHostArithmetic(node, inference) else { continue }
            read.formUnion(node.inputs)
            kept.append(node)
        }
        nodes = kept.reversed()
    }
}
