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

    /// - Parameter canMeasure: whether a budget of milliseconds can be kept here.
    /// - Throws: `CoordinatorError.model` with the stage's number and what helps.
    static func check(_ plan: Plan, graph: Graph, canMeasure: () -> Bool) throws(CoordinatorError) {
        var rehearsal = PruningRehearsal(graph)
        for (index, stage) in plan.stages.enumerated() {
            guard case .prune(let prune) = stage else { continue }
            do {
                try rehearsal.rehearse(prune, canMeasure: canMeasure)
            } catch {
                throw CoordinatorError.model("stage \(index + 1) (prune): \(error)")
            }
        }
    }

    private mutating func rehearse(_ plan: PrunePlan, canMeasure: () -> Bool) throws {
        let settings = PruningSettings(plan.rules)
        guard plan.rules.granularity.isStructural else {
            let decider = try MaskDecider(graph: graph, masks: masks, settings: settings.withoutData)
            masks = try decider.mask(.weights, amount: .sparsity(plan.maskedShare ?? 0))
            return
        }
        let decider = try MaskDecider(graph: graph, masks: masks, settings: settings)
        guard let amount = try amount(plan.target, canMeasure: canMeasure) else { return }
        let change =
            settings.criterion.statistic == nil
            ? try decider.change(.weights, amount: amount) : try decider.rehearsal(amount: amount)
        let pruned = try change.apply(to: graph, masks: masks)
        (graph, masks) = (pruned.graph, pruned.masks)
    }

    /// What is to be left at a stage's end; nil for milliseconds, which nothing but time tells.
    private func amount(_ target: PruneTarget, canMeasure: () -> Bool) throws -> PruningAmount? {
        switch target {
        case .sparsity(let share): return .keep(1 - share)
        case .weights(let share):
            return .weights(share: share, of: graph)
        case .macs(let share): return try .macs(share: share, of: graph)
        case .bytes(let count): return .bytes(count)
        case .milliseconds:
            guard canMeasure() else { throw CoordinatorError.needsRuntime }
            return nil
        }
    }
}

extension PruningSettings {
    /// The same by magnitude where the criterion would need to see data.
    fileprivate var withoutData: PruningSettings {
        guard criterion.statistic != nil else { return self }
        var settings = self
        settings.criterion = .l2
        return settings
    }
}
