// What a `quantize` stage is: which file, how its weights are rounded, what the fleet measures for it, and how it trains.

/// Which way weights are rounded (`Compression.RoundingMethod`).
public enum RoundingKind: String, Sendable, Equatable, CaseIterable {
    case nearest
    case adaround
    case gptq
}

/// What codes of weights stand for (`Compression.WeightScheme.Levels`).
public enum LevelsKind: UInt8, Sendable, Equatable, CaseIterable {
    // Raw values are on the wire; never renumber them.
    case uniform = 0
    case kmeans = 1
    case powersOfTwo = 2
    case quantiles = 3
}

/// How a weight's scale is chosen (`Compression.WeightScheme.Range`).
public enum WeightRangeKind: UInt8, Sendable, Equatable, CaseIterable {
    // Raw values are on the wire; never renumber them.
    case minMax = 1
    case leastSquares = 2
}

/// Which weights share a scale (`Compression.WeightScheme.Granularity`).
public enum ScaleSharing: Sendable, Equatable {
    case tensor
    case channel
    /// Runs of so many inputs of one output.
    case block(Int)
}

/// How weights become integers; nil is what suits the target and the number of bits (`Shell.QuantizeWords`).
public struct WeightRules: Sendable, Equatable {
    /// 2 to 8.
    public var bits: Int?
    public var levels: LevelsKind
    public var sharing: ScaleSharing?
    public var range: WeightRangeKind?
    public var isSymmetric: Bool
    public var hasPowerOfTwoScales: Bool

    public init(
        bits: Int? = nil, levels: LevelsKind = .uniform, sharing: ScaleSharing? = nil, range: WeightRangeKind? = nil,
        isSymmetric: Bool = true, hasPowerOfTwoScales: Bool = false
    ) {
        (self.bits, self.levels, self.sharing, self.range) = (bits, levels, sharing, range)
        (self.isSymmetric, self.hasPowerOfTwoScales) = (isSymmetric, hasPowerOfTwoScales)
    }
}

/// How many bits weights have.
public enum BitAmount: Sendable, Equatable {
    /// All those of the rules.
    case same
    /// Budgets, within which each layer gets what it needs.
    case averageBits(Double)
    case bytes(Int)
    /// Multiply-accumulates x bits of the weight x bits of the value, of one sample.
    case bitOperations(Double)
    /// Of one sample in ONNX Runtime, one thread: which layers become integers and which stay float32.
    case milliseconds(Double)
}

/// What decides which graph a worker measures and which values and weights of it: all that it must know of the rules.
public struct QuantizationScope: Sendable, Equatable {
    public var target: ExportTarget
    /// Whether channels of neighbouring layers are brought to one range first.
    public var equalizes: Bool
    /// Weights or nodes that stay float.
    public var excluded: [String]

    public init(target: ExportTarget = .x86, equalizes: Bool = false, excluded: [String] = []) {
        (self.target, self.equalizes, self.excluded) = (target, equalizes, excluded)
    }
}

/// What the quantized file depends on besides the model and what the fleet has measured.
public struct QuantizeRules: Sendable, Equatable {
    public var scope: QuantizationScope
    public var weights: WeightRules
    public var amount: BitAmount
    /// The numbers of bits that a budget chooses from, ascending.
    public var candidates: [Int]
    public var rounding: RoundingKind
    public var correctsBiases: Bool
    public var method: CalibrationMethodKind
    /// For `percentile`, 50 to 100.
    public var percentile: Double
    public var opset: Int
    /// Whether weights below 8 bits lie packed in the file.
    public var packs: Bool

    public init(
        scope: QuantizationScope = QuantizationScope(), weights: WeightRules = WeightRules(), amount: BitAmount = .same,
        candidates: [Int] = [2, 3, 4, 5, 6, 8], rounding: RoundingKind = .nearest, correctsBiases: Bool = true,
        method: CalibrationMethodKind = .percentile, percentile: Double = 99.999, opset: Int = 17, packs: Bool = true
    ) {
        (self.scope, self.weights, self.amount, self.candidates) = (scope, weights, amount, candidates)
        (self.rounding, self.correctsBiases, self.method) = (rounding, correctsBiases, method)
        (self.percentile, self.opset, self.packs) = (percentile, opset, packs)
    }
}

extension QuantizeRules {
    /// The most bits that a weight can have: levels of a codebook become int8, which holds 128 of them and 15 powers of two.
    public var mostBits: Int {
        switch weights.levels {
        case .uniform: scope.target.mostBits
        case .kmeans, .quantiles: min(7, scope.target.mostBits)
        case .powersOfTwo: min(4, scope.target.mostBits)
        }
    }
}

/// `quantize`: what the fleet measures, training with simulated rounding if the stage has rounds, the file, and what is given up
/// of it if it costs too much.
public struct QuantizePlan: Sendable, Equatable {
    public var rules: QuantizeRules
    /// Samples each worker runs for histograms and moments, for sensitivities, and for the comparison at the end (0: none).
    public var samples: Int
    public var sensitivitySamples: Int
    public var comparedSamples: Int
    /// Of quantization-aware training.
    public var rounds: Int
    public var recipe: TrainingRecipe
    public var server: ServerOptimizer
    public var teacher: TeacherPlan?
    /// The share of the rounds after which batch norms keep their statistics, 0 to 1.
    public var frozenStatistics: Double
    /// Whether batch norms' statistics are measured anew behind rounded weights.
    public var reestimates: Bool
    /// Percentage points of accuracy that may be lost; nil is any.
    public var maximumDrop: Double?

    public init(
        rules: QuantizeRules = QuantizeRules(), samples: Int = 1024, sensitivitySamples: Int = 256,
        comparedSamples: Int = 256, rounds: Int = 0, recipe: TrainingRecipe = TrainingRecipe(),
        server: ServerOptimizer = ServerOptimizer(), teacher: TeacherPlan? = nil, frozenStatistics: Double = 0.5,
        reestimates: Bool = false, maximumDrop: Double? = nil
    ) {
        (self.rules, self.samples, self.sensitivitySamples) = (rules, samples, sensitivitySamples)
        (self.comparedSamples, self.rounds, self.recipe, self.server) = (comparedSamples, rounds, recipe, server)
        (self.teacher, self.frozenStatistics, self.reestimates) = (teacher, frozenStatistics, reestimates)
        self.maximumDrop = maximumDrop
    }
}

extension QuantizePlan {
    /// Whether the graph is trained, or its statistics measured, with rounding simulated.
    public var isSimulated: Bool { rounds > 0 || reestimates }
}

/// What the fleet has measured for a file, as blobs in the ledger.
public struct QuantizationEvidenceBlobs: Sendable, Equatable, Codable {
    /// Histograms (`Compression.CalibrationSet`).
    public var calibration: BlobReference?
    /// Second moments of what layers multiply (`Compression.MomentSet`).
    public var moments: BlobReference?
    /// A table by layer and bits (safetensors, one tensor `sensitivities`).
    public var sensitivities: BlobReference?

    public init(
        calibration: BlobReference? = nil, moments: BlobReference? = nil, sensitivities: BlobReference? = nil
    ) {
        (self.calibration, self.moments, self.sensitivities) = (calibration, moments, sensitivities)
    }

    /// With what a step has found besides.
    public func adding(_ found: QuantizationEvidenceBlobs) -> QuantizationEvidenceBlobs {
        QuantizationEvidenceBlobs(
            calibration: found.calibration ?? calibration, moments: found.moments ?? moments,
            sensitivities: found.sensitivities ?? sensitivities)
    }

    public var digests: [Digest] { [calibration, moments, sensitivities].compactMap { $0?.digest } }
}

/// What one attempt at a file is made from.
public struct QuantizeDecision: Sendable, Equatable {
    public var rules: QuantizeRules
    public var evidence: QuantizationEvidenceBlobs
    /// How many layers' bits are given up, those that cost most first; beyond all of them the file is the float32 model that the
    /// stage began with.
    public var retreats: Int
    /// Whether the model's rounding was simulated: its steps count, and the evidence is of the model before.
    public var isSimulated: Bool

    public init(
        rules: QuantizeRules, evidence: QuantizationEvidenceBlobs = QuantizationEvidenceBlobs(), retreats: Int = 0,
        isSimulated: Bool = false
    ) {
        (self.rules, self.evidence, self.retreats, self.isSimulated) = (rules, evidence, retreats, isSimulated)
    }
}

/// What measuring sensitivities asks of a worker.
public struct SensitivityRequest: Sendable, Equatable {
    public var samples: Int
    public var scope: QuantizationScope
    public var weights: WeightRules
    /// Ascending, 2 to 8.
    public var bits: [Int]

    public init(samples: Int, scope: QuantizationScope, weights: WeightRules, bits: [Int]) {
        (self.samples, self.scope, self.weights, self.bits) = (samples, scope, weights, bits)
    }
}

/// What a file became.
public struct QuantizationFacts: Sendable, Equatable, Codable {
    public var target: String
    /// Of all quantized weights; nil where none is.
    public var averageBits: Double?
    /// How many weights are quantized.
    public var layers: Int
    /// Layers whose bits were given up, and what they have instead.
    public var givenUp: [String]
    /// Whether more could be given up.
    public var canRetreat: Bool
    /// What a user should know: too few samples, values that are constant.
    public var remarks: [String]
    /// Nodes that the target's runtime is predicted to compute in float32, with the reason.
    public var floatNodes: [String]
    /// Share of multiply-accumulates in integer kernels.
    public var integerShare: Double?
    /// JSON of `Compression.LayerExplanation`s, the worst first.
    public var explanation: BlobReference?

    /// Names that a record holds at most, and characters of each.
    public static let listed = 64
    public static let nameLength = 200

    public init(
        target: String, averageBits: Double? = nil, layers: Int, givenUp: [String] = [], canRetreat: Bool = false,
        remarks: [String] = [], floatNodes: [String] = [], integerShare: Double? = nil,
        explanation: BlobReference? = nil
    ) {
        func listed(_ names: [String]) -> [String] {
            names.prefix(Self.listed).map { String($0.prefix(Self.nameLength)) }
        }
        (self.target, self.averageBits, self.layers, self.canRetreat) = (target, averageBits, layers, canRetreat)
        (self.givenUp, self.remarks, self.floatNodes) = (listed(givenUp), listed(remarks), listed(floatNodes))
        (self.integerShare, self.explanation) = (integerShare, explanation)
    }
}
