import ModelGraph

/// The widths that a group may have and what each of them loses: from the whole width down in steps.
struct ChannelLevels {
    let group: ChannelGroup
    /// Channels from the first to leave to the last: ascending by score; of equal ones the later leaves first.
    let order: [Int]
    /// Descending: the whole width, then multiples of the step, down to the floor.
    let widths: [Int]
    /// The sum of scores that each width loses, in the worth of the group.
    let losses: [Double]

    /// - Parameters:
    ///   - multiple: what the extents of layers should be multiples of. A head of 64 dimensions is one by itself, so heads
    ///     leave one by one then.
    ///   - minimumShare: of the width that stays at least.
    ///   - worth: of all channels together; nil: the sum of the scores.
    ///   - kept: channels that stay at every width.
    init(
        _ group: ChannelGroup, scores: [Double], multiple: Int, minimumShare: Double, worth: Double? = nil,
        keeping kept: Set<Int> = []
    ) {
        self.group = group
        let byScore = scores.indices.sorted { (scores[$0], -$0) < (scores[$1], -$1) }
        order = byScore.filter { !kept.contains($0) } + byScore.filter(kept.contains)
        widths = Self.widths(group, multiple: multiple, minimumShare: minimumShare, keeping: kept.count)
        let sum = scores.reduce(0, +)
        let factor = worth.map { sum > 0 ? $0 / sum : 1 } ?? 1
        var losses: [Double] = []
        var lost = 0.0
        var gone = 0
        for width in widths {
            while gone < group.channels - width {
                lost += scores[order[gone]]
                gone += 1
            }
            losses.append(lost * factor)
        }
        self.losses = losses
    }

    /// The widths that a group may have, descending: one alone where it cannot become narrower.
    /// - Parameter kept: how many channels stay in any case.
    static func widths(_ group: ChannelGroup, multiple: Int, minimumShare: Double, keeping kept: Int) -> [Int] {
        let step = step(group, multiple: multiple)
        let floor = floor(group, step: step, minimumShare: minimumShare, keeping: kept)
        var widths = [group.channels]
        var next = (group.channels - 1) / step * step
        while next >= floor, next > 0 {
            widths.append(next)
            next -= step
        }
        return widths
    }

    /// The channels that stay at a level, ascending.
    func kept(_ level: Int) -> [Int] { order.suffix(widths[level]).sorted() }

    /// The fewest channels that make the extents of layers a multiple: a channel may take several places of an axis. A
    /// head's are those it hands on: tables of positions have one a head.
    static func step(_ group: ChannelGroup, multiple: Int) -> Int {
        let side: ChannelMember.Side = group.kind == .heads ? .consumer : .producer
        var places = 0
        for member in group.members where member.side == side {
            places = greatestCommonDivisor(places, member.places.first?.count ?? 1)
        }
        return multiple / greatestCommonDivisor(multiple, max(1, places))
    }

    /// One step at least, or the whole of a width that is smaller.
    static func floor(_ group: ChannelGroup, step: Int, minimumShare: Double, keeping kept: Int) -> Int {
        let least = max(1, kept, Int((minimumShare * Double(group.channels)).rounded(.up)))
        return min(group.channels, (least + step - 1) / step * step)
    }

    private static func greatestCommonDivisor(_ a: Int, _ b: Int) -> Int {
        var (a, b) = (a, b)
        while b != 0 { (a, b) = (b, a % b) }
        return a
    }
}
