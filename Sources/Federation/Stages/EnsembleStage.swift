/// What a `logits` task asks of a worker.
public struct LogitsRequest: Sendable, Equatable {
    /// Of the public set.
    public var samples: Int
    /// Outputs that a model must have.
    public var classes: Int
    /// The training round whose models are asked: a worker whose result of it did not count speaks with what it has.
    public var trainedRound: Int

    public init(samples: Int = 0, classes: Int = 0, trainedRound: Int = 0) {
        self.samples = samples
        self.classes = classes
        self.trainedRound = trainedRound
    }

    /// Logits of one task at most: what the fold takes is 8 bytes for each.
    public static let largestCount = 1 << 26
}

/// `distill` with an `ensemble`: each round trains, then asks all models for their logits on the public set, from whose mean
/// the next round learns; then an evaluation of the run's model. (FedMD: Li and Wang 2019, algorithm 1, with private and
/// public batches in turn instead of one after the other.)
public struct EnsembleStage: Stage {
    private let plan: DistillPlan
    private let rules: EnsemblePlan
    /// Rounds of both kinds.
    private var finished = 0

    /// Precondition: the plan has an ensemble.
    public init(_ plan: DistillPlan) {
        guard let rules = plan.ensemble else { preconditionFailure("an ensemble stage without an ensemble") }
        self.plan = plan
        self.rules = rules
    }

    public mutating func next() -> Step? {
        let round = finished / 2
        guard round < plan.rounds else { return finished == 2 * plan.rounds ? .evaluate(samples: nil) : nil }
        guard finished % 2 == 0 else { return .logits(LogitsRequest()) }
        var recipe = plan.recipe.atRound(round, of: plan.rounds)
        recipe.ensemble = EnsembleLesson(rules)
        return .train(
            recipe, teacher: plan.teacher, server: ServerStep(optimizer: plan.server, continues: round > 0))
    }

    public mutating func stepFinished(_ outcome: StepOutcome) { finished += 1 }
}
