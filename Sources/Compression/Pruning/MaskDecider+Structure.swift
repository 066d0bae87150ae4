import ModelGraph
import Tensors

// What leaves the model.

extension MaskDecider {
    /// What goes under a budget, as everybody applies it.
    /// - Throws: `CompressionError.budgetTooSmall` with the smallest that can be met.
    public func change(_ evidence: PruningEvidence, amount: PruningAmount) throws -> StructureChange {
        guard settings.unit != .blocks else {
            return StructureChange(blocks: try removedBlocks(evidence, amount: amount), borders: settings.borders)
        }
        let kept = try kept(evidence, amount: amount)
        return StructureChange(keeping: kept, of: groups.groups, borders: settings.borders)
    }

    /// The channels that stay, by group; groups that stay whole are left out.
    func kept(_ evidence: PruningEvidence, amount: PruningAmount) throws -> [String: [Int]] {
        switch (amount, evidence) {
        case (.bytes(let limit), .weights), (.bytes(let limit), .statistics):
            return try kept(evidence, bytes: limit)
        default: return try keptWithinBorders(evidence, amount)
        }
    }

    /// Layers that take up a constant may gain a bias, which selection knows nothing of: what it costs is saved elsewhere.
    private func kept(_ evidence: PruningEvidence, bytes limit: Int) throws -> [String: [Int]] {
        let names = Set(graph.parameters.map(\.name))
        var (asked, added) = (limit, 0)
        while true {
            let kept: [String: [Int]]
            do { kept = try keptWithinBorders(evidence, .bytes(asked)) } catch CompressionError.budgetTooSmall(
                _, let smallest)
            {
                let least = Int(smallest).map { "\($0 + bytesBesideParameters + added)" } ?? smallest
                throw CompressionError.budgetTooSmall(asked: "\(limit) bytes", smallest: least)
            }
            let smaller = try graph.keeping(kept, of: groups).graph
            let bytes = smaller.serializedByteCount
            guard bytes > limit else { return kept }
            let sliced = smaller.parameters.reduce(0) { $0 + (names.contains($1.name) ? $1.shape.elementCount : 0) }
            added = max(added, bytes - bytesBesideParameters - 4 * sliced)
            // Another selection may need another bias; steps of a thousandth end soon.
            asked = min(asked - max(1, limit / 1000), limit - added)
        }
    }

    /// Of the file; structure and names.
    private var bytesBesideParameters: Int {
        graph.serializedByteCount - 4 * graph.parameters.reduce(0) { $0 + $1.shape.elementCount }
    }

    /// With `borders: keep`, without the channels whose constant would meet a padded border. What turns up beside those
    /// that are known is kept too, until nothing does.
    private func keptWithinBorders(
        _ evidence: PruningEvidence, _ amount: PruningAmount
    ) throws -> [String: [Int]] {
        var staying = bordering
        while true {
            let kept = try select(evidence, amount, keeping: staying)
            guard settings.borders == .keep else { return kept }
            let notes = try graph.keeping(kept, of: groups).notes.filter { $0.reason == .border }
            guard !notes.isEmpty else { return kept }
            for note in notes { staying[note.group, default: []].formUnion(note.channels) }
        }
    }

    private func select(
        _ evidence: PruningEvidence, _ amount: PruningAmount, keeping: [String: Set<Int>]
    ) throws -> [String: [Int]] {
        if case .votes(let shares, let rule) = evidence {
            return try ChannelSelection.kept(
                byVotes: shares, among: candidates, rule: rule, multiple: settings.multiple, keeping: keeping)
        }
        let importance = Importance(
            graph: graph, criterion: settings.criterion, statistics: evidence.statistics, masks: masks)
        return try ChannelSelection.select(
            groups, among: candidates, scores: importance.ofChannels(candidates), amount: channelAmount(amount),
            scope: settings.scope, multiple: settings.multiple, keeping: keeping, parameters: graph.parameters)
    }

    private func channelAmount(_ amount: PruningAmount) throws -> ChannelAmount {
        switch amount {
        case .sparsity(let share):
            throw CompressionError.valueOutOfRange("what is removed is not masked by a share, \(share)")
        case .keep(let share): return .channels(share)
        case .remove(let count): return .channels(Self.share(units - count, of: units))
        case .weights(let count): return .weights(Self.share(count, of: graph.trainableElementCount))
        case .macs(let count): return .macs(Self.share(count, of: try graph.multiplyAccumulates()))
        case .bytes(let count):
            let rest = bytesBesideParameters
            guard count > rest else {
                throw CompressionError.budgetTooSmall(
                    asked: "\(count) bytes",
                    smallest: "more than \(rest) bytes, which the file takes beside its parameters")
            }
            return .bytes(count - rest)
        }
    }

    private static func share(_ count: Int, of whole: Int) -> Double {
        min(1, max(Double(count) / Double(max(whole, 1)), .leastNonzeroMagnitude))
    }

    // MARK: Blocks

    /// The blocks of the least importance, for a budget of the least importance for what they save; sorted by name.
    private func removedBlocks(_ evidence: PruningEvidence, amount: PruningAmount) throws -> [String] {
        let importance = Importance(
            graph: graph, criterion: settings.criterion, statistics: evidence.statistics, masks: masks)
        let scores = try importance.ofBlocks(
            blocks.map { (name: $0.name, parameters: $0.parameters, signature: $0.signature) })
        let sizes = Dictionary(
            uniqueKeysWithValues: graph.parameters.filter { $0.role == .trainable }.map {
                ($0.name, $0.shape.elementCount)
            })
        func elements(_ block: ResidualBlock) -> Int { block.parameters.reduce(0) { $0 + (sizes[$1] ?? 0) } }
        let saved: (ResidualBlock) -> Int
        let (whole, left): (Int, Int)
        switch amount {
        case .sparsity(let share):
            throw CompressionError.valueOutOfRange("what is removed is not masked by a share, \(share)")
        case .remove(let count): (saved, whole, left) = ({ _ in 1 }, blocks.count, max(0, blocks.count - count))
        case .keep(let share):
            (saved, whole, left) = ({ _ in 1 }, blocks.count, Int((share * Double(blocks.count)).rounded()))
        case .weights(let count): (saved, whole, left) = (elements, sizes.values.reduce(0, +), count)
        case .macs(let count): (saved, whole, left) = ({ $0.macs }, try graph.multiplyAccumulates(), count)
        case .bytes(let count): (saved, whole, left) = ({ 4 * elements($0) }, graph.serializedByteCount, count)
        }
        let possible = blocks.reduce(0) { $0 + saved($1) }
        let excess = whole - left
        guard excess <= possible else {
            throw CompressionError.budgetTooSmall(asked: amount.words, smallest: "\(whole - possible)")
        }
        let order = blocks.enumerated().sorted { a, b in
            let (x, y) = (
                (scores[a.element.name] ?? 0) / Double(max(saved(a.element), 1)),
                (scores[b.element.name] ?? 0) / Double(max(saved(b.element), 1))
            )
            return x == y ? a.offset > b.offset : x < y
        }
        var removed: [ResidualBlock] = []
        var surplus = excess
        for (_, block) in order where surplus > 0 {
            removed.append(block)
            surplus -= saved(block)
        }
        // What the last ones made superfluous stays.
        for block in removed where surplus + saved(block) <= 0 {
            removed.removeAll { $0.name == block.name }
            surplus += saved(block)
        }
        return removed.map(\.name).sorted()
    }
}

extension MaskDecider {
    /// Blocks that may go, or channels or heads of the groups that can become narrower.
    public var units: Int {
        guard settings.unit != .blocks else { return blocks.count }
        return candidates.reduce(0) { sum, group in
            let widths = ChannelLevels.widths(
                group, multiple: settings.multiple, minimumShare: ChannelSelection.minimumShare,
                keeping: bordering[group.name]?.count ?? 0)
            return sum + (widths.count > 1 ? group.channels : 0)
        }
    }

    /// Channels that stay because their constant would meet a padded border; 0 without `borders: keep`.
    public var borderingChannels: Int { bordering.values.reduce(0) { $0 + $1.count } }

    /// `units` of another graph; 0 where there is nothing to prune.
    public static func units(of graph: Graph, masks: MaskSet, settings: PruningSettings) throws -> Int {
        do {
            return try MaskDecider(graph: graph, masks: masks, settings: settings, checksNames: false).units
        } catch CompressionError.nothingToPrune {
            return 0
        }
    }
}

extension StructureChange {
    /// Channels, heads or blocks that go.
    public var removedUnits: Int { blocks.count + channels.reduce(0) { $0 + $1.width - $1.kept.count } }
}

extension PruningAmount {
    /// For people.
    fileprivate var words: String {
        switch self {
        case .sparsity(let share): "\(1 - share) of the weights"
        case .keep(let share): "\(share) of what there is"
        case .remove(let count): "\(count) less"
        case .weights(let count): "\(count) weights"
        case .macs(let count): "\(count) multiply-accumulates"
        case .bytes(let count): "\(count) bytes"
        }
    }
}
