import Tensors

extension Graph {
    /// The same structure with the producers of all channels that `kept` leaves out zeroed: rows of kernels, biases,
    /// embeddings and running means; scales, shifts and variances of normalisations stay, but for those that take their
    /// statistics over the channels. What `keeping` equals within float rounding.
    /// - Throws: `ModelError.invalidRequest` as `keeping`.
    public func masking(_ kept: [String: [Int]], of groups: ChannelGroups) throws(ModelError) -> Graph {
        masked(try DeadChannels(kept, of: groups, in: try ChannelStructure(self)))
    }

    func masked(_ dead: DeadChannels) -> Graph {
        var graph = self
        for (name, tensor) in initializers.ordered {
            var changed = tensor
            for axis in 0..<tensor.shape.rank {
                let role = dead.structure.roles[name, axis]
                let places = dead.dead(name, axis).filter { _, channel in
                    role.contains(.makes) || role.contains(.scales) && channel.isNormalizedOver
                }
                guard !places.isEmpty else { continue }
                changed = changed.zeroing(places.map(\.place), axis: axis)
            }
            if changed != tensor { graph.initializers[name] = changed }
        }
        return graph
    }
}
