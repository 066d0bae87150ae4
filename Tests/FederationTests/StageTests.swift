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
