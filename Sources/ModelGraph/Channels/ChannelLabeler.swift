import Tensors

/// Walks a graph's nodes in order and couples the axes that each operator couples. Operators without a rule freeze all
/// they touch, so that what is not understood is never removed.
struct ChannelLabeler {
    /// A Reshape that cuts an axis in several and has to choose along which of the parts channels go.
    struct Split {
        let node: Int
        let axis: Int
        /// The labels of the axis that is cut.
        let labels: Range<Int>
        let candidates: Int
    }

    let graph: Graph
    let inference: ShapeInference
    /// Values that come from initializers alone.
    let fixed: Set<String>
    var labels: AxisLabels
    /// By node and axis that is cut: how many choices were tried without success.
    let tried: [Int: [Int: Int]]
    /// Choices that were open in this walk.
    var splits: [Split] = []

    private init(
        _ graph: Graph, _ inference: ShapeInference, _ fixed: Set<String>, tried: [Int: [Int: Int]]
    ) throws(ModelError) {
        self.graph = graph
        self.inference = inference
        self.fixed = fixed
        self.tried = tried
        labels = try AxisLabels(graph, shapes: inference.shapes)
    }

    /// Most walks over the graph: one, and one more for each round of choices that led nowhere.
    private static let walkLimit = 6

    /// The labels of a graph. A Reshape such as [3 E] to [3, E] does not say which of its parts the channels follow: where
    /// a choice ends frozen, the next one is tried.
    static func labels(
        of graph: Graph, _ inference: ShapeInference, fixed: Set<String>
    ) throws(ModelError) -> AxisLabels {
        var tried: [Int: [Int: Int]] = [:]
        var walk = 1
        while true {
            var labeler = try ChannelLabeler(graph, inference, fixed, tried: tried)
            labeler.run()
            var isOpen = false
            for split in labeler.splits where split.labels.allSatisfy({ labeler.labels.reason($0) != nil }) {
                let next = tried[split.node]?[split.axis, default: 0] ?? 0
                guard next + 1 < split.candidates else { continue }
                tried[split.node, default: [:]][split.axis] = next + 1
                isOpen = true
            }
            guard isOpen, walk < walkLimit else { return labeler.labels }
            walk += 1
        }
    }

    private mutating func run() {
        for input in graph.inputs { labels.freeze(input.name, "it belongs to the input '\(input.name)'") }
        for output in graph.outputs { labels.freeze(output.name, "it belongs to the output '\(output.name)'") }
        for index in graph.nodes.indices { visit(index) }
    }

    func view(_ node: Node) -> NodeShapes {
        NodeShapes(
            node: node, opset: graph.opset, shapes: inference.shapes, types: inference.types, known: inference.known)
    }

    private mutating func visit(_ index: Int) {
        let view = view(graph.nodes[index])
        let node = view.node
        guard !ChannelOperators.isHostArithmetic(node, inference) else { return }
        guard node.domain.isEmpty, layer(view) || normalization(view) || layout(index, view) || selection(view) else {
            freezeAll(view, "no channels are followed through \(node.operatorType) ('\(node.name)')")
            return
        }
    }

    /// Freezes every axis that a node touches.
    mutating func freezeAll(_ view: NodeShapes, _ reason: String) {
        for value in view.node.inputs + view.node.outputs where !value.isEmpty { labels.freeze(value, reason) }
    }

    /// Freezes axes from one on.
    mutating func freeze(_ value: String, from axis: Int, _ reason: String) {
        for axis in axis..<max(axis, rank(value)) { labels.freeze(value, axis, reason) }
    }

    func rank(_ value: String) -> Int { inference.shapes[value]?.rank ?? 0 }

    func extent(_ value: String, _ axis: Int) -> Int { labels.extent(value, axis) }

    /// Unites the axes of an operand with those of a result of the same or a higher rank, aligned at the last axis; an
    /// extent of 1 that is stretched couples nothing.
    mutating func align(_ operand: String, with result: String, from first: Int = 0) {
        let shift = rank(result) - rank(operand)
        guard shift >= 0 else { return }
        for axis in max(first - shift, 0)..<max(rank(operand), first - shift, 0)
        where extent(operand, axis) == extent(result, axis + shift) {
            labels.unite(operand, axis, result, axis + shift)
        }
    }

    /// A node in words, for reasons.
    func words(_ view: NodeShapes) -> String { "\(view.node.operatorType) '\(view.node.name)'" }
}
