/// Where a model is to run: decides what an export holds (METHODS "Export").
public enum DeploymentTarget: String, Sendable, CaseIterable {
    /// Plain float32, BatchNormalization folded.
    case float32
    /// uint8 asymmetric activations, int8 symmetric weights a channel (U8S8 QDQ).
    case x86
    /// The same with weights of 7 bits: CPUs without VNNI add pairs of products in 16 bits and would saturate.
    case x86NoVNNI = "x86-no-vnni"
    /// int8 activations and weights (S8S8 QDQ).
    case arm
    /// int8 with zero points 0, QDQ at the inputs of convolutions and products alone, float biases.
    case tensorrt
    /// Weights alone, 4 bits in blocks (opset 21): small, not fast.
    case int4
    /// Weights alone, 8 bits a channel.
    case int8Weights = "int8-weights"
    /// int8 weights; activations are quantized as they come (DynamicQuantizeLinear, MatMulInteger).
    case dynamic
    case float16
    case bfloat16

    /// Whether activations need ranges from data.
    public var needsCalibration: Bool {
        switch self {
        case .x86, .x86NoVNNI, .arm, .tensorrt: true
        case .float32, .int4, .int8Weights, .dynamic, .float16, .bfloat16: false
        }
    }

    /// Whether weights are stored as integers.
    public var hasIntegerWeights: Bool {
        switch self {
        case .x86, .x86NoVNNI, .arm, .tensorrt, .int4, .int8Weights, .dynamic: true
        case .float32, .float16, .bfloat16: false
        }
    }

    /// The oldest opset that can say it.
    public var leastOpset: Int64 {
        switch self {
        case .int4: 21
        // Convolutions and pools of bfloat16 came with it.
        case .bfloat16: 22
        case .float32, .x86, .x86NoVNNI, .arm, .tensorrt, .int8Weights, .dynamic, .float16: 13
        }
    }
}
