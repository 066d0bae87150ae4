import Engine
import Federation
import Testing

@testable import Worker

/// A stage's learning rates, whichever way it is cut.
struct TrainingPassTests {
    /// The rates of all steps of a stage.
    private static func rates(_ recipe: TrainingRecipe, rounds: Int, batches: Int) -> [Double] {
        (0..<rounds).flatMap { round in
            var pass = TrainingPass(recipe.atRound(round, of: rounds), batches: batches)
            return (0..<batches).compactMap { batch in
                pass.takes(isLast: batch == batches - 1) ? pass.beginStep() : nil
            }
        }
    }

    @Test(arguments: RateSchedule.Kind.allCases, [0, 0.1])
    func eightRoundsOfOneEpochAreOneRoundOfEight(kind: RateSchedule.Kind, warmup: Double) {
        let recipe = TrainingRecipe(learningRate: 0.4, schedule: RateSchedule(kind, warmup: warmup))
        let whole = Self.rates(recipe, rounds: 1, batches: 8 * 391)
        #expect(whole.count == 8 * 391)
        #expect(Self.rates(recipe, rounds: 8, batches: 391) == whole)
        // And that curve is the engine's over as many steps.
        let schedule = LearningRateSchedule(recipe.schedule, steps: whole.count)
        #expect(whole == whole.indices.map { schedule.rate(at: $0, of: whole.count, peak: 0.4) })
        #expect(kind == .constant && warmup == 0 || Set(whole).count > 1)
    }

    @Test func sharesBecomeSteps() {
        let schedule = RateSchedule(.step, warmup: 0.1, stepEvery: 0.5, stepFactor: 0.25)
        #expect(LearningRateSchedule(schedule, steps: 100) == .step(every: 45, factor: 0.25, warmUpSteps: 10))
        let cosine = Self.rates(TrainingRecipe(learningRate: 1, schedule: .cosine), rounds: 4, batches: 1000)
        #expect(cosine.first == 1 && abs((cosine.last ?? 0) - 0.01) < 1e-5)
    }

    @Test func groupsEndWithTheTask() {
        let recipe = TrainingRecipe(accumulate: 4, learningRate: 1)
        var pass = TrainingPass(recipe, batches: 10)
        let ends = (0..<10).map { pass.takes(isLast: $0 == 9) }
        #expect(ends.indices.filter { ends[$0] } == [3, 7, 9])
        #expect(Self.rates(recipe, rounds: 2, batches: 10).count == 6)
    }

    /// What a message may say at most.
    @Test func extremePartsAreHarmless() {
        var recipe = TrainingRecipe(learningRate: 1, schedule: RateSchedule(.oneCycle, warmup: 1))
        for part in [0...0, 1...1, 0.5...0.5.nextUp, 0...Double.leastNonzeroMagnitude] {
            recipe.part = part
            let rates =
                Self.rates(recipe, rounds: 1, batches: 3)
                + {
                    var pass = TrainingPass(recipe, batches: 3)
                    return (0..<5).map { _ in pass.beginStep() }
                }()
            #expect(rates.allSatisfy { $0.isFinite && $0 >= 0 && $0 <= 1 })
        }
    }
}
