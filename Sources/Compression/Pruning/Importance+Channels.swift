import ModelGraph
import Tensors

extension Importance {
    /// The importance of each channel of each group, by the group's name.
    ///
    /// A channel's score is the mean over the group's members of what the member's elements that go with the channel add up
    /// to, each member divided by its mean over the channels first: a kernel of thousands of numbers and a scale of one say
    /// as much. So a group's scores have the mean 1.
    /// Members that count are kernels and matrices, and the scales of normalisations; biases and shifts tell nothing of how
    /// much a channel carries. Both sides count: removing a channel also removes the columns that read it, and before a
    /// normalisation the filter's own size says little (Fang et al. 2023, section 3.3).
    ///
    /// `fpgm` looks at producers' filters alone and `bnScale` at BatchNormalizations' scales; `gradientNorm` is measured for
    /// the channel as a whole; `lamp` is `l2` over the sum of what is no smaller in the group (Lee et al. 2021), without a
    /// mean of 1. `movement` is shifted by each member's least value.
    /// - Throws: `CompressionError.groupMisfit` for groups of another graph, without a member that counts or, for
    ///   `bnScale`, without a BatchNormalization; `.missingStatistic`, `.scoresNotFinite`.
    public func ofChannels(_ groups: [ChannelGroup]) throws(CompressionError) -> [String: [Double]] {
        try criterion.check(fits: PruningCriterion.forChannels, "channels")
        var scores: [String: [Double]] = [:]
        for group in groups { scores[group.name] = try ofChannels(group) }
        return scores
    }

    private func ofChannels(_ group: ChannelGroup) throws(CompressionError) -> [Double] {
        if criterion == .gradientNorm {
            guard let shape = try? Shape([group.channels]) else {
                throw .groupMisfit(group: group.name, reason: "it has \(group.channels) channels")
            }
            let squares = try statistic(group.name, shape: shape).floats
            let values = squares.map { Double(max(0, $0)) / Double(ScoreStatistic.gateScale) }
            return Self.normalized(values)
        }
        let members = try countedMembers(of: group)
        var total = [Double](repeating: 0, count: group.channels)
        for member in members {
            var values = try ofMember(member, of: group)
            if criterion != .lamp { values = Self.normalized(values) }
            for (channel, value) in values.enumerated() { total[channel] += value / Double(members.count) }
        }
        guard total.allSatisfy(\.isFinite) else { throw .scoresNotFinite(tensor: group.name) }
        return criterion == .lamp ? Self.lamp(total) : total
    }

    /// What a member says of each channel, at least 0.
    private func ofMember(_ member: ChannelMember, of group: ChannelGroup) throws(CompressionError) -> [Double] {
        guard let weight = weights[member.parameter] else {
            throw .groupMisfit(group: group.name, reason: "the model has no weights '\(member.parameter)'")
        }
        let slices = try ChannelSlices(member, of: group, shape: weight.shape)
        var sums = [Double](repeating: 0, count: group.channels)
        switch criterion {
        case .fpgm:
            sums = Self.distances(weight.withElements(as: Float.self) { slices.rows(of: $0) })
        case .bnScale:
            weight.withElements(as: Float.self) { weight in slices.add(into: &sums) { Double(abs(weight[$0])) } }
        default:
            let values = try ofElements(member.parameter)
            slices.add(into: &sums) { Double(values[$0]) }
        }
        if criterion == .movement, let least = sums.min() { sums = sums.map { $0 - least } }
        return sums
    }

    private func countedMembers(of group: ChannelGroup) throws(CompressionError) -> [ChannelMember] {
        let kernels = Set(prunable)
        var seen: Set<String> = []
        var members: [ChannelMember] = []
        for member in group.members {
            let counts =
                switch criterion {
                case .fpgm: member.side == .producer && kernels.contains(member.parameter)
                case .bnScale: member.side == .producer && batchScales.contains(member.parameter)
                default: kernels.contains(member.parameter) || scales.contains(member.parameter)
                }
            // A depthwise kernel makes and reads a channel along one axis.
            if counts, seen.insert("\(member.axis) \(member.parameter)").inserted { members.append(member) }
        }
        guard !members.isEmpty else {
            throw .groupMisfit(
                group: group.name,
                reason: criterion == .bnScale
                    ? "it has no BatchNormalization for criterion 'bnScale'; l1, taylor and the others rank it"
                    : "it has no weights that criterion '\(criterion.rawValue)' could rank its channels by")
        }
        return members
    }

    /// Divided by their mean; all 0 where that is 0.
    static func normalized(_ values: [Double]) -> [Double] {
        let mean = values.reduce(0, +) / Double(max(1, values.count))
        return mean > 0 ? values.map { $0 / mean } : values.map { _ in 0 }
    }

    /// Σ_j ‖w_i − w_j‖₂ of each row. Precondition: rows of one length.
    static func distances(_ rows: [[Float]]) -> [Double] {
        var sums = [Double](repeating: 0, count: rows.count)
        for first in rows.indices {
            for second in 0..<first {
                let distance = rows[first].withUnsafeBufferPointer { a in
                    rows[second].withUnsafeBufferPointer { b in squaredDistance(a, b) }
                }.squareRoot()
                sums[first] += distance
                sums[second] += distance
            }
        }
        return sums
    }

    /// In eight sums side by side.
    private static func squaredDistance(_ a: UnsafeBufferPointer<Float>, _ b: UnsafeBufferPointer<Float>) -> Double {
        var lanes = SIMD8<Double>(repeating: 0)
        var index = 0
        while index + 8 <= a.count {
            var part = SIMD8<Double>()
            for lane in 0..<8 { part[lane] = Double(a[index + lane]) - Double(b[index + lane]) }
            lanes += part * part
            index += 8
        }
        var sum = lanes.sum()
        while index < a.count {
            let difference = Double(a[index]) - Double(b[index])
            sum += difference * difference
            index += 1
        }
        return sum
    }

    private static func lamp(_ squares: [Double]) -> [Double] {
        let order = squares.indices.sorted { (squares[$0], -$0) > (squares[$1], -$1) }
        var scores = squares
        var sum = 0.0
        for index in order {
            sum += squares[index]
            scores[index] = sum > 0 ? squares[index] / sum : 0
        }
        return scores
    }
}
