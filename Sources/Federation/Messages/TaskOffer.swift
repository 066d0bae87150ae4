import UpdateCodec

/// Whom a training task learns from beside its labels.
public struct TeacherReference: Sendable, Equatable {
    public enum Source: Sendable, Equatable {
        case snapshot(SnapshotReference)
        case model(BlobReference)
        /// The worker's own.
        case own
    }
    public struct Member: Sendable, Equatable {
        public var source: Source
        public var weight: Double
        public var resize: TeacherResize?

        public init(_ source: Source, weight: Double = 1, resize: TeacherResize? = nil) {
            self.source = source
            self.weight = weight
            self.resize = resize
        }
    }
    /// At least one; the logits of several are averaged.
    public var members: [Member]
    public var temperature: Double
    public var alpha: Double
    /// Only with a single teacher; each measure at most once.
    public var features: [FeatureTerm]

    public init(members: [Member], temperature: Double, alpha: Double, features: [FeatureTerm] = []) {
        self.members = members
        self.temperature = temperature
        self.alpha = alpha
        self.features = features
    }

    public init(source: Source, temperature: Double, alpha: Double, features: [FeatureTerm] = []) {
        self.init(members: [Member(source)], temperature: temperature, alpha: alpha, features: features)
    }

    /// Those that are snapshots of the run.
    var snapshots: [SnapshotReference] {
        members.compactMap { if case .snapshot(let reference) = $0.source { reference } else { nil } }
    }

    /// Those that came as files.
    var models: [BlobReference] {
        members.compactMap { if case .model(let blob) = $0.source { blob } else { nil } }
    }
}

/// What the fleet's last training round did, from which a worker corrects its drift (SCAFFOLD): the snapshot it began
/// with, minus the offer's own, over its reach is the fleet's mean gradient.
public struct ControlReference: Sendable, Equatable {
    public var previous: SnapshotReference
    /// Mean of the contributions' `TaskMetrics.reach`, above 0.
    public var reach: Double

    public init(previous: SnapshotReference, reach: Double) {
        self.previous = previous
        self.reach = reach
    }
}

/// The work of one task, with everything that decides its result.
public enum TaskWork: Sendable, Equatable {
    /// `control` is nil where no correction is asked for or the round before is none to compare with; `width` where the whole
    /// model is to be trained.
    case train(
        TrainingRecipe, teacher: TeacherReference?, control: ControlReference? = nil, width: ModelWidth? = nil)
    case score(ScoreRequest, MaskDecision)
    case moments(samples: Int, FactorizableSelection)
    case calibrate(samples: Int, QuantizationScope)
    case inputMoments(samples: Int, QuantizationScope)
    case sensitivity(SensitivityRequest)
    /// `compact` is the file that the float model is compared with.
    case compare(samples: Int, QuantizationScope, compact: BlobReference)
    /// nil samples is all of the worker's test shard; `compact` is the file to evaluate instead of the model, where there is one;
    /// a nil loss is as the data are.
    case evaluate(samples: Int?, compact: BlobReference?, loss: LossKind? = nil)
    case logits(LogitsRequest)

    /// The word in messages, logs and reports.
    public var kind: String {
        switch self {
        case .train: "train"
        case .score: "score"
        case .moments: "moments"
        case .calibrate: "calibrate"
        case .inputMoments: "moments"
        case .sensitivity: "sensitivity"
        case .compare: "compare"
        case .evaluate: "evaluate"
        case .logits: "logits"
        }
    }

    /// Snapshots besides the offer's own that the task reads.
    public var snapshots: [SnapshotReference] {
        guard case .train(_, let teacher, let control, _) = self else { return [] }
        var references = teacher?.snapshots ?? []
        if let control { references.append(control.previous) }
        return references
    }

    /// Blobs besides snapshots that the task reads.
    public var blobs: [BlobReference] {
        switch self {
        case .train(let recipe, let teacher, _, let width):
            (teacher?.models ?? []) + [width?.change, recipe.ensemble?.consensus].compactMap(\.self)
        case .compare(_, _, let compact), .evaluate(_, let compact?, _): [compact]
        case .score, .moments, .calibrate, .inputMoments, .sensitivity, .evaluate(_, nil, _), .logits: []
        }
    }

    /// The narrower model that is to be trained; nil for the whole one and for other tasks.
    public var width: ModelWidth? { if case .train(_, _, _, let width) = self { width } else { nil } }

    /// Whether the result has a blob (else metrics only).
    public var yieldsBlob: Bool { if case .evaluate = self { false } else { true } }
}

/// What a coordinator asks of one worker in one round. At most one contribution per worker and round is ever counted,
/// so the pair (round, worker) names the task.
public struct TaskOffer: Sendable, Equatable {
    public var round: Int
    public var leaseSeconds: Double
    public var seed: UInt64
    public var snapshot: SnapshotReference
    public var scheme: WireScheme
    /// Newest accepted round of this worker plus one: tells it whether its pending residual stands.
    public var acceptedRounds: Int
    /// Snapshots, and in ensembles the teacher, that later tasks will name: the worker keeps them.
    public var retain: [Digest]
    /// All changes of the run so far after which what workers keep must be adapted, the oldest first; what a worker keeps
    /// says how many of them it has seen.
    public var changes: [KeptChange]
    public var work: TaskWork

    public init(
        round: Int, leaseSeconds: Double, seed: UInt64, snapshot: SnapshotReference, scheme: WireScheme,
        acceptedRounds: Int, retain: [Digest] = [], changes: [KeptChange] = [], work: TaskWork
    ) {
        self.round = round
        self.leaseSeconds = leaseSeconds
        self.seed = seed
        self.snapshot = snapshot
        self.scheme = scheme
        self.acceptedRounds = acceptedRounds
        self.retain = retain
        self.changes = changes
        self.work = work
    }
}
