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

    public init(
        number: Int, stage: Int, task: String, traffic: StepTraffic, parameters: Int?, sparsity: Double,
        density: Double? = nil, bitsPerWeight: Double? = nil, seconds: Double = 0, foldSeconds: Double? = nil,
        loss: Double? = nil, accuracy: Double? = nil, contributions: Int = 0, refusals: Int = 0
    ) {
        (self.number, self.stage, self.task, self.traffic) = (number, stage, task, traffic)
        (self.parameters, self.sparsity, self.density) = (parameters, sparsity, density)
        (self.bitsPerWeight, self.seconds, self.foldSeconds) = (bitsPerWeight, seconds, foldSeconds)
        (self.loss, self.accuracy) = (loss, accuracy)
        (self.contributions, self.refusals) = (contributions, refusals)
    }
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
    /// Masks that were decided, and how often weights were put back to earlier values.
    public var masks = 0
    public var rewinds = 0
    /// Of structure that was removed: what could have gone before the first decision, and what went in all of them.
    public var units: PrunedUnits?
    public var factorization: FactorizationFacts?
    /// Compact files that were written: each but the first takes back some of what the one before gave up.
    public var compactFiles = 0
    public var quantization: QuantizationFacts?
}

/// What one worker did in a run, as the ledger tells it.
public struct WorkerTotals: Sendable, Equatable {
    public var contributions = 0
    public var refusals = 0
    /// Of its shard, as its newest contribution says.
    public var samples: Int?
    /// Of the results that counted, and the time it says they took.
    public var bytes = 0
    public var seconds = 0.0

    mutating func add(_ submission: Submission) {
        contributions += 1
        samples = submission.metrics.samples
        bytes += submission.blob?.byteCount ?? 0
        if submission.metrics.seconds.isFinite { seconds += submission.metrics.seconds }
    }
}

extension StageSummary {
    /// Adds one step.
    mutating func take(_ outcome: StepOutcome, of step: Step?, traffic: StepTraffic, seconds: Double, isRound: Bool) {
        if isRound { rounds += 1 }
        if step?.decision != nil { masks += 1 }
        if case .rewind? = step { rewinds += 1 }
        if let found = outcome.units {
            units = PrunedUnits(
                before: units?.before ?? found.before, removed: (units?.removed ?? 0) + found.removed,
                prunable: found.prunable)
        }
        factorization = outcome.factorization ?? factorization
        if outcome.compact != nil { compactFiles += 1 }
        quantization = outcome.quantization ?? quantization
        self.traffic = self.traffic + traffic
        self.seconds += seconds
        if let accuracy = outcome.accuracy { accuracyAfter = accuracy }
        if let loss = outcome.loss { self.loss = loss }
        if let compact = outcome.compact { bytesAfter = compact.byteCount }
        sparsity = outcome.sparsity
    }
}
