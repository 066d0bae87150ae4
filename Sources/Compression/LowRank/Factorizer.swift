// Low rank: a layer's weight becomes a product of smaller ones, found without training (Eckart and Young). What is given is
// a graph with its weights and, for the data-aware form, second moments of its layers' inputs; what comes out is a graph of
// ordinary layers, which trains, prunes and exports like any other. Fine-tuning afterwards is for the caller.
import ModelGraph
import Tensors

/// What became of one layer.
public struct FactorizedLayer: Sendable, Equatable {
    public var name: String
    public var node: String
    public var method: FactorizationMethod
    public var rank: FactorRank
    /// Elements of the weight, and of the factors.
    public var parametersBefore: Int
    public var parametersAfter: Int
    /// Multiply-accumulates of one sample.
    public var macsBefore: Int
    public var macsAfter: Int
    /// 0 to 1: of the weight's energy or, where `isDataAware`, of the energy of the layer's outputs.
    public var energyKept: Double
    public var isDataAware: Bool
}

/// A graph with factors, and what changed.
public struct FactorizedModel: Sendable {
    public var graph: Graph
    /// In node order.
    public var layers: [FactorizedLayer]
    /// Weights that stay as they are, and why.
    public var staying: [FactorizableLayers.Refusal]
}

/// Factorizes the layers of one graph.
public struct Factorizer: Sendable {
    public let graph: Graph
    public internal(set) var settings: FactorizationSettings
    /// The layers that may be factorized, in node order.
    public let layers: [FactorizableLayer]
    /// Other weights, and why they stay.
    public let refused: [FactorizableLayers.Refusal]

    /// - Parameter masks: layers with dead weights stay as they are.
    /// - Throws: `CompressionError` for settings out of range, names that the model does not have and layers asked for that
    ///   cannot be factorized; `ModelError` where shapes cannot be inferred.
    public init(graph: Graph, settings: FactorizationSettings, masks: MaskSet = MaskSet()) throws {
        try settings.validate()
        guard !graph.isSkeleton else { throw CompressionError.nothingToFactorize("it is a skeleton without weights") }
        let found = try settings.selection.layers(of: graph, masks: masks)
        (self.graph, self.settings, refused, layers) = (graph, settings, found.refused, found.layers)
        guard !layers.isEmpty else {
            let first = refused.first.map { " ('\($0.name)': \($0.reason))" } ?? ""
            throw CompressionError.nothingToFactorize("no layer of it is left to factorize\(first)")
        }
    }

    /// - Parameter moments: of layers' inputs or outputs by weight, as `SecondMoments` gives them; layers without one are
    ///   decomposed as they are.
    /// - Throws: `CompressionError.nothingToFactorize` where no layer saves anything, `.notFactorizable` for one that was
    ///   asked for by name and does not, `.budgetTooSmall`, `.weightsNotFinite`, `.malformedMoments`; `EngineError`.
    public func factorize(moments: NamedTensors = NamedTensors()) throws -> FactorizedModel {
        try factorize(
            layers.map {
                try LayerDecomposer($0, weight: graph.initializers.require($0.name), moment: moments[$0.name])
            }, measured: Set(moments.names))
    }

    /// - Parameter measured: the layers of which moments are known.
    func factorize(_ decomposers: [any LayerDecomposing], measured: Set<String> = []) throws -> FactorizedModel {
        let (chosen, couldSave) = try choose(decomposers)
        for (layer, saves) in zip(layers, couldSave) where !saves && settings.needsAll {
            throw CompressionError.notFactorizable(layer: layer.name, reason: Self.savesNothing)
        }
        guard chosen.contains(where: { $0 != nil }) else {
            throw CompressionError.nothingToFactorize(
                "of \(layers.count) layers none saves both parameters and multiply-accumulates at such a rank")
        }
        var factors: [LayerFactors] = []
        var report: [FactorizedLayer] = []
        var staying = refused
        for (index, layer) in layers.enumerated() {
            guard let candidate = chosen[index] else {
                staying.append(.init(name: layer.name, reason: couldSave[index] ? Self.notNeeded : Self.savesNothing))
                continue
            }
            let found = try decomposers[index].factors(candidate.method, candidate.rank)
            factors.append(LayerFactors(layer: layer, method: candidate.method, tensors: found.tensors))
            report.append(
                FactorizedLayer(
                    name: layer.name, node: layer.node, method: candidate.method, rank: candidate.rank,
                    parametersBefore: layer.parameters, parametersAfter: candidate.parameters,
                    macsBefore: layer.macs, macsAfter: candidate.macs, energyKept: found.kept,
                    isDataAware: measured.contains(layer.name)))
        }
        return FactorizedModel(graph: graph.factorized(factors), layers: report, staying: staying)
    }

    static let savesNothing = "no such rank saves both parameters and multiply-accumulates"
    private static let notNeeded = "the budget is met without it"

    /// For each layer the choice, nil where it stays, and whether there was one.
    private func choose(_ decomposers: [any LayerDecomposing]) throws -> (chosen: [RankCandidate?], couldSave: [Bool]) {
        let multiple = settings.multiple
        switch settings.rule {
        case .energy(let share):
            let chosen = try decomposers.map { decomposer in
                leanest(
                    try methods(decomposer).compactMap {
                        try decomposer.spectrum($0).candidate(energy: share, multiple: multiple)
                    }, decomposer.layer)
            }
            return (chosen, chosen.map { $0 != nil })
        case .evbmf:
            let chosen = try decomposers.map { decomposer in
                leanest(
                    try methods(decomposer).compactMap {
                        try decomposer.spectrum($0).candidate(
                            rank: decomposer.noiseRank($0), multiple: multiple)
                    }, decomposer.layer)
            }
            return (chosen, chosen.map { $0 != nil })
        case .budget(let budget):
            let candidates = try decomposers.map { decomposer in
                try methods(decomposer).flatMap { try decomposer.spectrum($0).candidates(multiple: multiple) }
            }
            if settings.needsAll, let index = candidates.firstIndex(where: \.isEmpty) {
                throw CompressionError.notFactorizable(layer: layers[index].name, reason: Self.savesNothing)
            }
            return (try spend(budget, candidates), candidates.map { !$0.isEmpty })
        }
    }

    private func methods(_ decomposer: any LayerDecomposing) -> [FactorizationMethod] {
        settings.selection.choice.methods(for: decomposer.layer)
    }

    /// Of several methods what leaves least of parameters and multiply-accumulates together.
    private func leanest(_ candidates: [RankCandidate], _ layer: FactorizableLayer) -> RankCandidate? {
        func left(_ candidate: RankCandidate) -> Double {
            Double(candidate.parameters) / Double(layer.parameters) + Double(candidate.macs) / Double(layer.macs)
        }
        return candidates.min { left($0) < left($1) }
    }

    private func spend(_ budget: RankBudget, _ candidates: [[RankCandidate]]) throws -> [RankCandidate?] {
        guard candidates.contains(where: { !$0.isEmpty }) else {
            throw CompressionError.nothingToFactorize(
                "no rank of its \(layers.count) layers saves both parameters and multiply-accumulates")
        }
        let originals = layers.map { budget.measure == .parameters ? $0.parameters : $0.macs }
        let solver = RankBudgetSolver(candidates, originals: originals, measure: budget.measure)
        let own = saturatingSum(originals)
        let whole: Int
        switch (budget.scope, budget.measure) {
        case (.layers, _): whole = own
        case (.model, .parameters): whole = graph.trainableElementCount
        case (.model, .macs): whole = try graph.multiplyAccumulates()
        }
        // What lies outside of the layers stays.
        let outside = max(0, whole - own)
        let allowed = Int(Double(whole) * budget.share) - outside
        guard solver.smallest <= allowed else {
            let least = Double(solver.smallest + outside) / Double(max(1, whole))
            let what = "of the \(budget.scope.rawValue)' \(budget.measure.rawValue)"
            throw CompressionError.budgetTooSmall(
                asked: "\(budget.share) \(budget.scope == .model ? "of the model's \(budget.measure.rawValue)" : what)",
                smallest: "\((least * 10_000).rounded(.up) / 10_000)")
        }
        return solver.choose(limit: allowed)
    }
}
