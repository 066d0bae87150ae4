import Compression
import Federation
import ModelGraph
import Shell
import Tensors
import UpdateCodec

/// Goes through a plan's `prune`, `factorize` and `quantize` stages on the model that a run begins with, so that what cannot work
/// is refused before the first round: names that do not exist, layers that would vanish, budgets that cannot be met, criteria,
/// schemes and opsets that do not fit.
struct StageRehearsal {
    /// The model that the run begins with: names are its own, whatever stages remove.
    let opening: Graph
    var graph: Graph
    private var masks = MaskSet()
    /// Of the stage that is rehearsed: what each decision made of the model.
    private var decisions: [RehearsedDecision] = []
    var measured = RehearsedMeasurements()
    /// Whether layers have other names than those of the opening.
    private var isFactorized = false
    let plan: Plan
    let time: ModelTiming

    /// Stages of more steps are rehearsed as if they had one: the way there takes a decision a step.
    private static let mostSteps = 20

    /// - Parameter time: of models, for budgets of milliseconds.
    /// - Returns: what the model will be like in structure at the end of each stage: with rounding simulated, where it is trained so.
    /// - Throws: `CoordinatorError.model` with the stage's number and what helps.
    static func check(_ plan: Plan, graph: Graph, time: @escaping ModelTiming) throws(CoordinatorError) -> [Graph] {
        try rehearse(plan, graph: graph, time: time).map(\.end)
    }

    /// The same, with what each decision on the way made of the model.
    static func rehearse(
        _ plan: Plan, graph: Graph, time: @escaping ModelTiming
    ) throws(CoordinatorError) -> [RehearsedStage] {
        var rehearsal = StageRehearsal(opening: graph, graph: graph, plan: plan, time: time)
        var stages: [RehearsedStage] = []
        for (index, stage) in plan.stages.enumerated() {
            (rehearsal.decisions, rehearsal.measured) = ([], RehearsedMeasurements())
            do {
                switch stage {
                case .prune(let plan): try rehearsal.rehearse(plan)
                case .factorize(let plan): try rehearsal.rehearse(plan)
                case .quantize(let plan): try rehearsal.rehearse(plan)
                case .train, .distill, .evaluate: break
                }
            } catch {
                throw CoordinatorError.model("stage \(index + 1) (\(stage.kind)): \(error)")
            }
            stages.append(
                RehearsedStage(
                    decisions: rehearsal.decisions, end: rehearsal.graph,
                    model: ModelOutline(rehearsal.graph, rehearsal.masks), measured: rehearsal.measured))
        }
        return stages
    }

    // MARK: Pruning

    private mutating func rehearse(_ plan: PrunePlan) throws {
        try checkNames(of: plan.rules)
        var plan = plan
        // What takes time is measured once: whether the target can be met is a question of the last step.
        var isShort = plan.steps <= Self.mostSteps
        if case .milliseconds = plan.target { isShort = false }
        if !isShort { (plan.steps, plan.schedule) = (1, .oneShot) }
        let prunable = TensorLayout(graph.parameters.map { ($0.name, $0.shape) }).subset(of: graph.prunableNames)
        var stage = PruneStage(
            plan, initialSparsity: masks.sparsity(of: prunable), initialSize: ModelSize(of: graph))
        while let step = stage.next() {
            guard let decision = step.decision else {
                stage.stepFinished(StepOutcome())
                continue
            }
            let outcome = try decide(decision)
            stage.stepFinished(outcome)
        }
    }

    /// Names are those of the opening model, or of factors that a stage before has made of its layers.
    private func checkNames(of rules: MaskRules) throws {
        func check(_ names: [String], in graph: Graph) throws {
            var rules = rules
            rules.excluded = names
            _ = try MaskDecider(graph: graph, masks: MaskSet(), settings: PruningSettings(rules))
        }
        guard isFactorized else { return try check(rules.excluded, in: opening) }
        try check([], in: graph)
        for name in rules.excluded where (try? check([name], in: opening)) == nil { try check([name], in: graph) }
    }

    /// - Returns: what the stage is told.
    private mutating func decide(_ decision: MaskDecision) throws -> StepOutcome {
        let decider = try MaskDecider(
            graph: graph, masks: masks, settings: PruningSettings(decision.rules), checksNames: false)
        let scores = try Self.scores(for: decision, decider)
        let evidence = try decider.rehearsalEvidence(regrows: decision.regrow > 0)
        var outcome = StepOutcome()
        let amount = try decider.amount(decision.amount, evidence, time: time)
        guard decision.rules.granularity.isStructural else {
            masks = try decider.mask(evidence, amount: amount, regrow: decision.regrow)
            note(outcome, scores)
            return outcome
        }
        guard decider.units > 0 else {
            throw CompressionError.nothingToPrune(
                "channels",
                reason: "no group can become narrower in multiples of \(decision.rules.multiple) ('multiple')")
        }
        let change = try decider.change(evidence, amount: amount)
        let pruned = try change.apply(to: graph, masks: masks)
        (graph, masks) = (pruned.graph, pruned.masks)
        outcome.units = PrunedUnits(
            before: decider.units, removed: change.removedUnits,
            prunable: try MaskDecider.units(of: graph, masks: masks, settings: decider.settings))
        note(outcome, scores, changeBytes: change.serialized().count)
        return outcome
    }

    private mutating func note(_ outcome: StepOutcome, _ scores: [ExpectedSize.Part], changeBytes: Int? = nil) {
        decisions.append(
            RehearsedDecision(
                outcome: outcome, model: ModelOutline(graph, masks), scores: scores, changeBytes: changeBytes))
    }

    /// What a worker would send for a decision.
    private static func scores(for decision: MaskDecision, _ decider: MaskDecider) throws -> [ExpectedSize.Part] {
        let isVote = decision.rules.rule != .scores
        let layout = try isVote ? decider.voteLayout() : decider.statisticLayout(regrows: decision.regrow > 0)
        let masks = decision.alignment(to: decider.masks)
        return layout.map { name, shape in
            ExpectedSize.Part(elements: shape.elementCount, alive: masks[name]?.populationCount)
        }
    }

    // MARK: Low rank

    /// Ranks that the weights alone would have stand in for those that data decide.
    private mutating func rehearse(_ stage: FactorizePlan) throws {
        let settings = try checkedSettings(stage.rules)
        // Which weights of a masked layer die is for the fleet's scores to say: some of each, most likely.
        var masks = masks
        masks.bitmaps = masks.bitmaps.mapValues { Bitmap(repeating: false, count: $0.count) }
        let factorizer = try Factorizer(graph: graph, settings: settings, masks: masks)
        if stage.samples > 0 {
            let layout = MomentLayout(factorizer.layers, choice: settings.selection.choice)
            let bytes = MomentSet.byteCount(of: layout)
            measured.momentBytes = bytes
            guard bytes <= min(plan.limits.blobBytes, MomentSet.byteLimit) else {
                throw CompressionError.valueOutOfRange(
                    "the moments of its layers take \(bytes) bytes, more than limits.blob: raise it, name fewer layers or set "
                        + "'samples' to 0")
            }
        }
        guard let result = try factorizer.rehearse() else { return }
        (graph, isFactorized) = (result.graph, true)
        do { try ChannelNesting.check(plan, graph: graph) } catch {
            throw CompressionError.valueOutOfRange("with factors for layers, \(error)")
        }
    }

    /// With names that the opening model has, or that stages before have made of its layers.
    private func checkedSettings(_ rules: FactorizeRules) throws -> FactorizationSettings {
        guard isFactorized else { return FactorizationSettings(rules, checksNames: true) }
        func check(_ name: String, in graph: Graph) throws {
            _ = try LayerSelection(excluded: [name]).layers(of: graph)
        }
        for name in rules.selection.only + rules.selection.excluded where (try? check(name, in: opening)) == nil {
            try check(name, in: graph)
        }
        return FactorizationSettings(rules)
    }
}
