/// What a file is made for. Raw values are those of `ModelGraph.DeploymentTarget`.
public enum ExportTarget: String, Sendable, Equatable, CaseIterable {
    /// Plain float32, BatchNormalization folded.
    case float32
    /// uint8 values, int8 weights a channel, QDQ.
    case x86
    /// The same with weights of 7 bits, for CPUs without VNNI.
    case x86NoVNNI = "x86-no-vnni"
    /// int8 values and weights.
    case arm
    /// int8 with zero points 0, QDQ at the inputs of convolutions and products alone.
    case tensorrt
    /// Weights alone, 4 bits in blocks.
    case int4
    /// Weights alone, 8 bits a channel.
    case int8Weights = "int8-weights"
    /// int8 weights; values are quantized as they come.
    case dynamic
    case float16
    case bfloat16
}

extension ExportTarget {
    /// Whether a `quantize` stage makes its file.
    public var hasIntegerWeights: Bool {
        switch self {
        case .x86, .x86NoVNNI, .arm, .tensorrt, .int4, .int8Weights, .dynamic: true
        case .float32, .float16, .bfloat16: false
        }
    }

    /// Whether values need ranges from data.
    public var needsCalibration: Bool {
        switch self {
        case .x86, .x86NoVNNI, .arm, .tensorrt: true
        case .float32, .int4, .int8Weights, .dynamic, .float16, .bfloat16: false
        }
    }

    /// The most bits that a weight can have.
    public var mostBits: Int {
        switch self {
        case .x86NoVNNI: 7
        case .int4: 4
        case .float32, .x86, .arm, .tensorrt, .int8Weights, .dynamic, .float16, .bfloat16: 8
        }
    }

    /// The oldest opset that can say it.
    public var leastOpset: Int {
        switch self {
        case .int4: 21
        case .bfloat16: 22
        case .float32, .x86, .x86NoVNNI, .arm, .tensorrt, .int8Weights, .dynamic, .float16: 13
        }
    }

    /// What a plan gets that names none.
    public var defaultOpset: Int { max(17, leastOpset) }
}

/// `export`: the file that a run ends with.
public struct ExportPlan: Sendable, Equatable {
    public var target: ExportTarget
    /// ONNX opset of `compact.onnx`, 13 to 25 and at least the target's.
    public var opset: Int
    /// Whether the models at the ends of stages are timed in ONNX Runtime.
    public var measure: Bool
    /// Whether nodes that the target's runtime would compute in float32 fail the run.
    public var strict: Bool

    public init(target: ExportTarget = .x86, opset: Int? = nil, measure: Bool = true, strict: Bool = false) {
        self.target = target
        self.opset = opset ?? target.defaultOpset
        self.measure = measure
        self.strict = strict
    }
}
