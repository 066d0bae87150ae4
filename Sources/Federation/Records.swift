/// Facts about one version of the shared model, as the ledger keeps them.
public struct SnapshotFacts: Sendable, Equatable, Codable {
    public var version: Int
    /// The whole snapshot (`Snapshot.serialized`).
    public var snapshot: BlobReference
    public var graph: BlobReference
    public var maskEpoch: UInt32
    /// Share of prunable weights that are masked.
    public var sparsity: Double
    public var size: ModelSize
    /// Whether nothing holds for it that anybody keeps of earlier weights: they were put back to earlier values, or layers
    /// became others.
    public var isFresh: Bool
    /// How to get here from the version before; nil for the first.
    public var delta: DeltaReference?
    /// What the downlink's compression left out so far.
    public var residual: BlobReference?
    public var recipe: Recipe?
    /// What the server's optimizer takes up in the next round of the stage.
    public var moments: ServerMoments?

    public init(
        version: Int, snapshot: BlobReference, graph: BlobReference, maskEpoch: UInt32, sparsity: Double,
        size: ModelSize, isFresh: Bool = false, delta: DeltaReference? = nil, residual: BlobReference? = nil,
        recipe: Recipe? = nil,
        moments: ServerMoments? = nil
    ) {
        self.version = version
        self.snapshot = snapshot
        self.graph = graph
        self.maskEpoch = maskEpoch
        self.sparsity = sparsity
        self.size = size
        self.isFresh = isFresh
        self.delta = delta
        self.residual = residual
        self.recipe = recipe
        self.moments = moments
    }

    private enum CodingKeys: String, CodingKey {
        case version, snapshot, graph, maskEpoch, sparsity, size
        // The name in ledgers.
        case isFresh = "isRewound"
        case delta, residual, recipe, moments
    }

    /// Blobs that only the next step needs.
    var working: [Digest] { [residual?.digest, moments?.first.digest, moments?.second?.digest].compactMap(\.self) }
}

/// The state of a server optimizer: float32 tensors by the names of the trainable parameters.
public struct ServerMoments: Sendable, Equatable, Codable {
    public var first: BlobReference
    /// Of adaptive optimizers only.
    public var second: BlobReference?

    public init(first: BlobReference, second: BlobReference? = nil) {
        self.first = first
        self.second = second
    }
}

/// One worker's accepted result. (round, worker) is its identity.
public struct ContributionFacts: Sendable, Equatable, Codable {
    /// The round whose task it is the result of.
    public var round: Int
    public var worker: String
    public var submission: Submission
    /// The snapshot it was made for.
    public var base: Digest
    /// The round it counts in: `round`, or a later one when rounds are asynchronous.
    public var countedIn: Int
    /// How much it counts in the fold.
    public var weight: UInt32
    /// What it would count if it were not stale; the fold is divided by the sum of these.
    public var fullWeight: UInt32
    /// Share of the channels of the model it is an update of.
    public var width: Double { submission.width ?? 1 }

    public init(
        round: Int, worker: String, submission: Submission, base: Digest, countedIn: Int? = nil, weight: UInt32,
        fullWeight: UInt32? = nil
    ) {
        self.round = round
        self.worker = worker
        self.submission = submission
        self.base = base
        self.countedIn = countedIn ?? round
        self.weight = weight
        self.fullWeight = fullWeight ?? weight
    }
}

/// What a finished step tells its stage, and what reports show of it.
public struct StepOutcome: Sendable, Equatable, Codable {
    /// Mean training loss, or test loss of an evaluation.
    public var loss: Double?
    /// Test accuracy, 0 to 1, of an evaluation.
    public var accuracy: Double?
    public var sparsity: Double
    /// The compact file that the step has written.
    public var compact: BlobReference?
    /// Norm of what the downlink still owes, and share and bits of what it sent.
    public var residualNorm: Double?
    public var density: Double?
    public var bitsPerWeight: Double?
    public var foldSeconds: Double?
    /// Of a decision that removes structure.
    public var units: PrunedUnits?
    /// Of a decision by `stability`: the median over weights of |E[g]| over std[g].
    public var signalToNoise: Double?
    /// The narrower models of the rounds that follow, the widest first.
    public var widths: [ModelWidth]?
    /// Of a factorization.
    public var factorization: FactorizationFacts?
    /// What the fleet has measured for the compact file.
    public var evidence: QuantizationEvidenceBlobs?
    /// Of the compact file, when it was written and when its layers were compared.
    public var quantization: QuantizationFacts?
    /// What the fleet says of the public set: a container of kind logits.
    public var consensus: BlobReference?

    public init(
        loss: Double? = nil, accuracy: Double? = nil, sparsity: Double = 0, compact: BlobReference? = nil,
        residualNorm: Double? = nil, density: Double? = nil, bitsPerWeight: Double? = nil, foldSeconds: Double? = nil,
        widths: [ModelWidth]? = nil, consensus: BlobReference? = nil
    ) {
        self.loss = loss
        self.accuracy = accuracy
        self.sparsity = sparsity
        self.compact = compact
        self.residualNorm = residualNorm
        self.density = density
        self.bitsPerWeight = bitsPerWeight
        self.foldSeconds = foldSeconds
        self.widths = widths
        self.consensus = consensus
    }

    private enum CodingKeys: String, CodingKey {
        case loss, accuracy, sparsity
        // `compact` said in earlier ledgers how workers rebuild the file.
        case compact = "compactFile"
        case residualNorm, density, bitsPerWeight, foldSeconds, units, signalToNoise, widths, factorization, evidence
        case quantization, consensus
    }
}

/// What a factorization made of the model.
public struct FactorizationFacts: Sendable, Equatable, Codable {
    /// Layers that became products; 0 where nothing would have saved anything, and the model is as it was.
    public var layers: Int
    /// How many of them were decomposed as their data see them.
    public var dataAware: Int
    public var before: ModelSize
    public var after: ModelSize
    /// Weight, method and rank of each, at most `listed` of them.
    public var ranks: [String]
    /// Weights that stay because a mask has killed some of their elements, at most `listed` of them.
    public var masked: [String]

    /// Names that a record holds at most, and the bytes of one.
    public static let listed = 64

    public init(
        layers: Int, dataAware: Int, before: ModelSize, after: ModelSize, ranks: [String], masked: [String] = []
    ) {
        (self.layers, self.dataAware, self.before, self.after) = (layers, dataAware, before, after)
        (self.ranks, self.masked) = (Array(ranks.prefix(Self.listed)), Array(masked.prefix(Self.listed)))
    }
}

/// A narrower version of the shared model that some workers train.
public struct ModelWidth: Sendable, Equatable, Codable {
    /// Of each group's channels that it has, above 0 and below 1.
    public var share: Double
    /// What it has not: a `StructureChange` of the snapshot's graph. Only its slices count: nothing is absorbed.
    public var change: BlobReference

    public init(share: Double, change: BlobReference) {
        self.share = share
        self.change = change
    }
}

/// What one step moved over the network and what float32 averaging would have moved.
public struct StepTraffic: Sendable, Equatable, Codable {
    public var wireBytesUp: Int
    public var wireBytesDown: Int
    /// Zero for steps in which no weights are averaged.
    public var float32BytesUp: Int
    public var float32BytesDown: Int

    public init(wireBytesUp: Int = 0, wireBytesDown: Int = 0, float32BytesUp: Int = 0, float32BytesDown: Int = 0) {
        self.wireBytesUp = wireBytesUp
        self.wireBytesDown = wireBytesDown
        self.float32BytesUp = float32BytesUp
        self.float32BytesDown = float32BytesDown
    }

    public static func + (a: StepTraffic, b: StepTraffic) -> StepTraffic {
        StepTraffic(
            wireBytesUp: a.wireBytesUp + b.wireBytesUp, wireBytesDown: a.wireBytesDown + b.wireBytesDown,
            float32BytesUp: a.float32BytesUp + b.float32BytesUp,
            float32BytesDown: a.float32BytesDown + b.float32BytesDown)
    }
}

/// A durable fact of a run. The ledger is the list of them; replaying it rebuilds the `CoordinatorMachine`.
public enum LedgerRecord: Sendable, Equatable, Codable {
    /// `teachers` are the teacher files of the plan, by path, as they were when the run began.
    case runStarted(run: String, plan: String, model: ModelFacts, teachers: [String: BlobReference])
    case snapshotPublished(SnapshotFacts)
    case roundOpened(round: Int, stage: Int, task: String)
    case contributionAccepted(ContributionFacts)
    case contributionRefused(round: Int, worker: String, reason: String)
    /// A round or a transform is over; `snapshot` when it made a new one.
    case stepFinished(
        round: Int?, stage: Int, outcome: StepOutcome, snapshot: SnapshotFacts?, traffic: StepTraffic, seconds: Double)
    case stageFinished(stage: Int, seconds: Double)
    case exported(ExportFacts)
    case runFinished(seconds: Double)
    /// The public set of the first worker that was let in: all others must have the same.
    case publicSetNamed(PublicSetFacts)

    /// The word in the ledger's `kind` column.
    public var kind: String {
        switch self {
        case .runStarted: "runStarted"
        case .snapshotPublished: "snapshotPublished"
        case .roundOpened: "roundOpened"
        case .contributionAccepted: "contributionAccepted"
        case .contributionRefused: "contributionRefused"
        case .stepFinished: "stepFinished"
        case .stageFinished: "stageFinished"
        case .exported: "exported"
        case .runFinished: "runFinished"
        case .publicSetNamed: "publicSetNamed"
        }
    }

    /// The round the record belongs to, if any.
    public var round: Int? {
        switch self {
        case .roundOpened(let round, _, _), .contributionRefused(let round, _, _): round
        case .contributionAccepted(let facts): facts.countedIn
        case .stepFinished(let round, _, _, _, _, _): round
        case .runStarted, .snapshotPublished, .stageFinished, .exported, .runFinished: nil
        case .publicSetNamed: nil
        }
    }
}

/// The model as it was when the run began.
public struct ModelFacts: Sendable, Equatable, Codable {
    /// Where it came from, for people.
    public var source: String
    /// Elements of all parameters.
    public var parameters: Int
    /// Bytes of the float32 ONNX file.
    public var bytes: Int
    /// Extents of one sample as the model declares them; nil stands for an axis that may vary.
    public var sampleShape: [Int?]
    public var classes: Int?

    public init(source: String, parameters: Int, bytes: Int, sampleShape: [Int?], classes: Int?) {
        self.source = source
        self.parameters = parameters
        self.bytes = bytes
        self.sampleShape = sampleShape
        self.classes = classes
    }
}

/// A finished export.
public struct ExportFacts: Sendable, Equatable, Codable {
    public var target: String
    public var path: String
    public var byteCount: Int

    public init(target: String, path: String, byteCount: Int) {
        self.target = target
        self.path = path
        self.byteCount = byteCount
    }
}
