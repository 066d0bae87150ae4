import Compression
import Federation
import ModelGraph
import Shell
import Tensors

/// Goes through a plan's `prune` stages on the model that a run begins with, so that what cannot work is refused before the
/// first round: names that do not exist, layers that would vanish, budgets that cannot be met, criteria that do not fit.
struct PruningRehearsal {
    private var graph: Graph
    private var masks = MaskSet()

    init(_ graph: Graph) { self.graph = graph }

    /// - Parameter time: milliseconds of models, for budgets of them.
    /// - Throws: `CoordinatorError.model` with the stage's number and what helps.
    static func check(
        _ plan: Plan, graph: Graph, time: ([Graph]) throws(LatencyError) -> [Double]
    ) throws(CoordinatorError) {
        var rehearsal = PruningRehearsal(graph)
        for (index, stage) in plan.stages.enumerated() {
            guard case .prune(let prune) = stage else { continue }
            do {
                try withoutActuallyEscaping(time) { time in try rehearsal.rehearse(prune, time: time) }
            } catch {
                throw CoordinatorError.model("stage \(index + 1) (prune): \(error)")
            }
        }
    }

    private mutating func rehearse(
        _ plan: PrunePlan, time: @escaping ([Graph]) throws(LatencyError) -> [Double]
    ) throws {
        let decider = try MaskDecider(graph: graph, masks: masks, settings: PruningSettings(plan.rules))
        let evidence = try decider.rehearsalEvidence()
        guard plan.rules.granularity.isStructural else {
            masks = try decider.mask(evidence, amount: .sparsity(plan.maskedShare ?? 0))
            return
        }
        let change = try decider.change(evidence, amount: amount(plan.target, decider, evidence, time: time))
        let pruned = try change.apply(to: graph, masks: masks)
        (graph, masks) = (pruned.graph, pruned.masks)
    }

    /// What is to be left at a stage's end.
    private func amount(
        _ target: PruneTarget, _ decider: MaskDecider, _ evidence: PruningEvidence,
        time: @escaping ([Graph]) throws(LatencyError) -> [Double]
    ) throws -> PruningAmount {
        switch target {
        case .sparsity(let share): return .keep(1 - share)
        case .weights(let share):
            return .weights(share: share, of: graph)
        case .macs(let share): return try .macs(share: share, of: graph)
        case .bytes(let count): return .bytes(count)
        case .milliseconds(let target):
            // Whether it can be met, and about what is left then; the stage itself looks more closely.
            return try LatencyBudget(decider: decider, evidence: evidence, time: time, refinements: 0)
                .amount(target: target, share: 1)
        }
    }
}
