/// Sums over evaluated samples: they fold by addition.
public struct Evaluation: Sendable, Equatable {
    /// The loss summed over the counted targets.
    public var lossSum: Double
    /// Counted targets that the output names rightly.
    public var correct: Int
    public var samples: Int
    /// Counted targets: what `lossSum` and `correct` are to be divided by. Samples, but for tokens, maps and binary targets.
    public var targets: Int

    public init(lossSum: Double = 0, correct: Int = 0, samples: Int = 0, targets: Int? = nil) {
        self.lossSum = lossSum
        self.correct = correct
        self.samples = samples
        self.targets = targets ?? samples
    }

    public static func += (total: inout Evaluation, part: Evaluation) {
        total.lossSum += part.lossSum
        total.correct += part.correct
        total.samples += part.samples
        total.targets += part.targets
    }

    /// The mean loss; its exponential is the perplexity. nil when nothing was counted.
    public var loss: Double? { targets > 0 ? lossSum / Double(targets) : nil }

    /// The share of counted targets that are right, 0 to 1. nil when nothing was counted.
    public var accuracy: Double? { targets > 0 ? Double(correct) / Double(targets) : nil }
}
