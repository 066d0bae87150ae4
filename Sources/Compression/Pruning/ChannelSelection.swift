import ModelGraph
import Tensors

/// Decides which channels of which groups stay.
public enum ChannelSelection {
    /// The share of a group's channels that stays by default, whatever the others do: a layer that a ranking empties cuts
    /// the network (Tanaka et al. 2020, "layer collapse"). Small, since an eighth of the width is what strong pruning asks
    /// of the widest layers, and since it applies anew at each step of a schedule.
    public static let minimumShare = 0.1

    /// Which channels stay, by the name of the group; groups that stay whole are left out.
    ///
    /// Within a group the channels of the highest scores stay (ties: the earlier), so smaller widths are nested in larger
    /// ones. How much of each group stays is the scope's: `local` and `isomorphic` leave each group, or the groups of one
    /// signature together, the same share; `global` takes the steps that lose least importance for what they save, with
    /// costs recomputed as widths shrink, since a layer costs the product of its widths (see `ChannelSearch`).
    ///
    /// Under a budget `global` weighs scores, which say what part of its group a channel is: all channels of a group
    /// together are worth the layers that they run through. A channel of a residual stream, which many layers make and
    /// read, is worth more than one inside a block, and one of few more than one of many. Costs fall with layers and widths
    /// in the same way, so a budget alone prefers no group, and what differs is how much weaker its weak channels are:
    /// unweighted, residual streams would be emptied, whose channels save much and count as one.
    ///
    /// Weights and bytes count what the members of groups lose, not biases that absorbing constants may add.
    /// - Parameters:
    ///   - groups: all groups of the graph, with its costs.
    ///   - among: the groups to prune; the others stay whole.
    ///   - scores: of each channel of the groups to prune, finite and at least 0 (`Importance.ofChannels`).
    ///   - amount: what is to be left. Budgets are upper bounds; a share of channels is a target.
    ///   - multiple: what widths are multiples of: the extents along layers, so groups whose channels take several places
    ///     (heads) have smaller steps. A whole width may stay whatever it is. 1 allows every width.
    ///   - minimumShare: of each group's channels that stays at least, 0...1; one multiple stays in any case, or the whole
    ///     of a smaller width.
    ///   - keeping: by group, channels that stay whatever their scores.
    ///   - parameters: the graph's.
    /// - Throws: `CompressionError.valueOutOfRange`; `.unknownGroup` with the nearest name for one that the graph does not
    ///   have; `.groupMisfit` for scores that do not fit it; `.budgetTooSmall` with the smallest that can be met.
    public static func select(
        _ groups: ChannelGroups, among: [ChannelGroup], scores: [String: [Double]], amount: ChannelAmount,
        scope: PruningScope, multiple: Int = 1, minimumShare: Double = ChannelSelection.minimumShare,
        keeping: [String: Set<Int>] = [:], parameters: [Parameter]
    ) throws(CompressionError) -> [String: [Int]] {
        try amount.validate()
        try check(multiple: multiple, minimumShare: minimumShare)
        let among = try self.groups(named: among.map(\.name), in: groups)
        let layers = Set(parameters.filter { $0.role == .trainable && $0.shape.rank > 1 }.map(\.name))
        var isWeighted = scope == .global
        if case .channels = amount { isWeighted = false }
        var levels: [ChannelLevels] = []
        for group in among {
            guard let scores = scores[group.name], scores.count == group.channels,
                scores.allSatisfy({ $0 >= 0 && $0.isFinite })
            else {
                throw .groupMisfit(
                    group: group.name, reason: "its scores are not \(group.channels) finite numbers of at least 0")
            }
            let worth = group.members.reduce(0) { $0 + (layers.contains($1.parameter) ? 1 : 0) }
            levels.append(
                ChannelLevels(
                    group, scores: scores, multiple: multiple, minimumShare: minimumShare,
                    worth: isWeighted ? Double(max(1, worth)) : nil, keeping: keeping[group.name] ?? []))
        }
        let model = ChannelCostModel(groups, levels: levels, parameters: parameters, amount: amount)
        var search = ChannelSearch(levels, model)
        let classes = classes(among, scope)
        if case .channels(let share) = amount {
            search.take(share: share, classes: classes)
        } else if !search.isWithinBudget {
            guard search.smallest <= model.limit else {
                throw budgetTooSmall(amount, smallest: search.smallest, whole: model.whole)
            }
            if scope == .global { search.searchAll() } else { search.searchEqualShares(classes: classes) }
        }
        var kept: [String: [Int]] = [:]
        for (levels, level) in zip(levels, search.state) where level > 0 {
            kept[levels.group.name] = levels.kept(level)
        }
        return kept
    }

    /// Groups by name, in the graph's order, each once.
    /// - Throws: `CompressionError.unknownGroup` with the nearest name.
    public static func groups(named names: [String], in all: ChannelGroups) throws(CompressionError) -> [ChannelGroup] {
        let known = all.groups.map(\.name)
        for name in names where !known.contains(name) {
            throw .unknownGroup(name: name, suggestion: NearestName.suggestion(for: name, in: known), known: known)
        }
        let wanted = Set(names)
        return all.groups.filter { wanted.contains($0.name) }
    }

    static func check(multiple: Int, minimumShare: Double) throws(CompressionError) {
        guard multiple > 0, multiple <= ModelLimits.extent else {
            throw .valueOutOfRange("widths are to be multiples of \(multiple): give 1 to \(ModelLimits.extent)")
        }
        guard (0...1).contains(minimumShare) else {
            throw .valueOutOfRange("a share of \(minimumShare) of each group is to stay at least: give 0 to 1")
        }
    }

    /// Indices of the groups that compete with each other, in order.
    private static func classes(_ groups: [ChannelGroup], _ scope: PruningScope) -> [[Int]] {
        switch scope {
        case .global: return [Array(groups.indices)]
        case .local: return groups.indices.map { [$0] }
        case .isomorphic:
            var classes: [[Int]] = []
            var places: [String: Int] = [:]
            for (index, group) in groups.enumerated() {
                let key = group.kind.rawValue + " " + group.signature
                if let place = places[key] {
                    classes[place].append(index)
                } else {
                    places[key] = classes.count
                    classes.append([index])
                }
            }
            return classes
        }
    }

    private static func budgetTooSmall(_ amount: ChannelAmount, smallest: Double, whole: Double) -> CompressionError {
        // Rounded up, so that what the error names can be met.
        let share = ((whole > 0 ? smallest / whole : 1) * 10_000).rounded(.up) / 10_000
        // What was asked for may have been counted in whole weights, which leaves digits behind.
        func rounded(_ share: Double) -> Double { share < 0.001 ? share : (share * 10_000).rounded() / 10_000 }
        switch amount {
        case .weights(let asked):
            return .budgetTooSmall(asked: "\(rounded(asked)) of the weights", smallest: "\(share)")
        case .macs(let asked):
            return .budgetTooSmall(asked: "\(rounded(asked)) of the multiply-accumulates", smallest: "\(share)")
        case .channels: preconditionFailure("a share of channels is a target, not a budget")
        case .bytes(let asked):
            return .budgetTooSmall(asked: "\(asked) bytes", smallest: "\(Int(smallest.rounded(.up)))")
        }
    }
}
