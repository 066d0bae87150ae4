import Tensors

extension Graph {
    /// Extent of the first output's last axis: classes, or a vocabulary. nil when it cannot be told before running, as
    /// where it follows an open axis of an input.
    /// - Throws: `ModelError` where the shapes of a graph without open axes do not fit.
    public func outputExtent() throws(ModelError) -> Int? {
        guard let output = outputs.first else { return nil }
        let open = openAxes
        guard !open.isEmpty else { return try inferShapes(batch: 1)[output.name]?.dimensions.last }
        // What is the same for two lengths does not depend on the length.
        let found = [16, 24].map { length -> Int? in
            let extents = Dictionary(open.map { ($0, length) }, uniquingKeysWith: { first, _ in first })
            return (try? inferShapes(batch: 1, extents: extents))?[output.name]?.dimensions.last
        }
        return found[0] == found[1] ? found[0] : nil
    }
}
