import CTorch
import ModelGraph
import Tensors

extension Trainer {
    /// The projectors' weights as they are now, by `FeaturePair.projectorName`: kept beside the student and given to the
    /// next `FeatureMatching`. Empty without feature signals.
    public func projectors() throws(EngineError) -> NamedTensors {
        var tensors = NamedTensors()
        for state in trained.dropFirst(graphParameterCount) { tensors[state.name] = try state.leaf.tensor() }
        return tensors
    }

    /// The graph with the values that signals compare among its outputs, so that nothing joins or drops them.
    static func exposing(_ names: [String], of graph: Graph) -> Graph {
        var graph = graph
        let known = Set(graph.outputs.map(\.name))
        for name in names where !known.contains(name) {
            graph.outputs.append(ValueInfo(name: name, elementType: .float32, dimensions: nil))
        }
        return graph
    }

    /// Makes the projectors trained parameters behind the graph's. They decay as weights do; masks, the proximal term and
    /// corrections are for the graph's own.
    func makeProjectors(_ matching: FeatureMatching) throws(EngineError) {
        var projectors: [String: TorchTensor] = [:]
        for (name, tensor) in matching.projectors.ordered {
            guard graph.initializers[name] == nil else {
                throw .badSetting("the model has a tensor '\(name)': that is the name of a projector")
            }
            // Held until libtorch has copied it.
            let start = try TorchTensor(tensor)
            let leaf = try TorchTensor(ct_leaf(start.handle))
            var state = TrainedParameter(
                name: name, leaf: leaf, mask: nil, decays: true, reference: nil, correction: nil)
            try state.prepare(for: settings)
            trained.append(state)
            projectors[name] = leaf
        }
        features = FeatureTensors(matching: matching, projectors: projectors)
    }

    /// The values that signals compare, after a forward pass.
    func featureValues(_ working: [TorchTensor?]) throws(EngineError) -> [String: TorchTensor] {
        var found: [String: TorchTensor] = [:]
        for name in features?.matching.studentValues ?? [] {
            guard let slot = program.slots[name], let value = working[slot] else { throw .unknownOutput(name) }
            found[name] = value
        }
        return found
    }
}
