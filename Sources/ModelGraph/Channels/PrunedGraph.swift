/// A smaller graph, and how its parameters come from those of the graph it was made of.
public struct PrunedGraph: Sendable, Equatable {
    public let graph: Graph
    public let slices: ParameterSlices

    public init(graph: Graph, slices: ParameterSlices) {
        self.graph = graph
        self.slices = slices
    }
}
