import Federation
import Foundation

/// The closing figures of a run, as `out/report.json` holds them. Fractions are 0 to 1, sizes bytes, times seconds; what
/// was not measured is null, never missing.
public struct Report: Sendable, Equatable, Codable {
    /// The same figures for one stage; `bytesBefore` and `bytesAfter` are of the file that its model is delivered as.
    public struct Stage: Sendable, Equatable, Codable {
        public var kind: String
        public var accuracyBefore: Double?
        public var accuracyAfter: Double?
        public var bytesBefore: Int
        public var bytesAfter: Int
        public var sparsity: Double
        public var wireBytesUp: Int
        public var wireBytesDown: Int
        public var wireBytesFloat32: Int
        public var rounds: Int
        public var seconds: Double
        /// Numbers that training changes, and multiply-accumulates of one sample.
        public var parametersBefore: Int?
        public var parametersAfter: Int?
        public var macsBefore: Int?
        public var macsAfter: Int?
        /// Of one sample in ONNX Runtime, one thread, median.
        public var millisecondsBefore: Double?
        public var millisecondsAfter: Double?
        /// `running` or `finished`; nil, as all that follows, in files of earlier versions.
        public var state: String?
        /// Of the newest round that had one.
        public var loss: Double?
        /// Contributions that counted, and that were refused.
        public var contributions: Int?
        public var refusals: Int?
        /// What the plan says of it, and what came of it, in words.
        public var settings: [String]?
        public var facts: [String]?

        public init(
            kind: String, accuracyBefore: Double?, accuracyAfter: Double?, bytesBefore: Int, bytesAfter: Int,
            sparsity: Double, wireBytesUp: Int, wireBytesDown: Int, wireBytesFloat32: Int, rounds: Int, seconds: Double
        ) {
            self.kind = kind
            self.accuracyBefore = accuracyBefore
            self.accuracyAfter = accuracyAfter
            self.bytesBefore = bytesBefore
            self.bytesAfter = bytesAfter
            self.sparsity = sparsity
            self.wireBytesUp = wireBytesUp
            self.wireBytesDown = wireBytesDown
            self.wireBytesFloat32 = wireBytesFloat32
            self.rounds = rounds
            self.seconds = seconds
        }
    }

    /// What one round moved, and how large the model was that it worked on.
    public struct Round: Sendable, Equatable, Codable {
        public var round: Int
        public var stage: Int
        public var task: String
        public var wireBytesUp: Int
        public var wireBytesDown: Int
        public var parameters: Int?
        /// Share of prunable weights that were masked.
        public var sparsity: Double
        /// Share of positions that the delta carries which the round ended with.
        public var density: Double?
        /// What averaging float32 weights would have moved; nil, as all that follows, in files of earlier versions.
        public var wireBytesFloat32: Int?
        public var seconds: Double?
        /// Mean training loss, or test loss of an evaluation.
        public var loss: Double?
        public var accuracy: Double?
        public var contributions: Int?
        public var refusals: Int?

        public init(
            round: Int, stage: Int, task: String, wireBytesUp: Int, wireBytesDown: Int, parameters: Int?,
            sparsity: Double, density: Double?
        ) {
            self.round = round
            self.stage = stage
            self.task = task
            self.wireBytesUp = wireBytesUp
            self.wireBytesDown = wireBytesDown
            self.parameters = parameters
            self.sparsity = sparsity
            self.density = density
        }
    }

    public var run: String
    public var plan: String
    public var accuracyBefore: Double?
    public var accuracyAfter: Double?
    /// The float32 ONNX file the run began with.
    public var bytesBefore: Int
    /// The exported file.
    public var bytesAfter: Int
    /// Share of prunable weights that are masked.
    public var sparsity: Double
    public var wireBytesUp: Int
    public var wireBytesDown: Int
    /// What averaging float32 weights would have moved in the same rounds, both directions.
    public var wireBytesFloat32: Int
    public var rounds: Int
    public var seconds: Double
    /// Contributions that were refused.
    public var refused: Int
    public var stages: [Stage]
    /// As in a stage: of the model the run began with, and of the exported one.
    public var parametersBefore: Int?
    public var parametersAfter: Int?
    public var macsBefore: Int?
    public var macsAfter: Int?
    public var millisecondsBefore: Double?
    public var millisecondsAfter: Double?
    /// What measured the milliseconds, and its version; nil when nothing did.
    public var runtime: String?
    public var runtimeVersion: String?
    /// Why milliseconds are missing, of some models or of all.
    public var notMeasured: String?
    /// The newest rounds, oldest first.
    public var roundDetails: [Round] = []
    /// What the exported file is, where a `quantize` stage made it.
    public var quantization: Quantization?
    /// Its layers, the worst first.
    public var layers: [Layer] = []
    /// `running`, `stopped` or `finished`; nil, as all that follows, in files of earlier versions.
    public var state: String?
    public var stagesPlanned: Int?
    /// Of the first record of the ledger, and of the end of the newest stage or, while the run goes on, of the newest
    /// record: ISO 8601, UTC.
    public var startedAt: String?
    public var endedAt: String?
    /// What the run follows from.
    public var origin: Origin?
    /// The model's weights as they began and as they are, in its order; at most `tensorLimit`.
    public var tensors: [Tensor] = []
    /// Those with most contributions first; at most `workerLimit`.
    public var workers: [Worker] = []
    /// How many workers there were.
    public var workersTotal: Int?
    /// How often contributions were refused for which kind of reason, and the last few, the newest first.
    public var refusals: [RunCourse.Refusals] = []
    public var newestRefusals: [RefusalLog.Entry] = []
    /// What lies beside the report.
    public var files: [File] = []

    /// Entries of lists that a report holds at most.
    public static let tensorLimit = 2000
    public static let workerLimit = 1000

    public init(
        run: String, plan: String, accuracyBefore: Double?, accuracyAfter: Double?, bytesBefore: Int, bytesAfter: Int,
        sparsity: Double, wireBytesUp: Int, wireBytesDown: Int, wireBytesFloat32: Int, rounds: Int, seconds: Double,
        refused: Int, stages: [Stage]
    ) {
        self.run = run
        self.plan = plan
        self.accuracyBefore = accuracyBefore
        self.accuracyAfter = accuracyAfter
        self.bytesBefore = bytesBefore
        self.bytesAfter = bytesAfter
        self.sparsity = sparsity
        self.wireBytesUp = wireBytesUp
        self.wireBytesDown = wireBytesDown
        self.wireBytesFloat32 = wireBytesFloat32
        self.rounds = rounds
        self.seconds = seconds
        self.refused = refused
        self.stages = stages
    }
}
