import ArgumentParser
import Compression
import Engine
import ModelGraph
import Monitor
import Tensors

/// Prunes one graph by the rules of the prune stage, without a federation: what is asked of workers there is measured here.
struct ModelPruner {
    /// Where gradients come from.
    struct Data {
        var spec: String
        var samples: Int
    }

    struct Result {
        var graph: Graph
        /// The given structure with what is pruned made dead: what `graph` must equal. nil where nothing was sliced.
        var masked: Graph?
        /// The groups that were looked at, and how many of their channels stay.
        var groups: [(group: ChannelGroup, kept: Int)] = []
        /// Names of the residual blocks that left.
        var blocks: [String] = []
        /// Weights that are zero now and of how many.
        var zeroed: (weights: Int, of: Int)?
        var borderNotes: [PruningNote] = []
        /// Sentences about what stayed and why.
        var remarks: [String] = []
    }

    let graph: Graph
    let criterion: PruningCriterion
    let scope: PruningScope
    let multiple: Int
    /// Whether groups that a normalisation takes statistics over are pruned.
    let includesNormalized: Bool
    let borders: PruneBorders
    /// Names of weights, groups or blocks.
    let excluded: [String]
    let data: Data?

    func prune(_ amount: PruneAmount) throws -> Result {
        switch amount {
        case .weights(let sparsity, let pattern): try zero(sparsity, pattern)
        case .channels(let amount, let kind): try slice(amount, kind)
        case .layers(let count): try removeBlocks(count)
        }
    }

    private func zero(_ sparsity: Double, _ pattern: WeightPattern) throws -> Result {
        try checkExcluded(graph.prunableNames)
        let importance = try importance(groups: [])
        var scores = NamedTensors(try importance.ofWeights().ordered.filter { !excluded.contains($0.name) })
        let layouts = graph.weightLayouts()
        var remarks: [String] = []
        if pattern != .weight {
            // What no matrix is has no rows of inputs.
            let without = scores.names.filter { layouts[$0] == nil }
            if !without.isEmpty {
                scores = NamedTensors(scores.ordered.filter { layouts[$0.name] != nil })
                remarks.append("no pattern fits \(without.joined(separator: ", ")), which stay whole")
            }
        }
        let masks = try MaskRanking.decide(
            scores: scores, sparsity: sparsity, scope: scope, pattern: pattern, layouts: layouts, previous: MaskSet())
        var parameters = graph.parameterTensors()
        masks.apply(to: &parameters)
        let alive = masks.bitmaps.values.reduce(0) { $0 + $1.populationCount }
        return Result(
            graph: try graph.replacingParameters(parameters),
            zeroed: (scores.elementCount - alive, scores.elementCount), remarks: remarks)
    }

    private func slice(_ amount: ChannelAmount, _ kind: ChannelGroup.Kind?) throws -> Result {
        let all = try graph.channelGroups()
        let makers = all.groups.flatMap { group in
            [group.name] + group.members.filter { $0.side == .producer }.map(\.parameter)
        }
        try checkExcluded(makers)
        let wanted = all.groups.filter { group in
            (kind == nil || group.kind == kind) && !excluded.contains(group.name)
                && !group.members.contains { $0.side == .producer && excluded.contains($0.parameter) }
        }
        let chosen = wanted.filter { includesNormalized || !$0.isNormalizedOver }
        var remarks: [String] = []
        if chosen.count < wanted.count {
            remarks.append(
                "\(wanted.count - chosen.count) groups that a normalisation takes its statistics over stay whole "
                    + "(--normalized prunes them too)")
        }
        guard !chosen.isEmpty else {
            let what = kind == .heads ? "attention heads" : "group of channels"
            throw ModelError.invalidRequest(
                "the model has no \(what) to prune" + (remarks.isEmpty ? "" : ": \(remarks[0])"))
        }
        let scores = try importance(groups: chosen).ofChannels(chosen)
        var kept = try ChannelSelection.select(
            all, among: chosen, scores: scores, amount: amount, scope: scope, multiple: multiple,
            parameters: graph.parameters)
        var pruned = try graph.keeping(kept, of: all)
        while borders == .keep, restore(pruned.notes, in: &kept, all) { pruned = try graph.keeping(kept, of: all) }
        let whole = chosen.filter { kept[$0.name] == nil && $0.kind == .channels }.count
        if whole > 0, case .channels = amount, multiple > 1 {
            remarks.append("\(whole) groups too narrow for widths of a multiple of \(multiple) stay whole (--multiple)")
        }
        return Result(
            graph: pruned.graph, masked: try graph.masking(kept, of: all),
            groups: chosen.map { ($0, kept[$0.name]?.count ?? $0.channels) }, borderNotes: pruned.notes,
            remarks: remarks)
    }

    /// Puts back the channels whose constant meets a border; false when there are none.
    private func restore(_ notes: [PruningNote], in kept: inout [String: [Int]], _ all: ChannelGroups) -> Bool {
        var changed = false
        for note in notes where note.reason == .border {
            guard let left = kept[note.group], let group = all[note.group] else { continue }
            let more = Set(left).union(note.channels)
            guard more.count > left.count else { continue }
            kept[note.group] = more.count < group.channels ? more.sorted() : nil
            changed = true
        }
        return changed
    }

    private func removeBlocks(_ count: Int) throws -> Result {
        let all = try graph.residualBlocks()
        try checkExcluded(all.map(\.name))
        let blocks = all.filter { !excluded.contains($0.name) }
        guard count <= blocks.count else {
            throw ModelError.invalidRequest(
                "--layers \(count): the model has \(blocks.count) residual blocks to remove")
        }
        let scores = try importance(groups: []).ofBlocks(
            blocks.map { (name: $0.name, parameters: $0.parameters, signature: $0.signature) })
        // Of equally important ones the later leaves first.
        let order = blocks.indices.sorted {
            (scores[blocks[$0].name] ?? 0, -$0) < (scores[blocks[$1].name] ?? 0, -$1)
        }
        let names = order.prefix(count).sorted().map { blocks[$0].name }
        return Result(
            graph: try graph.removing(blocks: Set(names)).graph, masked: try graph.muting(blocks: Set(names)),
            blocks: names)
    }

    /// - Throws: `ValidationError` for an excluded name that is none of `known`.
    private func checkExcluded(_ known: [String]) throws {
        for name in excluded where !known.contains(name) {
            let hint = NearestName.suggestion(for: name, in: known).map { "; did you mean '\($0)'?" } ?? ""
            throw ValidationError("--exclude '\(name)' is nothing that could be pruned\(hint)")
        }
    }

    private func importance(groups: [ChannelGroup]) throws -> Importance {
        var statistics = NamedTensors()
        if let data, let statistic = criterion.statistic {
            let dataset = try loadDataset(data.spec, defaultSplit: .train)
            try dataset.checkFits(graph)
            var scorer = try Scorer(graph, masks: MaskSet(), statistic: statistic, groups: groups)
            let loss = dataset.usualLoss()
            let order = Array(Dataset.shuffledOrder(count: dataset.count, seed: 0).prefix(data.samples))
            let damage = try dataset.visit(order, batch: 32) { loaded, _ in try scorer.add(loaded.batch, loss: loss) }
            if let warning = damage.warning { printWarning(warning) }
            statistics = try scorer.scores()
        }
        return Importance(graph: graph, criterion: criterion, statistics: statistics)
    }
}
