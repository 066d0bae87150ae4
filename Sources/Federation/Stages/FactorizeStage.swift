/// `factorize`: a factorization (with a round of moments before it where workers look at their data), then rounds of training
/// and an evaluation.
public struct FactorizeStage: Stage {
    private let plan: FactorizePlan
    /// The factorization is the first.
    private var finished = 0

    public init(_ plan: FactorizePlan) { self.plan = plan }

    public mutating func next() -> Step? {
        guard finished > 0 else {
            return plan.samples > 0 ? .moments(samples: plan.samples, plan.rules) : .factorize(plan.rules)
        }
        let round = finished - 1
        if round < plan.rounds {
            return .train(
                plan.recipe.atRound(round, of: plan.rounds), teacher: plan.teacher,
                server: ServerStep(optimizer: plan.server, continues: round > 0))
        }
        return round == plan.rounds ? .evaluate(samples: nil) : nil
    }

    public mutating func stepFinished(_ outcome: StepOutcome) { finished += 1 }
}
