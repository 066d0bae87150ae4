import UpdateCodec

/// A run as its user wrote it: what to compress, with whom, over which wire, in which stages. See `protocols/plan.md`.
public struct Plan: Sendable, Equatable {
    public var name: String
    public var seed: UInt64
    public var model: ModelSource
    /// Of every so many layers in a row the first stays of the model that a run begins with; nil keeps all.
    public var keepEvery: Int?
    /// The data SPEC that `pleach run` hands to its workers (a shard is added); workers started by hand bring their own.
    public var data: String?
    /// The public set's SPEC that `pleach run` hands to its workers, where a stage has an ensemble.
    public var publicData: String?
    public var fleet: FleetRules
    public var wire: WireRules
    public var limits: PlanLimits
    public var stages: [StagePlan]
    public var export: ExportPlan

    public init(
        name: String, seed: UInt64 = 0, model: ModelSource, keepEvery: Int? = nil, data: String? = nil,
        publicData: String? = nil, fleet: FleetRules = FleetRules(), wire: WireRules = WireRules(),
        limits: PlanLimits = PlanLimits(), stages: [StagePlan], export: ExportPlan
    ) {
        self.name = name
        self.seed = seed
        self.model = model
        self.keepEvery = keepEvery
        self.data = data
        self.publicData = publicData
        self.fleet = fleet
        self.wire = wire
        self.limits = limits
        self.stages = stages
        self.export = export
    }
}

/// Where the model to compress comes from.
public enum ModelSource: Sendable, Equatable {
    /// A bundled architecture, built from the plan's seed: it costs no bytes on the wire.
    case architecture(name: String, options: ArchitectureOptions)
    /// An ONNX file on the coordinator.
    case file(String)
}

/// Parameters of a bundled architecture; nil means the architecture's own default.
public struct ArchitectureOptions: Sendable, Equatable {
    /// Channels, height, width; or a single extent for `mlp`.
    public var inputShape: [Int]?
    public var classes: Int?
    public var width: Int?

    public init(inputShape: [Int]? = nil, classes: Int? = nil, width: Int? = nil) {
        self.inputShape = inputShape
        self.classes = classes
        self.width = width
    }
}

/// How training rounds are closed.
public enum RoundMode: String, Sendable, Equatable, CaseIterable {
    /// Every contribution is made for the snapshot of its own round.
    case synchronous
    /// Contributions count in whichever training round is open when they come, weighted by their staleness
    /// (FedBuff: Nguyen et al. 2022, algorithm 1).
    case asynchronous
}

/// Who takes part in a round and how long the coordinator waits.
public struct FleetRules: Sendable, Equatable {
    /// What `workers` may be, in a plan and beside it.
    public static let workerCounts = 1...1024

    /// Contributions wanted in each round.
    public var workers: Int
    /// Contributions that suffice at the deadline; at most `workers`.
    public var quorum: Int
    /// Workers asked beyond `workers`: the first `workers` contributions win (Bonawitz et al. 2019, section 2.2).
    public var overSelect: Int
    public var rounds: RoundMode
    /// Contributions that close an asynchronous training round; at most `workers`.
    public var buffer: Int
    /// Snapshots by which an asynchronous contribution may be behind.
    public var maximumStaleness: Int
    /// A round with its quorum closes at this age at the latest; a task this old may be given to another worker too.
    public var deadlineSeconds: Double
    /// How long a round may lack its quorum (or the run its workers) before the run gives up, resumable.
    public var waitSeconds: Double
    /// A task whose worker is silent this long is lost.
    public var leaseSeconds: Double
    public var heartbeatSeconds: Double
    /// libtorch threads per worker that `pleach run` starts.
    public var threads: Int
    /// Shares of each group's channels that workers train in training rounds, from 1 down: the whole model and narrower ones
    /// within it (HeteroFL: Diao et al. 2021).
    public var widths: [Double]
    /// How strong the workers that `pleach run` starts are, in their order; repeated if there are more workers.
    public var strengths: [Double]
    /// Whose models the workers that `pleach run` starts bring to an ensemble, in their order; repeated if there are more.
    public var students: [StudentSource]
    /// The ONNX files that `pleach run` hands to its workers as teachers of their own, in their order; repeated if there are
    /// more workers.
    public var teachers: [String]

    public init(
        workers: Int = 2, quorum: Int? = nil, overSelect: Int = 0, rounds: RoundMode = .synchronous,
        buffer: Int? = nil, maximumStaleness: Int = 10, deadlineSeconds: Double = 600, waitSeconds: Double = 120,
        leaseSeconds: Double = 30, heartbeatSeconds: Double = 5, threads: Int = 1, widths: [Double] = [1],
        strengths: [Double] = [1], students: [StudentSource] = [.shared], teachers: [String] = []
    ) {
        self.workers = workers
        self.quorum = quorum ?? workers
        self.overSelect = overSelect
        self.rounds = rounds
        self.buffer = buffer ?? (workers + 1) / 2
        self.maximumStaleness = maximumStaleness
        self.deadlineSeconds = deadlineSeconds
        self.waitSeconds = waitSeconds
        self.leaseSeconds = leaseSeconds
        self.heartbeatSeconds = heartbeatSeconds
        self.threads = threads
        self.widths = widths
        self.strengths = strengths
        self.students = students
        self.teachers = teachers
    }
}

extension FleetRules {
    /// Whether some train narrower models than others.
    public var hasWidths: Bool { widths.count > 1 }

    /// What a worker of this strength trains: the largest width that it can, or the smallest.
    public func width(ofStrength strength: Double) -> Double {
        widths.filter { $0 <= strength }.max() ?? widths.min() ?? 1
    }

    /// Of a worker that `pleach run` starts.
    /// - Parameter index: of the worker, from 0.
    public func strength(ofWorker index: Int) -> Double { strengths.isEmpty ? 1 : strengths[index % strengths.count] }

    /// The teacher of a worker that `pleach run` starts.
    /// - Parameter index: of the worker, from 0.
    public func teacher(ofWorker index: Int) -> String? { teachers.isEmpty ? nil : teachers[index % teachers.count] }

    /// Sets another number of workers, one of `workerCounts`. A quorum of everybody stays one of everybody, and a buffer one of half of them.
    public mutating func ask(workers count: Int) {
        if quorum == workers { quorum = count }
        if buffer == (workers + 1) / 2 { buffer = (count + 1) / 2 }
        workers = count
    }
}

/// How updates (up) and snapshot deltas (down) are compressed.
public struct WireRules: Sendable, Equatable {
    public var up: WireScheme
    public var down: WireScheme
    /// A contribution whose L2 norm exceeds this multiple of the snapshot's own norm is refused.
    public var maximumNormRatio: Double

    public init(up: WireScheme = WireScheme(), down: WireScheme = WireScheme(), maximumNormRatio: Double = 10) {
        self.up = up
        self.down = down
        self.maximumNormRatio = maximumNormRatio
    }
}

/// One step of the plan.
public enum StagePlan: Sendable, Equatable {
    case train(TrainPlan)
    case distill(DistillPlan)
    case prune(PrunePlan)
    case factorize(FactorizePlan)
    case quantize(QuantizePlan)
    case evaluate(EvaluatePlan)

    /// The word used in plans, logs and reports.
    public var kind: String {
        switch self {
        case .train: "train"
        case .distill: "distill"
        case .prune: "prune"
        case .factorize: "factorize"
        case .quantize: "quantize"
        case .evaluate: "evaluate"
        }
    }
}

extension StagePlan {
    /// Whom the stage's training rounds learn from.
    public var teacher: TeacherPlan? {
        switch self {
        case .distill(let plan): plan.teacher
        case .prune(let plan): plan.teacher
        case .factorize(let plan): plan.teacher
        case .train(let plan): plan.teacher
        case .quantize(let plan): plan.teacher
        case .evaluate: nil
        }
    }
}

/// `train`: federated averaging.
public struct TrainPlan: Sendable, Equatable {
    public var rounds: Int
    public var recipe: TrainingRecipe
    public var server: ServerOptimizer
    public var teacher: TeacherPlan?

    public init(
        rounds: Int = 5, recipe: TrainingRecipe = TrainingRecipe(), server: ServerOptimizer = ServerOptimizer(),
        teacher: TeacherPlan? = nil
    ) {
        self.rounds = rounds
        self.recipe = recipe
        self.server = server
        self.teacher = teacher
    }
}

/// `distill`: training with a teacher beside the labels, with what the fleet says together of a public set, or both.
public struct DistillPlan: Sendable, Equatable {
    public var rounds: Int
    public var recipe: TrainingRecipe
    public var server: ServerOptimizer
    public var teacher: TeacherPlan?
    public var ensemble: EnsemblePlan?

    public init(
        rounds: Int = 5, recipe: TrainingRecipe = TrainingRecipe(), server: ServerOptimizer = ServerOptimizer(),
        teacher: TeacherPlan? = nil, ensemble: EnsemblePlan? = nil
    ) {
        self.rounds = rounds
        self.recipe = recipe
        self.server = server
        self.teacher = teacher
        self.ensemble = ensemble
    }
}

public enum CalibrationMethodKind: String, Sendable, Equatable, CaseIterable {
    case minMax
    case percentile
    case entropy
    case mse
}

/// `evaluate`: the fleet measures the current snapshot on its test shards.
public struct EvaluatePlan: Sendable, Equatable {
    /// At most this many samples per worker; nil is all.
    public var samples: Int?

    public init(samples: Int? = nil) { self.samples = samples }
}
