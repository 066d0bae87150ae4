import Compression
import Federation
import ModelGraph
import Shell
import Tensors

/// Goes through a plan's `prune` stages on the model that a run begins with, so that what cannot work is refused before the
/// first round: names that do not exist, layers that would vanish, budgets that cannot be met, criteria that do not fit.
struct PruningRehearsal {
    /// The model that the run begins with: names are its own, whatever stages remove.
    private let opening: Graph
    private var graph: Graph
    private var masks = MaskSet()
    private let time: ModelTiming

    /// Stages of more steps are rehearsed as if they had one: the way there takes a decision a step.
    private static let mostSteps = 20

    /// - Parameter time: of models, for budgets of milliseconds.
    /// - Throws: `CoordinatorError.model` with the stage's number and what helps.
    static func check(_ plan: Plan, graph: Graph, time: @escaping ModelTiming) throws(CoordinatorError) {
        var rehearsal = PruningRehearsal(opening: graph, graph: graph, time: time)
        for (index, stage) in plan.stages.enumerated() {
            guard case .prune(let prune) = stage else { continue }
            do {
                try rehearsal.rehearse(prune)
            } catch {
                throw CoordinatorError.model("stage \(index + 1) (prune): \(error)")
            }
        }
    }

    private mutating func rehearse(_ plan: PrunePlan) throws {
        _ = try MaskDecider(graph: opening, masks: MaskSet(), settings: PruningSettings(plan.rules))
        var plan = plan
        // What takes time is measured once: whether the target can be met is a question of the last step.
        var isShort = plan.steps <= Self.mostSteps
        if case .milliseconds = plan.target { isShort = false }
        if !isShort { (plan.steps, plan.schedule) = (1, .oneShot) }
        var stage = PruneStage(plan, initialSparsity: masks.sparsity(of: graph), initialSize: ModelSize(of: graph))
        while let step = stage.next() {
            stage.stepFinished(try step.decision.map { try decide($0) } ?? StepOutcome())
        }
    }

    private mutating func decide(_ decision: MaskDecision) throws -> StepOutcome {
        let decider = try MaskDecider(
            graph: graph, masks: masks, settings: PruningSettings(decision.rules), checksNames: false)
        let evidence = try decider.rehearsalEvidence(regrows: decision.regrow > 0)
        var outcome = StepOutcome()
        guard let amount = try amount(decision.amount, decider, evidence) else { return outcome }
        guard decision.rules.granularity.isStructural else {
            masks = try decider.mask(evidence, amount: amount, regrow: decision.regrow)
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
        return outcome
    }

    private func amount(
        _ amount: MaskDecision.Amount, _ decider: MaskDecider, _ evidence: PruningEvidence
    ) throws -> PruningAmount? {
        guard case .milliseconds(let target, let share) = amount else { return PruningAmount(amount) }
        return try LatencyBudget(decider: decider, evidence: evidence, time: time).amount(target: target, share: share)
    }
}

extension MaskSet {
    /// Share of a graph's prunable weights that is masked.
    fileprivate func sparsity(of graph: Graph) -> Double {
        var (total, alive) = (0, 0)
        for name in graph.prunableNames {
            guard let count = graph.initializers[name]?.elementCount else { continue }
            total += count
            alive += self[name]?.populationCount ?? count
        }
        return total == 0 ? 0 : Double(total - alive) / Double(total)
    }
}
