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
        var notes: [PruningNote] = []
        /// Sentences about what stayed and why.
        var remarks: [String] = []
    }

    let graph: Graph
    let settings: PruningSettings
    let data: Data?

    func prune(_ amount: PruneAmount) throws -> Result {
        let decider = try MaskDecider(graph: graph, masks: MaskSet(), settings: settings)
        let evidence = try evidence(decider)
        let wanted = try amount.amount(of: graph)
        guard case .weights = settings.unit else {
            let change = try decider.change(evidence, amount: wanted)
            return change.blocks.isEmpty ? try narrowed(change, decider) : try shortened(change)
        }
        return try zeroed(decider.mask(evidence, amount: wanted), decider)
    }

    private func zeroed(_ masks: MaskSet, _ decider: MaskDecider) throws -> Result {
        var parameters = graph.parameterTensors()
        masks.apply(to: &parameters)
        let ranked = masks.bitmaps.values
        var remarks: [String] = []
        let whole = decider.weightsWithoutRows
        if !whole.isEmpty { remarks.append("no pattern fits \(whole.joined(separator: ", ")), which stay whole") }
        return Result(
            graph: try graph.replacingParameters(parameters),
            zeroed: (ranked.reduce(0) { $0 + $1.count - $1.populationCount }, ranked.reduce(0) { $0 + $1.count }),
            remarks: remarks)
    }

    private func narrowed(_ change: StructureChange, _ decider: MaskDecider) throws -> Result {
        let kept = Dictionary(uniqueKeysWithValues: change.channels.map { ($0.group, $0.kept) })
        let pruned = try graph.keeping(kept, of: decider.groups)
        let skipped = decider.normalizedGroups.count
        var remarks: [String] = []
        if skipped > 0 {
            remarks.append(
                "\(skipped) groups that a normalisation takes its statistics over stay whole (--normalized prunes them too)"
            )
        }
        let narrow = decider.candidates.count {
            $0.kind == .channels && kept[$0.name] == nil && $0.channels <= settings.multiple
        }
        if narrow > 0, settings.multiple > 1 {
            remarks.append(
                "\(narrow) groups too narrow for widths of a multiple of \(settings.multiple) stay whole (--multiple)")
        }
        let staying = decider.borderingChannels
        if staying > 0 {
            remarks.append(
                "\(staying) channels stay because their constant would meet a padded border (--borders absorb)")
        }
        return Result(
            graph: pruned.graph, masked: try graph.masking(kept, of: decider.groups),
            groups: decider.candidates.map { ($0, kept[$0.name]?.count ?? $0.channels) }, notes: pruned.notes,
            remarks: remarks)
    }

    private func shortened(_ change: StructureChange) throws -> Result {
        Result(
            graph: try change.apply(to: graph).graph, masked: try graph.muting(blocks: Set(change.blocks)),
            blocks: change.blocks)
    }

    private func evidence(_ decider: MaskDecider) throws -> PruningEvidence {
        guard let data, settings.criterion.statistic != nil else { return .weights }
        let dataset = try loadDataset(data.spec, defaultSplit: .train)
        try dataset.checkFits(graph)
        var scorer = try decider.scorer(regrows: false, learningRate: 0.01)
        let loss = dataset.usualLoss()
        let order = Array(Dataset.shuffledOrder(count: dataset.count, seed: 0).prefix(data.samples))
        let damage = try dataset.visit(order, batch: 32) { loaded, _ in try scorer.add(loaded.batch, loss: loss) }
        if let warning = damage.warning { printWarning(warning) }
        return .statistics(try scorer.scores())
    }
}
