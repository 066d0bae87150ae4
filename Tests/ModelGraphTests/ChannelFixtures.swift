import ModelGraph
import Tensors
import Testing

/// A convolution's weight with values that count up.
func kernel(_ out: Int, _ input: Int, _ size: Int = 1) throws -> Tensor {
    ramp(try Shape([out, input, size, size]))
}

/// A value with numbers along one axis that count up.
func numbers(_ count: Int) throws -> Tensor { ramp(try Shape([count])) }

/// The scale, shift, mean and variance of a normalisation, by names under `name`.
func statistics(_ name: String, _ channels: Int) -> [(String, Tensor)] {
    let shape: Shape = [channels]
    return [
        ("\(name).scale", Tensor((0..<channels).map { 0.5 + Float($0) / 10 }, shape: shape)),
        ("\(name).shift", Tensor((0..<channels).map { 0.3 - Float($0) / 7 }, shape: shape)),
        ("\(name).mean", Tensor((0..<channels).map { Float($0) / 5 - 0.2 }, shape: shape)),
        ("\(name).variance", Tensor((0..<channels).map { 1 + Float($0) / 3 }, shape: shape)),
    ]
}

func normalization(_ name: String, _ input: String, _ output: String) -> Node {
    node(
        "BatchNormalization",
        [input, "\(name).scale", "\(name).shift", "\(name).mean", "\(name).variance"], [output])
}

/// A group in one line: its name, kind where heads, channels and members as `parameter:axis` with `>` before a consumer and
/// the places of channel 0 behind.
func describe(_ group: ChannelGroup) -> String {
    let members = group.members.map { member in
        (member.side == .consumer ? ">" : "") + "\(member.parameter):\(member.axis)\(member.places[0])"
    }
    return "\(group.name)\(group.kind == .heads ? " heads" : "") x\(group.channels) = "
        + members.joined(separator: " ")
}

extension Graph {
    var groupLines: [String] {
        get throws { try channelGroups().groups.map(describe) }
    }

    /// Removes all channels of every group but the given ones.
    func keepingFirst(_ count: Int) throws -> PrunedGraph {
        let groups = try channelGroups()
        let kept = Dictionary(
            uniqueKeysWithValues: groups.groups.map { ($0.name, Array(0..<min(count, $0.channels))) })
        return try keeping(kept, of: groups)
    }

    func extents(_ name: String) -> [Int]? { initializers[name]?.shape.dimensions }
}
