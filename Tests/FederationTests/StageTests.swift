import Testing

@testable import Federation

private let size = ModelSize(parameters: 1000, macs: 20_000, bytes: 5_000)

private func masked(_ sparsity: Double, _ rules: MaskRules = MaskRules()) -> MaskDecision {
    MaskDecision(rules: rules, amount: .sparsity(sparsity))
}

/// All steps of a stage whose steps all succeed.
private func steps(_ stage: any Stage) -> [Step] {
    var stage = stage
    var steps: [Step] = []
    while let step = stage.next() {
        steps.append(step)
        stage.stepFinished(StepOutcome())
    }
    return steps
}

@Test func trainEndsWithAnEvaluation() {
    let recipe = TrainingRecipe()
    let stage = StagePlan.train(TrainPlan(rounds: 2, recipe: recipe)).makeStage(sparsity: 0, size: size)
    let continued = ServerStep(continues: true)
    #expect(
        steps(stage) == [
            .train(recipe.atRound(0, of: 2), teacher: nil),
            .train(recipe.atRound(1, of: 2), teacher: nil, server: continued), .evaluate(samples: nil),
        ])
}

@Test func magnitudePruningMasksThenRecovers() {
    let recipe = TrainingRecipe()
    let plan = PrunePlan(target: .sparsity(0.8), schedule: .linear, steps: 2, roundsPerStep: 1, recipe: recipe)
    #expect(
        steps(StagePlan.prune(plan).makeStage(sparsity: 0, size: size)) == [
            .decideMask(masked(0.4)), .train(recipe.atRound(0, of: 2), teacher: nil),
            .decideMask(masked(0.8)),
            .train(recipe.atRound(1, of: 2), teacher: nil, server: ServerStep(continues: true)),
            .evaluate(samples: nil),
        ])
}

@Test func taylorPruningScoresBeforeEachMask() {
    let rules = MaskRules(criterion: .taylor)
    let plan = PrunePlan(rules: rules, schedule: .oneShot, steps: 3, roundsPerStep: 0, scoreSamples: 9)
    #expect(
        steps(StagePlan.prune(plan).makeStage(sparsity: 0, size: size))
            == [
                .score(ScoreRequest(samples: 9, batch: 64, learningRate: 0.05), masked(0.8, rules)),
                .evaluate(samples: nil),
            ])
}

/// Zhu & Gupta 2017, eq. 1, by hand: n = 4, s_i = 0, s_f = 0.8: 0.8·(1 − (1 − t/4)³).
@Test func cubicScheduleMatchesItsFormula() {
    let expected = [0.4625, 0.7, 0.7875, 0.8]
    for (index, value) in expected.enumerated() {
        let found = SparsityScheduleKind.cubic.sparsity(step: index + 1, of: 4, from: 0, to: 0.8)
        #expect(abs(found - value) < 1e-12)
    }
}

@Test func aSecondPruneStageGoesOnFromWhereTheFirstEnded() {
    let plan = PrunePlan(target: .sparsity(0.9), schedule: .linear, steps: 2, roundsPerStep: 0)
    #expect(steps(StagePlan.prune(plan).makeStage(sparsity: 0.5, size: size)).first == .decideMask(masked(0.7)))
}

/// However a stage is cut into rounds, a task's steps stand where they would in one long round.
@Test(arguments: [1, 2, 3, 7, 8, 100]) func roundsCutAStageIntoEqualParts(rounds: Int) {
    let recipe = TrainingRecipe(schedule: .oneCycle)
    var next = 0
    for round in 0..<rounds {
        let place = recipe.atRound(round, of: rounds).place(ofSteps: 391)
        #expect(place.before == next)
        #expect(place.total == 391 * rounds)
        next += 391
    }
    #expect(recipe.atRound(rounds - 1, of: rounds).part.upperBound == 1)
}

@Test func aPartThatIsNoneDoesNotOverflow() {
    var recipe = TrainingRecipe()
    for part in [0.5...0.5, 0...Double.leastNonzeroMagnitude, 1...1, 0.3...0.3.nextUp] {
        recipe.part = part
        let place = recipe.place(ofSteps: 10)
        #expect(place.before >= 0 && place.total >= 10)
    }
}

// MARK: Structure

/// Steps of a stage that removes structure, on a model whose widths only come in whole steps of `step` channels.
private func removal(_ plan: PrunePlan, channels: Int, step: Int) -> (decisions: [MaskDecision.Amount], left: Int) {
    var stage = StagePlan.prune(plan).makeStage(sparsity: 0, size: size)
    var left = channels
    var decisions: [MaskDecision.Amount] = []
    while let next = stage.next() {
        var outcome = StepOutcome()
        if let amount = next.decision?.amount {
            decisions.append(amount)
            let wanted: Int
            switch amount {
            case .keep(let share): wanted = left - Int((Double(left) * share).rounded())
            case .remove(let count): wanted = count
            default: wanted = 0
            }
            let removed = min(left, Int((Double(wanted) / Double(step)).rounded()) * step)
            outcome.units = PrunedUnits(before: left, removed: removed, prunable: left - removed)
            left -= removed
        }
        stage.stepFinished(outcome)
    }
    return (decisions, left)
}

/// Whatever rounding to whole widths leaves over in one step is made up for in later ones.
@Test(arguments: [SparsityScheduleKind.linear, .cubic, .lottery], 1...10)
func aShareOfStructureIsMetOverAnyNumberOfSteps(schedule: SparsityScheduleKind, steps: Int) {
    let rules = MaskRules(granularity: .channel, criterion: .l2)
    for step in [1, 4, 16] {
        let plan = PrunePlan(
            rules: rules, target: .sparsity(0.5), schedule: schedule, steps: steps, roundsPerStep: 0)
        let (decisions, left) = removal(plan, channels: 64, step: step)
        #expect(decisions.count == steps)
        #expect(left == 32, "\(schedule) in \(steps) steps of \(step)")
    }
}

@Test func whenNothingIsLeftToRemoveOnlyRecoveryGoesOn() {
    let rules = MaskRules(granularity: .layer, criterion: .l2)
    let plan = PrunePlan(rules: rules, target: .sparsity(0.9), schedule: .linear, steps: 4, roundsPerStep: 1)
    var stage = StagePlan.prune(plan).makeStage(sparsity: 0, size: size)
    var kinds: [String] = []
    while let next = stage.next() {
        var outcome = StepOutcome()
        if next.decision != nil {
            kinds.append("mask")
            outcome.units = PrunedUnits(before: 2, removed: 2, prunable: 0)
        } else {
            kinds.append(next.task ?? "")
        }
        stage.stepFinished(outcome)
    }
    #expect(kinds == ["mask", "train", "train", "train", "train", "evaluate"])
}

/// Budgets are counted from the model that the stage began with, and end at what the plan says.
@Test func budgetsAreCountedFromTheOpening() {
    let rules = MaskRules(granularity: .channel, criterion: .l2)
    func amounts(_ target: PruneTarget) -> [MaskDecision.Amount] {
        let plan = PrunePlan(rules: rules, target: target, schedule: .linear, steps: 2, roundsPerStep: 0)
        return steps(StagePlan.prune(plan).makeStage(sparsity: 0, size: size)).compactMap(\.decision?.amount)
    }
    #expect(amounts(.macs(0.5)) == [.macs(15_000), .macs(10_000)])
    #expect(amounts(.weights(0.5)) == [.weights(750), .weights(500)])
    #expect(amounts(.bytes(2500)) == [.bytes(3750), .bytes(2500)])
    #expect(
        amounts(.milliseconds(2)) == [.milliseconds(target: 2, share: 0.5), .milliseconds(target: 2, share: 1)])
    // The last step is the limit to the byte, where rounding would ask for one more.
    for limit in 1024...3000 { #expect(amounts(.bytes(limit)).last == .bytes(limit)) }
}

/// A ticket's equal shares of what is left say nothing of time: each step goes an equal part of the way.
@Test func aTicketGoesToABudgetOfTimeInEqualSteps() {
    let plan = PrunePlan(
        rules: MaskRules(granularity: .channel, criterion: .l2), target: .milliseconds(2), schedule: .lottery, steps: 4,
        roundsPerStep: 0)
    let amounts = steps(StagePlan.prune(plan).makeStage(sparsity: 0, size: size)).compactMap(\.decision?.amount)
    for (amount, share) in zip(amounts, [1.0 / 4, 1.0 / 3, 1.0 / 2, 1]) {
        guard case .milliseconds(target: 2, let found) = amount else {
            Issue.record("\(amount)")
            continue
        }
        #expect(abs(found - share) < 1e-12)
    }
    #expect(amounts.count == 4)
}

@Test func aTicketGoesBackBeforeItRecovers() {
    let plan = PrunePlan(
        target: .sparsity(0.75), schedule: .lottery, steps: 2, roundsPerStep: 1, rewindStage: nil)
    let found = steps(StagePlan.prune(plan).makeStage(sparsity: 0, size: size))
    #expect(found.map { $0.task ?? "alone" } == ["alone", "alone", "train", "alone", "alone", "train", "evaluate"])
    #expect(found[0] == .decideMask(masked(0.5)) && found[1] == .rewind(toStage: nil))
    #expect(found[3] == .decideMask(masked(0.75)))
    // Moments of weights that were put back are not taken up.
    if case .train(_, _, let server) = found[5] { #expect(!server.continues) }
}

@Test func dynamicMasksReviveLessAndLess() {
    let plan = PrunePlan(target: .sparsity(0.9), schedule: .dynamic, steps: 4, roundsPerStep: 0, regrow: 0.3)
    let decisions = steps(StagePlan.prune(plan).makeStage(sparsity: 0, size: size)).compactMap(\.decision)
    #expect(decisions.map(\.amount) == Array(repeating: .sparsity(0.9), count: 4))
    let expected = [0, 0.3, 0.225, 0.075]
    for (decision, share) in zip(decisions, expected) { #expect(abs(decision.regrow - share) < 1e-12) }
}
