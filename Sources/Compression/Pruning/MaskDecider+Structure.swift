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
        var asked = limit
        while true {
            let kept: [String: [Int]]
            do { kept = try keptWithinBorders(evidence, .bytes(asked)) } catch CompressionError.budgetTooSmall(
                _, let smallest)
            {
                let least = Int(smallest).map { "\($0 + bytesBesideParameters + limit - asked)" } ?? smallest
                throw CompressionError.budgetTooSmall(asked: "\(limit) bytes", smallest: least)
            }
            let bytes = try graph.keeping(kept, of: groups).graph.serializedByteCount
            guard bytes > limit else { return kept }
            asked -= bytes - limit
        }
    }

    /// Of the file; structure and names.
    private var bytesBesideParameters: Int {
        graph.serializedByteCount - 4 * graph.parameters.reduce(0) { $0 + $1.shape.elementCount }
    }

    /// With `borders: keep`, without the channels whose constant would meet a padded border. Whether one does is nearly
    /// always its own affair, so two attempts find them: all but the first channel of each group, and all but the last.
    /// Should the others matter after all, what turns up is kept too, until nothing does.
    private func keptWithinBorders(
        _ evidence: PruningEvidence, _ amount: PruningAmount
    ) throws -> [String: [Int]] {
        var staying: [String: Set<Int>] = [:]
        func add(_ kept: [String: [Int]]) throws -> Bool {
            let notes = try graph.keeping(kept, of: groups).notes.filter { $0.reason == .border }
            for note in notes { staying[note.group, default: []].formUnion(note.channels) }
            return !notes.isEmpty
        }
        if settings.borders == .keep {
            let wide = candidates.filter { $0.channels > 1 }
            for isLast in [false, true] {
                _ = try add(
                    Dictionary(uniqueKeysWithValues: wide.map { ($0.name, [isLast ? $0.channels - 1 : 0]) }))
            }
        }
        while true {
            let kept = try select(evidence, amount, keeping: staying)
            guard settings.borders == .keep, try add(kept) else { return kept }
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
        case .sparsity(let share): return .channels(1 - share)
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
        let all = try graph.residualBlocks().count
        let sizes = Dictionary(
            uniqueKeysWithValues: graph.parameters.filter { $0.role == .trainable }.map {
                ($0.name, $0.shape.elementCount)
            })
        func elements(_ block: ResidualBlock) -> Int { block.parameters.reduce(0) { $0 + (sizes[$1] ?? 0) } }
        let saved: (ResidualBlock) -> Int
        let excess: Int
        switch amount {
        case .sparsity(let share): (saved, excess) = ({ _ in 1 }, Int((share * Double(all)).rounded()))
        case .remove(let count): (saved, excess) = ({ _ in 1 }, min(count, blocks.count))
        case .keep(let share): (saved, excess) = ({ _ in 1 }, all - Int((share * Double(all)).rounded()))
        case .weights(let count): (saved, excess) = (elements, sizes.values.reduce(0, +) - count)
        case .macs(let count): (saved, excess) = ({ $0.macs }, try graph.multiplyAccumulates() - count)
        case .bytes(let count): (saved, excess) = ({ 4 * elements($0) }, graph.serializedByteCount - count)
        }
        let possible = blocks.reduce(0) { $0 + saved($1) }
        guard excess <= possible else {
            throw CompressionError.budgetTooSmall(
                asked: "a budget of \(amount.words)",
                smallest: "what is left without all \(blocks.count) residual blocks that can go")
        }
        let order = blocks.enumerated().sorted { a, b in
            let (x, y) = (
                (scores[a.element.name] ?? 0) / Double(max(saved(a.element), 1)),
                (scores[b.element.name] ?? 0) / Double(max(saved(b.element), 1))
            )
            return x == y ? a.offset > b.offset : x < y
        }
        var removed: [ResidualBlock] = []
        var left = excess
        for (_, block) in order where left > 0 {
            removed.append(block)
            left -= saved(block)
        }
        // What the last ones made superfluous stays.
        for block in removed where left + saved(block) <= 0 {
            removed.removeAll { $0.name == block.name }
            left += saved(block)
        }
        return removed.map(\.name).sorted()
    }
}

extension MaskDecider {
    /// Channels, heads or blocks that can go.
    public var units: Int {
        settings.unit == .blocks ? blocks.count : candidates.reduce(0) { $0 + $1.channels }
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
