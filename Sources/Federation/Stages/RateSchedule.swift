/// How the learning rate changes over a stage. Lengths are shares of the stage, because a plan does not know how many
/// steps its workers' shards make; a worker turns them into steps (`part` of its recipe says where its round lies).
public struct RateSchedule: Sendable, Equatable {
    /// Raw values are on the wire; never renumber them.
    public enum Kind: UInt8, Sendable, Equatable, CaseIterable {
        case constant = 0
        /// Half a cosine down to 1 % (Loshchilov & Hutter 2017, equation 5, without restarts).
        case cosine = 1
        /// From a 25th up for 0.3 of the stage, then down to a 250,000th (Smith & Topin 2018).
        case oneCycle = 2
        /// Times `stepFactor` after each `stepEvery`.
        case step = 3
    }

    public var kind: Kind
    /// The share of the stage, 0 to below 1, in which the rate rises linearly before the schedule begins.
    public var warmup: Double
    /// Share of what follows the warm-up between two changes of the schedule `step`.
    public var stepEvery: Double
    public var stepFactor: Double

    public init(_ kind: Kind, warmup: Double = 0, stepEvery: Double = 0.3, stepFactor: Double = 0.1) {
        self.kind = kind
        self.warmup = warmup
        self.stepEvery = stepEvery
        self.stepFactor = stepFactor
    }

    public static let constant = RateSchedule(.constant)
    public static let cosine = RateSchedule(.cosine)
    public static let oneCycle = RateSchedule(.oneCycle)
}

extension TrainingRecipe {
    /// The recipe of one round of a stage: the schedule runs on from round to round.
    public func atRound(_ round: Int, of rounds: Int) -> TrainingRecipe {
        precondition(round >= 0 && round < rounds, "round \(round) of \(rounds)")
        var recipe = self
        recipe.part = Double(round) / Double(rounds)...Double(round + 1) / Double(rounds)
        return recipe
    }

    /// Where the steps of a task lie among those of its stage, taken as if every round had as many.
    /// - Parameter steps: of the task, at least 1.
    /// - Returns: the steps before the task's first, and those of the whole stage.
    public func place(ofSteps steps: Int) -> (before: Int, total: Int) {
        let width = part.upperBound - part.lowerBound
        // Whatever a message says, the numbers stay small enough to count with.
        let total = width > 0 ? (Double(steps) / width).rounded() : Double(steps)
        guard total < 1e15 else { return (0, steps) }
        return (Int((part.lowerBound * total).rounded()), max(steps, Int(total)))
    }
}
