import Compression
import Federation
import ModelGraph
import Shell
import Tensors
import UpdateCodec

// Low rank: the fleet's moments, and the model whose layers are products.

extension CoordinatorNumerics {
    /// The layers whose moments workers are to send.
    func momentLayout(_ rules: FactorizeRules) throws -> MomentLayout {
        let selection = LayerSelection(rules.selection)
        return MomentLayout(
            try selection.layers(of: skeleton(), masks: current.masks).layers, choice: selection.choice)
    }

    /// One worker's moments, checked.
    /// - Throws: `CompressionError.malformedMoments`.
    func moments(_ facts: ContributionFacts, _ layout: MomentLayout) throws -> MomentSet {
        guard let blob = facts.submission.blob else { preconditionFailure("moments without a blob were taken") }
        return try MomentSet(parsing: blobs.get(blob.digest), expecting: layout)
    }

    /// The fleet's moments. Sums of doubles depend on their order, so it is one that does not depend on who came first.
    /// - Parameter contributions: in the order of their workers.
    func mean(of contributions: [ContributionFacts], _ layout: MomentLayout) throws -> NamedTensors {
        var fold = MomentFold(layout)
        for facts in contributions { fold.add(try moments(facts, layout), weight: facts.weight) }
        return fold.means()
    }

    /// Replaces layers by products. What is owed to the old ones, to workers and by them, is owed no more: a product has another
    /// place for nothing of it. Masks of layers that stay are kept; where nothing saves anything, or a budget that
    /// the rehearsal could meet cannot be met by what pruning left, the model stays.
    func factorize(
        _ rules: FactorizeRules, moments: NamedTensors = NamedTensors(), base: SnapshotFacts
    ) throws -> ComputedStep {
        foldMemory = nil
        let graph = try currentGraph()
        let result: FactorizedModel
        do {
            result = try Factorizer(graph: graph, settings: FactorizationSettings(rules), masks: current.masks)
                .factorize(moments: moments)
        } catch CompressionError.nothingToFactorize, CompressionError.budgetTooSmall {
            var outcome = StepOutcome(sparsity: base.sparsity)
            outcome.factorization = FactorizationFacts(
                layers: 0, dataAware: 0, before: base.size, after: base.size, ranks: [])
            return ComputedStep(outcome: outcome)
        }
        let names = Set(result.layers.map(\.name))
        let masks = MaskSet(
            epoch: current.masks.epoch &+ 1, bitmaps: current.masks.bitmaps.filter { !names.contains($0.key) })
        let reference = try adopt(result.graph, parameters: result.graph.parameterTensors(), masks: masks)
        var outcome = StepOutcome(sparsity: sparsity)
        outcome.factorization = FactorizationFacts(result, before: base.size, after: current.size)
        return ComputedStep(outcome: outcome, snapshot: freshFacts(reference, base: base))
    }
}

extension FactorizationFacts {
    /// Of names in records: enough to know a layer by.
    private static let nameLength = 200

    init(_ model: FactorizedModel, before: ModelSize, after: ModelSize) {
        self.init(
            layers: model.layers.count, dataAware: model.layers.count(where: \.isDataAware), before: before,
            after: after,
            ranks: model.layers.prefix(Self.listed).map {
                "\($0.name.prefix(Self.nameLength)) \($0.method.rawValue) \($0.rank)"
            },
            masked: model.staying.filter { $0.reason == LayerSelection.maskedReason }.prefix(Self.listed).map {
                String($0.name.prefix(Self.nameLength))
            })
    }
}
