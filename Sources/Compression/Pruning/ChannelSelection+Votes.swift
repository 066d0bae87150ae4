import ModelGraph
import Tensors

extension ChannelSelection {
    /// A worker's vote: for each group a tensor of its name, shape [channels], 1 for the channels that its own selection
    /// keeps. Groups that the selection leaves out are kept whole.
    public static func vote(of kept: [String: [Int]], groups: [ChannelGroup]) -> NamedTensors {
        NamedTensors(
            groups.compactMap { group in
                guard let shape = try? Shape([group.channels]) else { return nil }
                guard let kept = kept[group.name] else {
                    return (group.name, Tensor([Float](repeating: 1, count: group.channels), shape: shape))
                }
                var votes = [Float](repeating: 0, count: group.channels)
                for channel in kept where votes.indices.contains(channel) { votes[channel] = 1 }
                return (group.name, Tensor(votes, shape: shape))
            })
    }

    /// The channels that stay by votes; groups that stay whole are left out. What the rule keeps is rounded up to the
    /// multiple, and to the least share, by the next in votes (ties: the earlier).
    /// - Parameters:
    ///   - votes: the mean of `vote(of:groups:)` over voters, by their weight: shares in 0...1.
    ///   - among: the groups that were voted on.
    ///   - multiple: as in `select`.
    ///   - minimumShare, keeping: as in `select`.
    /// - Throws: `CompressionError.valueOutOfRange`, `.groupMisfit` for votes that do not fit a group.
    public static func kept(
        byVotes votes: NamedTensors, among: [ChannelGroup], rule: VoteRule, multiple: Int = 1,
        minimumShare: Double = ChannelSelection.minimumShare, keeping: [String: Set<Int>] = [:]
    ) throws(CompressionError) -> [String: [Int]] {
        try rule.validate()
        try check(multiple: multiple, minimumShare: minimumShare)
        var kept: [String: [Int]] = [:]
        for group in among {
            guard let tensor = votes[group.name], tensor.elementType == .float32,
                tensor.elementCount == group.channels
            else {
                throw .groupMisfit(group: group.name, reason: "its votes are not \(group.channels) float32 numbers")
            }
            let shares = tensor.floats.map(Double.init)
            guard shares.allSatisfy({ $0 >= 0 && $0 <= 1.001 }) else {
                throw .groupMisfit(group: group.name, reason: "its votes are no shares between 0 and 1")
            }
            let stay = keeping[group.name] ?? []
            let levels = ChannelLevels(
                group, scores: shares, multiple: multiple, minimumShare: minimumShare, keeping: stay)
            let wanted = shares.indices.count(where: { rule.keeps(shares[$0]) || stay.contains($0) })
            guard let level = levels.widths.lastIndex(where: { $0 >= wanted }), level > 0 else { continue }
            kept[group.name] = levels.kept(level)
        }
        return kept
    }
}
