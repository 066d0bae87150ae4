import Engine
import Federation

/// Where a training task stands: which batches make a step, and the rate of each step by its place in the stage.
struct TrainingPass {
    private let recipe: TrainingRecipe
    private let batches: Int
    private let schedule: LearningRateSchedule
    /// Steps of the stage before this task, and in all.
    private let place: (before: Int, total: Int)
    private var taken = 0
    private var inGroup = 0
    private(set) var steps = 0
    private(set) var reach: StepReach

    /// - Parameter batches: of the task, before any of them turns out to be damaged.
    init(_ recipe: TrainingRecipe, batches: Int) {
        self.recipe = recipe
        self.batches = max(1, batches)
        place = recipe.place(ofSteps: (self.batches + recipe.accumulate - 1) / recipe.accumulate)
        schedule = LearningRateSchedule(recipe.schedule, steps: place.total)
        reach = StepReach(
            momentum: recipe.optimizer == .sgd ? recipe.momentum : 0,
            nesterov: recipe.optimizer == .sgd && recipe.nesterov)
    }

    /// The share of the batches that is done.
    var fraction: Double { min(1, Double(taken) / Double(batches)) }

    /// Takes one batch more.
    /// - Returns: whether it ends its group, and so is followed by a step.
    mutating func takes(isLast: Bool) -> Bool {
        taken += 1
        inGroup += 1
        guard isLast || inGroup >= recipe.accumulate else { return false }
        inGroup = 0
        return true
    }

    /// The rate of the next step, which then counts as done.
    mutating func beginStep() -> Double {
        let rate = schedule.rate(at: place.before + steps, of: place.total, peak: recipe.learningRate)
        steps += 1
        reach.step(rate: rate)
        return rate
    }
}

extension LearningRateSchedule {
    /// Shares of a stage as numbers of steps.
    /// - Parameter steps: of the whole stage.
    init(_ schedule: RateSchedule, steps: Int) {
        let warmUp = Int((schedule.warmup * Double(steps)).rounded())
        let every = max(1, Int((schedule.stepEvery * Double(steps - warmUp)).rounded()))
        let shape: Shape =
            switch schedule.kind {
            case .constant: .constant
            case .cosine: .cosine(floor: 0.01)
            case .oneCycle: .oneCycle(cyclesMomentum: false)
            case .step: .step(every: every, factor: schedule.stepFactor)
            }
        self.init(shape, warmUpSteps: warmUp)
    }
}
