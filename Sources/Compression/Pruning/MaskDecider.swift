import ModelGraph
import Tensors

/// Decides a mask, or what leaves a model: criterion, scope, budget and votes brought together for one snapshot. Plain
/// arithmetic in a fixed order: the same snapshot and evidence give the same decision everywhere.
public struct MaskDecider: Sendable {
    public let graph: Graph
    public let masks: MaskSet
    public let settings: PruningSettings
    /// All groups, for what is removed by channels.
    public let groups: ChannelGroups
    /// Those that may become narrower.
    public let candidates: [ChannelGroup]
    /// Residual blocks that may go.
    let blocks: [ResidualBlock]
    /// By group, the channels that stay because their constant would meet a padded border (`borders: keep`).
    let bordering: [String: Set<Int>]

    /// - Parameters:
    ///   - graph: with the snapshot's values; a skeleton serves for the layouts.
    ///   - checksNames: whether an excluded name must be there: what an earlier step removed is not.
    /// - Throws: `CompressionError.unknownName` for an excluded name that is nothing the unit prunes, with the nearest that
    ///   is; `.nothingToPrune`; `ModelError` where shapes cannot be inferred.
    public init(graph: Graph, masks: MaskSet, settings: PruningSettings, checksNames: Bool = true) throws {
        self.graph = graph
        self.masks = masks
        self.settings = settings
        var groups = ChannelGroups(groups: [], costs: [], fixed: [])
        var candidates: [ChannelGroup] = []
        var blocks: [ResidualBlock] = []
        let known: [String]
        let excluded = Set(settings.excluded)
        switch settings.unit {
        case .weights: known = graph.prunableNames
        case .channels(let kind):
            groups = try graph.channelGroups()
            let fitting = groups.groups.filter {
                (kind == nil || $0.kind == kind) && (settings.normalized || !$0.isNormalizedOver)
            }
            known = groups.groups.flatMap { [$0.name] + $0.makers }
            candidates = fitting.filter { group in
                !excluded.contains(group.name) && !group.makers.contains(where: excluded.contains)
            }
            guard !candidates.isEmpty else {
                throw Self.nothingToPrune(settings.unit, groups, isNarrowed: !fitting.isEmpty)
            }
        case .blocks:
            let all = try graph.residualBlocks()
            known = all.map(\.name)
            blocks = all.filter { !excluded.contains($0.name) }
            guard !blocks.isEmpty else {
                throw Self.nothingToPrune(settings.unit, groups, isNarrowed: !all.isEmpty)
            }
        }
        for name in settings.excluded where checksNames && !known.contains(name) {
            var seen: Set<String> = []
            throw CompressionError.unknownName(
                name, suggestion: NearestName.suggestion(for: name, in: known),
                known: known.filter { seen.insert($0).inserted })
        }
        self.groups = groups
        self.candidates = candidates
        self.blocks = blocks
        bordering =
            settings.borders == .keep ? Self.bordering(graph, groups, candidates) : [:]
    }

    /// Whether a channel's constant meets a border is nearly always its own affair, so two attempts find them: all but the
    /// first channel of each group, and all but the last. What such a model cannot be made of is found when it is met.
    private static func bordering(
        _ graph: Graph, _ groups: ChannelGroups, _ candidates: [ChannelGroup]
    ) -> [String: Set<Int>] {
        let wide = candidates.filter { $0.channels > 1 }
        var found: [String: Set<Int>] = [:]
        for isLast in [false, true] {
            let kept = Dictionary(uniqueKeysWithValues: wide.map { ($0.name, [isLast ? $0.channels - 1 : 0]) })
            for note in (try? graph.keeping(kept, of: groups).notes) ?? [] where note.reason == .border {
                found[note.group, default: []].formUnion(note.channels)
            }
        }
        return found
    }

    private static func nothingToPrune(
        _ unit: PrunedUnit, _ groups: ChannelGroups, isNarrowed: Bool
    ) -> CompressionError {
        let what =
            switch unit {
            case .channels(.heads?): "attention heads"
            case .channels: "group of channels"
            case .blocks: "residual block"
            case .weights: "weight"
            }
        guard !isNarrowed else { return .nothingToPrune(what, reason: "all are excluded") }
        let normalized = groups.groups.contains(where: \.isNormalizedOver)
        return .nothingToPrune(
            what, reason: normalized ? "a normalisation takes statistics over all there are ('normalized')" : nil)
    }

    /// Groups that stay whole because a normalisation takes its statistics over them.
    public var normalizedGroups: [ChannelGroup] {
        guard case .channels(let kind) = settings.unit, !settings.normalized else { return [] }
        return groups.groups.filter { $0.isNormalizedOver && (kind == nil || $0.kind == kind) }
    }

    /// Prunable weights that stay whole because a pattern has no rows to lie in, or rows so short that it keeps all of them.
    public var weightsWithoutRows: [String] {
        guard case .weights(let pattern) = settings.unit, pattern != .weight else { return [] }
        let layouts = graph.weightLayouts()
        return graph.prunableNames.filter { name in
            guard let layout = layouts[name], let shape = graph.initializers[name]?.shape else { return true }
            // An incomplete run keeps its share, rounded up.
            let inputs = shape[layout.inputAxis]
            guard case .nOfM(let kept, let run) = pattern, inputs < run else { return false }
            return (inputs * kept + run - 1) / run == inputs
        }
    }

    // MARK: What workers send

    /// What workers measure; nil where the weights say enough.
    private func statistic(regrows: Bool) -> ScoreStatistic? {
        regrows ? .gradientMoments : settings.criterion.statistic
    }

    private var onlyPrunable: Bool { if case .weights = settings.unit { true } else { false } }

    /// Measures on a worker's data.
    /// - Parameter regrows: whether dead weights may revive.
    public func scorer(regrows: Bool, learningRate: Double) throws -> Scorer {
        guard let statistic = statistic(regrows: regrows) else {
            throw CompressionError.noData("scoring by '\(settings.criterion.rawValue)', which reads no data,")
        }
        return try Scorer(
            graph, masks: masks, statistic: statistic, groups: candidates, onlyPrunable: onlyPrunable,
            learningRate: learningRate)
    }

    /// Names and shapes of what `scorer` yields.
    public func statisticLayout(regrows: Bool) -> [(name: String, shape: Shape)] {
        guard let statistic = statistic(regrows: regrows) else { return [] }
        return Scorer.layout(of: graph, statistic: statistic, groups: candidates, onlyPrunable: onlyPrunable)
    }

    /// Evidence as if all workers had measured the same of everything, for going the way of a decision before anybody has
    /// measured: whether the criterion fits, and whether a budget can be met.
    /// - Throws: for criteria that measure channels, `CompressionError.groupMisfit` for a group without a gate.
    public func rehearsalEvidence(regrows: Bool = false) throws(CompressionError) -> PruningEvidence {
        guard statistic(regrows: regrows) != nil else { return .weights }
        if settings.criterion.statistic == .channelGradients { _ = try ChannelGates(graph, groups: candidates) }
        return .statistics(
            NamedTensors(
                statisticLayout(regrows: regrows).map { name, shape in
                    (name, Tensor([Float](repeating: 1, count: shape.elementCount), shape: shape))
                }))
    }

    /// Names and shapes of votes.
    public func voteLayout() throws -> [(name: String, shape: Shape)] {
        guard case .weights = settings.unit else {
            return try candidates.map { ($0.name, try Shape([$0.channels])) }
        }
        let shapes = Dictionary(uniqueKeysWithValues: graph.parameters.map { ($0.name, $0.shape) })
        return graph.prunableNames.compactMap { name in shapes[name].map { (name, $0) } }
    }

    /// A worker's own mask, as a vote: 1 for what it would keep.
    public func votes(_ statistics: NamedTensors, amount: PruningAmount) throws -> NamedTensors {
        guard case .weights = settings.unit else {
            return ChannelSelection.vote(of: try kept(.statistics(statistics), amount: amount), groups: candidates)
        }
        return MaskRanking.vote(of: try mask(.statistics(statistics), amount: amount), layout: try voteLayout())
    }

    /// How much workers and steps agree on where weights should go, for criterion `stability`.
    public func signalToNoise(_ evidence: PruningEvidence) throws(CompressionError) -> Double? {
        guard case .statistics(let statistics) = evidence, settings.criterion == .stability else { return nil }
        return try Importance(graph: graph, criterion: .stability, statistics: statistics, masks: masks)
            .medianSignalToNoise()
    }

    // MARK: Masks

    /// The mask of single weights, blocks of weights or a pattern, in the next epoch.
    /// - Parameter regrow: share of the alive weights that die so that as many others revive; the sparsity then stays.
    public func mask(_ evidence: PruningEvidence, amount: PruningAmount, regrow: Double = 0) throws -> MaskSet {
        guard case .weights(let pattern) = settings.unit, case .sparsity(let sparsity) = amount else {
            throw CompressionError.valueOutOfRange("weights are masked by a share, not by \(amount)")
        }
        if case .votes(let shares, let rule) = evidence {
            return excluding(try MaskRanking.kept(byVotes: shares, rule: rule, previous: masks))
        }
        let statistics = evidence.statistics
        let importance = Importance(graph: graph, criterion: settings.criterion, statistics: statistics, masks: masks)
        let excluded = Set(settings.excluded)
        var scores = NamedTensors(try importance.ofWeights().ordered.filter { !excluded.contains($0.name) })
        guard !scores.names.isEmpty else { throw CompressionError.nothingToPrune("weight", reason: "all are excluded") }
        let layouts = graph.weightLayouts()
        // What is no matrix has no rows of inputs that a pattern could lie in.
        if pattern != .weight { scores = NamedTensors(scores.ordered.filter { layouts[$0.name] != nil }) }
        guard regrow > 0 else {
            return try MaskRanking.decide(
                scores: scores, sparsity: sparsity, scope: settings.scope, pattern: pattern, layouts: layouts,
                previous: masks)
        }
        return try MaskRanking.regrow(
            scores: scores, gradients: statistics, share: regrow, scope: settings.scope, layouts: layouts,
            previous: masks)
    }

    /// Excluded weights keep the mask they have.
    private func excluding(_ masks: MaskSet) -> MaskSet {
        var masks = masks
        for name in settings.excluded { masks.bitmaps[name] = self.masks[name] }
        return masks
    }
}

extension ChannelGroup {
    /// The weights whose outputs are the group's channels.
    var makers: [String] { members.filter { $0.side == .producer }.map(\.parameter) }
}

extension PruningEvidence {
    var statistics: NamedTensors { if case .statistics(let tensors) = self { tensors } else { NamedTensors() } }
}
