import ModelGraph
import Tensors

extension Dataset {
    /// How many samples are evaluated at once: at most 256, and fewer where a sample's inputs or the model's first output
    /// are so large that 2^24 elements hold no 256 of them. It follows from the graph and the samples' shapes alone, so an
    /// evaluation can be repeated to the bit.
    public func evaluationBatch(for graph: Graph) -> Int {
        let inputElements = inputs.reduce(0) { $0 + $1.sampleShape.elementCount }
        return min(256, max(1, (1 << 24) / max(1, inputElements, outputElements(of: graph))))
    }

    /// How many samples are run at once where values inside are looked at, and so kept for the whole batch: at most 32, and
    /// fewer where all values of a sample are so large that 2^23 elements, 32 MiB, hold no 32 of them.
    public func measuringBatch(for graph: Graph) -> Int {
        let most = min(32, evaluationBatch(for: graph))
        guard let shapes = try? graph.inferShapes(batch: 1, extents: openExtents(of: graph)) else { return most }
        var elements = 1
        for name in graph.nodes.flatMap(\.outputs) {
            let (sum, overflows) = elements.addingReportingOverflow(shapes[name]?.elementCount ?? 0)
            elements = overflows ? .max : sum
        }
        return min(most, max(1, (1 << 23) / elements))
    }

    /// Elements of one sample's first output; where shapes cannot be inferred, one for each class or token and place.
    private func outputElements(of graph: Graph) -> Int {
        guard let output = graph.outputs.first else { return 1 }
        if let shape = (try? graph.inferShapes(batch: 1, extents: openExtents(of: graph)))?[output.name] {
            return shape.elementCount
        }
        let last = (try? graph.outputExtent()) ?? max(1, classCount)
        guard targets == .tokens else { return last }
        let (product, overflow) = sampleShape.elementCount.multipliedReportingOverflow(by: last)
        return overflow ? .max : product
    }

    /// What the samples give a model's open axes.
    private func openExtents(of graph: Graph) -> [String: Int] {
        let open = Set(graph.openAxes)
        var extents: [String: Int] = [:]
        for declared in graph.inputs {
            let isOnly = inputs.count == 1 && graph.inputs.count == 1
            guard let input = isOnly ? inputs.first : inputs.first(where: { $0.name == declared.name }) else {
                continue
            }
            for (index, (dimension, extent)) in zip(
                (declared.dimensions ?? []).dropFirst(), input.sampleShape.dimensions
            ).enumerated() {
                let name: String? =
                    switch dimension {
                    case .fixed: nil
                    case .symbolic(let symbol): symbol
                    case .unknown: "\(declared.name).\(index + 1)"
                    }
                if let name, open.contains(name) { extents[name] = extent }
            }
        }
        return extents
    }
}
