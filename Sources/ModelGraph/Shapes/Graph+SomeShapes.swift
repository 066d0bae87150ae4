import Tensors

extension Graph {
    /// The shape of every value for a batch, and extents of the inputs' open axes, that are made up: what tells ranks and
    /// channels where nobody has data yet. The first axis of a value and whatever follows `openAxes` mean nothing.
    /// - Throws: `ModelError` where no extents that were tried fit the graph.
    public func shapesOfSomeInput() throws(ModelError) -> [String: Shape] { try references()[0].inference.shapes }
}
