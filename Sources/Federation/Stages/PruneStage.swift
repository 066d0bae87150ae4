/// `prune`: per step a mask (with a round of scores before it where workers must look at their data), the way back to early
/// weights if the plan says so, and recovery rounds.
public struct PruneStage: Stage {
    private enum Position: Equatable {
        case mask(step: Int)
        case rewind(step: Int)
        case recover(step: Int, round: Int)
        case evaluate
        case over
    }

    private let plan: PrunePlan
    private var position = Position.mask(step: 1)
    /// Share of prunable weights masked when the stage began; the schedule of a masking stage starts there.
    private let initialSparsity: Double
    /// The model when the stage began: budgets that are shares are shares of this.
    private let initialSize: ModelSize
    /// Channels, heads or layers when the stage began, and how many are left; known from the first decision on.
    private var units: (opening: Int, left: Int)?
    /// Whether nothing is left that could go.
    private var isExhausted = false

    public init(_ plan: PrunePlan, initialSparsity: Double, initialSize: ModelSize) {
        self.plan = plan
        self.initialSparsity = initialSparsity
        self.initialSize = initialSize
    }

    public mutating func next() -> Step? {
        switch position {
        case .mask(let step):
            let decision = decision(step: step)
            guard plan.asksForScores(atStep: step) else { return .decideMask(decision) }
            let request = ScoreRequest(
                samples: plan.scoreSamples, batch: plan.recipe.batch, learningRate: plan.recipe.learningRate,
                loss: plan.recipe.loss)
            return .score(request, decision)
        case .rewind: return .rewind(toStage: plan.rewindStage)
        case .recover(let step, let round):
            let index = (step - 1) * plan.roundsPerStep + round
            return .train(
                plan.recipe.atRound(index, of: plan.steps * plan.roundsPerStep), teacher: plan.teacher,
                server: ServerStep(optimizer: plan.server, continues: continues(at: index, round: round)))
        case .evaluate: return .evaluate(samples: nil)
        case .over: return nil
        }
    }

    public mutating func stepFinished(_ outcome: StepOutcome) {
        switch position {
        case .mask(let step):
            if let counts = outcome.units { note(counts) }
            position = plan.schedule == .lottery ? .rewind(step: step) : recovery(after: step)
        case .rewind(let step): position = recovery(after: step)
        case .recover(let step, let round):
            position = round + 1 < plan.roundsPerStep ? .recover(step: step, round: round + 1) : after(step: step)
        case .evaluate: position = .over
        case .over: preconditionFailure("a finished prune stage was told of another step")
        }
    }

    /// Moments of weights that were put back speak of others.
    private func continues(at index: Int, round: Int) -> Bool {
        plan.schedule == .lottery ? round > 0 : index > 0
    }

    private func recovery(after step: Int) -> Position {
        plan.roundsPerStep > 0 ? .recover(step: step, round: 0) : after(step: step)
    }

    private func after(step: Int) -> Position {
        guard step < plan.steps else { return .evaluate }
        return isExhausted ? recovery(after: step + 1) : .mask(step: step + 1)
    }

    private mutating func note(_ counts: PrunedUnits) {
        let before = units ?? (counts.before, counts.before)
        units = (before.opening, before.left - counts.removed)
        isExhausted = counts.prunable == 0
    }

    private func decision(step: Int) -> MaskDecision {
        let regrow =
            plan.regrows(atStep: step)
            ? SparsityScheduleKind.regrowth(plan.regrow, step: step, of: plan.steps) : 0
        return MaskDecision(rules: plan.rules, amount: amount(step: step), regrow: regrow)
    }

    private func amount(step: Int) -> MaskDecision.Amount {
        if let final = plan.maskedShare {
            return .sparsity(sparsity(step, from: initialSparsity, to: final))
        }
        switch plan.target {
        case .sparsity(let final):
            let share = 1 - sparsity(step, from: 0, to: final)
            guard let units else { return .keep(share) }
            // Counted from the opening, so that what rounding to whole widths left over is made up for.
            return .remove(max(0, units.left - Int((Double(units.opening) * share).rounded())))
        case .weights(let left): return .weights(count(of: initialSize.parameters, step, left))
        case .macs(let left): return .macs(count(of: initialSize.macs ?? 0, step, left))
        case .bytes(let limit):
            // The last step asks for the limit itself, whatever rounding makes of the way there.
            guard step < plan.steps else { return .bytes(limit) }
            return .bytes(
                max(limit, count(of: initialSize.bytes, step, Double(limit) / Double(max(initialSize.bytes, 1)))))
        case .milliseconds(let target):
            let (now, then) = (way(step - 1), way(step))
            return .milliseconds(target: target, share: now < 1 ? (then - now) / (1 - now) : 1)
        }
    }

    /// How much of the way to a target that is no share is gone after a step. A lottery's share of what is left says nothing
    /// of time, so its steps are equal.
    private func way(_ step: Int) -> Double {
        guard step > 0 else { return 0 }
        return plan.schedule == .lottery ? Double(step) / Double(plan.steps) : sparsity(step, from: 0, to: 1)
    }

    private func sparsity(_ step: Int, from initial: Double, to final: Double) -> Double {
        plan.schedule.sparsity(step: step, of: plan.steps, from: initial, to: final)
    }

    /// What is left of `whole` after a step on the way to `left` of it.
    private func count(of whole: Int, _ step: Int, _ left: Double) -> Int {
        Int((Double(whole) * (1 - sparsity(step, from: 0, to: max(0, 1 - left)))).rounded(.up))
    }
}
