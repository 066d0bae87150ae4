// What `RunHistory` keeps of rounds and stages.

/// The round that is open, as far as the ledger knows.
public struct OpenRound: Sendable, Equatable {
    public var number: Int
    public var stage: Int
    public var task: String
    public var accepted: [ContributionFacts] = []
    public var refusals = 0
}

/// What a round was opened for; tasks that outlive their round are judged by it.
public struct RoundBase: Sendable, Equatable {
    public var stage: Int
    /// Version of the snapshot its tasks start from.
    public var version: Int
}

/// The training round that made the current snapshot, where workers are to correct their drift by it.
public struct ControlRound: Sendable, Equatable {
    public var stage: Int
    /// Version of the snapshot that it began with.
    public var base: Int
    /// Mean of its contributions' `TaskMetrics.reach`, by their weights.
    public var reach: Double
}

/// What one closed round moved, and what it worked on.
public struct RoundSummary: Sendable, Equatable {
    public var number: Int
    public var stage: Int
    public var task: String
    public var traffic: StepTraffic
    /// Of the snapshot that its tasks started from.
    public var parameters: Int?
    public var sparsity: Double
    /// Share of positions that the delta carries which the round ended with, and bits a weight of the model.
    public var density: Double?
    public var bitsPerWeight: Double?
    /// From opening to the new snapshot.
    public var seconds = 0.0
    public var foldSeconds: Double?
    /// Mean training loss, or test loss of an evaluation.
    public var loss: Double?
    /// Of the run's own model, by an evaluation.
    public var accuracy: Double?
    public var contributions = 0
    public var refusals = 0
}

/// The narrower models of some training rounds.
public struct Nesting: Sendable, Equatable {
    public var stage: Int
    /// What they are narrower versions of.
    public var graph: Digest
    /// The widest first.
    public var widths: [ModelWidth]
}

/// What one stage did.
public struct StageSummary: Sendable, Equatable {
    public var kind: String
    public var rounds = 0
    public var seconds = 0.0
    public var traffic = StepTraffic()
    public var accuracyBefore: Double?
    public var accuracyAfter: Double?
    public var loss: Double?
    public var sparsity = 0.0
    public var contributions = 0
    public var refusals = 0
    public var bytesBefore: Int
    public var bytesAfter: Int
    public var finished = false
}

extension StageSummary {
    /// Adds one step.
    mutating func take(_ outcome: StepOutcome, traffic: StepTraffic, seconds: Double, isRound: Bool) {
        if isRound { rounds += 1 }
        self.traffic = self.traffic + traffic
        self.seconds += seconds
        if let accuracy = outcome.accuracy { accuracyAfter = accuracy }
        if let loss = outcome.loss { self.loss = loss }
        if let compact = outcome.compact { bytesAfter = compact.byteCount }
        sparsity = outcome.sparsity
    }
}
