import ModelGraph
import Tensors

/// Two layers whose channels between them were scaled.
public struct EqualizedPair: Sendable, Equatable {
    /// The weights' names.
    public let first: String
    public let second: String
    public let channels: Int
}

extension Graph {
    /// Cross-layer equalization (Nagel et al. 2019, "Data-Free Quantization through Weight Equalization and Bias Correction",
    /// section 4.1): where nothing but positively homogeneous operators stands between two layers, channel i of the first is
    /// divided by s_i = √(r1 r2)/r2 and what the second multiplies it with is multiplied by s_i, so that both have the range
    /// √(r1 r2). Repeated until nothing changes. The graph computes the same up to rounding; zeros stay zeros.
    ///
    /// Relu6 and other Clips are no part of a pair: they would cut at another place. Call on a BN-folded graph, before anything is
    /// measured on it.
    public func equalizingLayers() -> (graph: Graph, pairs: [EqualizedPair]) {
        var graph = self
        let pairs = ChannelPairs(self).pairs
        for _ in 0..<20 {
            var largestChange: Float = 0
            for pair in pairs { largestChange = max(largestChange, graph.equalize(pair)) }
            if largestChange < 1e-3 { break }
        }
        return (
            graph,
            pairs.map { EqualizedPair(first: $0.first.weight, second: $0.second.weight, channels: $0.channels) }
        )
    }

    /// Returns by how much a scale differed from 1 at most.
    private mutating func equalize(_ pair: ChannelPair) -> Float {
        guard let before = initializers[pair.first.weight], let after = initializers[pair.second.weight] else {
            return 0
        }
        var (one, two) = (before.floats, after.floats)
        let (r1, r2) = (pair.ranges(one, pair.first), pair.ranges(two, pair.second))
        var largestChange: Float = 0
        let scales = (0..<pair.channels).map { channel -> Float in
            // Channels that are dead on one side say nothing of their scale.
            guard r1[channel] > 0, r2[channel] > 0, r1[channel].isFinite, r2[channel].isFinite else { return 1 }
            let scale = (Double(r1[channel]) / Double(r2[channel])).squareRoot()
            let bounded = Float(min(max(scale, 0x1p-20), 0x1p20))
            largestChange = max(largestChange, abs(bounded - 1))
            return bounded
        }
        for index in one.indices { one[index] /= scales[pair.first.channel(ofElement: index)] }
        for index in two.indices { two[index] *= scales[pair.second.channel(ofElement: index)] }
        initializers[pair.first.weight] = Tensor(one, shape: before.shape)
        initializers[pair.second.weight] = Tensor(two, shape: after.shape)
        if let name = pair.bias, let bias = initializers[name] {
            initializers[name] = Tensor(zip(bias.floats, scales).map { $0 / $1 }, shape: bias.shape)
        }
        return largestChange
    }
}

/// Where the channels between two layers stand in a weight.
struct ChannelPlaces: Sendable, Equatable {
    let weight: String
    /// Consecutive elements of one index, how many indices there are, and how many of them make a channel.
    var inner: Int
    var extent: Int
    var perChannel = 1
    /// Of a grouped convolution's inputs: elements of a group, and channels of a group.
    var groupElements = Int.max
    var groupChannels = 0

    @inline(__always)
    func channel(ofElement element: Int) -> Int {
        element / groupElements * groupChannels + element / inner % extent / perChannel
    }
}

struct ChannelPair: Sendable, Equatable {
    let first: ChannelPlaces
    let bias: String?
    let second: ChannelPlaces
    let channels: Int

    /// The largest magnitude of each channel.
    func ranges(_ values: [Float], _ places: ChannelPlaces) -> [Float] {
        var result = [Float](repeating: 0, count: channels)
        for (index, value) in values.enumerated() {
            let channel = places.channel(ofElement: index)
            result[channel] = max(result[channel], abs(value))
        }
        return result
    }
}
