import Tensors

/// A graph with the labels of its axes, settled: the basis of finding groups and of removing channels.
struct ChannelStructure {
    let graph: Graph
    let inference: ShapeInference
    /// The shapes above, and others under another batch and other lengths where the graph takes them: what differs
    /// follows an open axis.
    let references: [StructureRewriter.Reference]
    /// Values that come from initializers alone.
    let fixed: Set<String>
    let roles: AxisRoles
    private let labels: AxisLabels
    /// By label: the root of its class.
    private let roots: [Int32]

    /// - Throws: `ModelError` where shapes cannot be inferred.
    init(_ graph: Graph) throws(ModelError) {
        self.graph = graph
        references = try graph.references()
        inference = references[0].inference
        fixed = graph.fixedValues
        roles = AxisRoles(graph, inference, fixed: fixed)
        var labels = try ChannelLabeler.labels(of: graph, inference, fixed: fixed)
        roots = (0..<labels.count).map { Int32(labels.root($0)) }
        self.labels = labels
    }

    func extent(_ value: String, _ axis: Int) -> Int { inference.shapes[value]?.dimensions[axis] ?? 0 }

    func rank(_ value: String) -> Int { inference.shapes[value]?.rank ?? 0 }

    /// The classes of an axis's indices, in order.
    func classes(_ value: String, _ axis: Int) -> ArraySlice<Int32> {
        roots[labels.range(value, axis)]
    }

    func reason(_ root: Int32) -> String? { labels.reason(root: Int(root)) }

    func traits(_ root: Int32) -> AxisLabels.Traits { labels.traits(root: Int(root)) }

    func view(_ node: Node) -> NodeShapes {
        NodeShapes(
            node: node, opset: graph.opset, shapes: inference.shapes, types: inference.types, known: inference.known)
    }
}

extension Graph {
    /// Values that come from initializers alone, these among them.
    var fixedValues: Set<String> {
        var fixed = Set(initializers.names)
        for node in nodes where !node.inputs.isEmpty {
            // CastLike reads only the type of its second operand.
            let read = node.operatorType == "CastLike" ? node.inputs.prefix(1) : node.inputs[...]
            if read.allSatisfy({ $0.isEmpty || fixed.contains($0) }) { fixed.formUnion(node.outputs) }
        }
        return fixed
    }

    /// Extents for open axes that most networks take: those of images from the third axis of four on, else a sequence's.
    var madeUpExtents: [[String: Int]] {
        var spatial = Set<String>()
        for input in inputs {
            guard let dimensions = input.dimensions, dimensions.count >= 4 else { continue }
            for (axis, dimension) in dimensions.enumerated() where axis >= 2 {
                switch dimension {
                case .symbolic(let symbol): spatial.insert(symbol)
                case .unknown: spatial.insert("\(input.name).\(axis)")
                case .fixed: break
                }
            }
        }
        let open = openAxes
        guard !open.isEmpty else { return [[:]] }
        return [(224, 16), (224, 32), (64, 8), (32, 16)].map { pixels, length in
            Dictionary(
                open.map { ($0, spatial.contains($0) ? pixels : length) }, uniquingKeysWith: { first, _ in first })
        }
    }

    /// Shapes for a batch and open axes that are made up: the first that fit, and others with which nothing but open axes
    /// agrees. A batch of 7 keeps its axis apart from others; a file that fixes it in a Reshape takes 1.
    func references() throws(ModelError) -> [StructureRewriter.Reference] {
        var found: [StructureRewriter.Reference] = []
        var failure: ModelError?
        for batch in [7, 1] where found.isEmpty {
            for extents in madeUpExtents where found.isEmpty {
                do throws(ModelError) {
                    let inference = try inferred(batch: batch, extents: extents)
                    found.append(StructureRewriter.Reference(batch: batch, extents: extents, inference: inference))
                } catch { failure = failure ?? error }
            }
        }
        guard let first = found.first else { throw failure ?? .invalidRequest("no shapes can be inferred") }
        let others = first.extents.mapValues { $0 + ($0 >= 64 ? 32 : 8) }
        // Networks that take only some lengths still take another batch.
        for extents in others == first.extents ? [others] : [others, first.extents] where found.count == 1 {
            guard let inference = try? inferred(batch: first.batch + 4, extents: extents) else { continue }
            found.append(
                StructureRewriter.Reference(batch: first.batch + 4, extents: extents, inference: inference))
        }
        return found
    }

    /// Shapes of one sample, where the graph takes that.
    func inferredForOneSample(_ reference: StructureRewriter.Reference) throws(ModelError) -> ShapeInference {
        if let inference = try? inferred(batch: 1, extents: reference.extents) { return inference }
        return try inferred(batch: reference.batch, extents: reference.extents)
    }
}
