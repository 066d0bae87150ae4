/// A run so far as charts and tables show it: what changes only when the ledger grows. Bounded, whatever the run.
public struct RunCourse: Sendable, Equatable, Codable {
    /// One stage of the plan, begun or not.
    public struct Stage: Sendable, Equatable, Codable {
        public var kind: String
        /// `planned`, `running` or `finished`.
        public var state: String
        public var rounds = 0
        public var seconds = 0.0
        public var accuracyBefore: Double?
        public var accuracyAfter: Double?
        public var loss: Double?
        public var sparsity: Double?
        public var wireBytesUp = 0
        public var wireBytesDown = 0
        public var wireBytesFloat32 = 0
        public var contributions = 0
        public var refusals = 0
        public var bytesBefore: Int?
        public var bytesAfter: Int?
    }

    /// Neighbouring rounds of one stage, added up: a single one where the run has few.
    public struct Rounds: Sendable, Equatable, Codable {
        public var first: Int
        public var last: Int
        public var stage: Int
        /// Of the last of them.
        public var task: String
        public var seconds = 0.0
        public var wireBytesUp = 0
        public var wireBytesDown = 0
        public var float32Bytes = 0
        public var contributions = 0
        public var refusals = 0
        /// Mean over those that trained.
        public var trainingLoss: Double?
        /// Of the last that evaluated.
        public var testLoss: Double?
        public var accuracy: Double?
        /// Of the model that the last of them began with.
        public var sparsity: Double
        public var parameters: Int?
        /// Of the last downlink delta.
        public var bitsPerWeight: Double?
        public var density: Double?
    }

    /// How often contributions were refused for one kind of reason.
    public struct Refusals: Sendable, Equatable, Codable {
        public var kind: RefusalKind
        public var count: Int

        public init(kind: RefusalKind, count: Int) { (self.kind, self.count) = (kind, count) }
    }

    /// `RunHistory.revision` when it was made.
    public var revision: Int
    public var stages: [Stage]
    /// In order; see `roundsLimit`.
    public var rounds: [Rounds]
    /// Rounds that closed before the first of `rounds`: too long ago to be told one by one.
    public var roundsBefore: Int
    /// How many neighbouring rounds are added up to one.
    public var roundsEach: Int
    public var refusals: [Refusals]
    /// The newest first.
    public var newestRefusals: [RefusalLog.Entry]
    public var trainingLoss: Double?
    public var testLoss: Double?
    public var seconds: Double
    /// Spent folding.
    public var foldSeconds: Double
    /// Of the float32 file the run began with, and of the one that would be delivered now.
    public var bytesBefore: Int
    public var bytesAfter: Int

    /// Groups of rounds at most, beside one more for each stage.
    public static let roundsLimit = 300

    public init(history: RunHistory) {
        revision = history.revision
        stages = history.plan.stages.enumerated().map { index, plan in
            history.summaries.indices.contains(index)
                ? Stage(history.summaries[index], isCurrent: index == history.stageIndex)
                : Stage(kind: plan.kind, state: "planned")
        }
        let kept = history.roundSummaries.suffix(RunHistory.roundSummaryLimit)
        roundsBefore = history.roundsClosed - kept.count
        roundsEach = max(1, (kept.count + Self.roundsLimit - 1) / Self.roundsLimit)
        rounds = Self.grouped(kept, by: roundsEach)
        refusals = history.refusals.byKind.map { Refusals(kind: $0.kind, count: $0.count) }
        newestRefusals = history.refusals.newest.reversed()
        (trainingLoss, testLoss) = (history.trainingLoss, history.testLoss)
        (seconds, foldSeconds) = (history.seconds, history.roundTimes.foldSeconds)
        bytesBefore = history.model?.bytes ?? 0
        bytesAfter = history.export?.byteCount ?? history.compact?.byteCount ?? bytesBefore
    }

    /// Sums of counts, means of training losses, the last of what is a state: no round is left out, so totals stay what they are.
    public static func grouped(_ summaries: ArraySlice<RoundSummary>, by size: Int) -> [Rounds] {
        var groups: [Rounds] = []
        var members = 0
        var losses = 0
        for summary in summaries {
            if let last = groups.last, last.stage == summary.stage, members < size {
                members += 1
            } else {
                groups.append(Rounds(first: summary.number, stage: summary.stage))
                (members, losses) = (1, 0)
            }
            groups[groups.count - 1].add(summary, losses: &losses)
        }
        return groups
    }
}

extension RunCourse.Rounds {
    fileprivate init(first: Int, stage: Int) {
        self.init(first: first, last: first, stage: stage, task: "", sparsity: 0)
    }

    fileprivate mutating func add(_ summary: RoundSummary, losses: inout Int) {
        last = summary.number
        task = summary.task
        seconds += summary.seconds
        wireBytesUp += summary.traffic.wireBytesUp
        wireBytesDown += summary.traffic.wireBytesDown
        float32Bytes += summary.traffic.float32BytesUp + summary.traffic.float32BytesDown
        contributions += summary.contributions
        refusals += summary.refusals
        sparsity = summary.sparsity
        parameters = summary.parameters
        bitsPerWeight = summary.bitsPerWeight ?? bitsPerWeight
        density = summary.density ?? density
        accuracy = summary.accuracy ?? accuracy
        guard let loss = summary.loss, loss.isFinite else { return }
        switch summary.task {
        case "train":
            losses += 1
            trainingLoss = (trainingLoss ?? 0) + (loss - (trainingLoss ?? 0)) / Double(losses)
        case "evaluate": testLoss = loss
        default: break
        }
    }
}

extension RunCourse.Stage {
    fileprivate init(_ summary: StageSummary, isCurrent: Bool) {
        self.init(
            kind: summary.kind, state: summary.finished ? "finished" : isCurrent ? "running" : "planned",
            rounds: summary.rounds, seconds: summary.seconds, accuracyBefore: summary.accuracyBefore,
            accuracyAfter: summary.accuracyAfter, loss: summary.loss, sparsity: summary.sparsity,
            wireBytesUp: summary.traffic.wireBytesUp, wireBytesDown: summary.traffic.wireBytesDown,
            wireBytesFloat32: summary.traffic.float32BytesUp + summary.traffic.float32BytesDown,
            contributions: summary.contributions, refusals: summary.refusals, bytesBefore: summary.bytesBefore,
            bytesAfter: summary.bytesAfter)
    }
}

/// One layer's weights as they are now.
public struct LayerFigures: Sendable, Equatable, Codable {
    public var name: String
    /// Elements.
    public var weights: Int
    /// Share of them that is masked; nil where nothing may be.
    public var sparsity: Double?
    /// Of one weight in the file that would be delivered.
    public var bits: Double

    public init(name: String, weights: Int, sparsity: Double?, bits: Double) {
        self.name = name
        self.weights = weights
        self.sparsity = sparsity
        self.bits = bits
    }
}

/// What the status page and `/metrics` are made of.
public struct RunPicture: Sendable {
    public var status: RunStatus
    public var course: RunCourse
    public var times: RoundTimes
    public var layers: [LayerFigures]

    public init(status: RunStatus, course: RunCourse, times: RoundTimes, layers: [LayerFigures] = []) {
        self.status = status
        self.course = course
        self.times = times
        self.layers = layers
    }
}
