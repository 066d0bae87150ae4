import Tensors

/// Which operators ONNX Runtime has integer kernels for, in its QDQ form. Each entry was seen in the runtime's own
/// optimized graph (1.31, CPU).
enum IntegerOperators {
    /// Only move numbers: codes pass through, so input and outputs share scale and zero point.
    static let moving: Set<String> = [
        "MaxPool", "Flatten", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Gather", "Expand", "Tile",
        "DepthToSpace", "Split",
    ]
    /// Implied by a range that ends where they cut: the runtime drops them.
    static let clamping: Set<String> = ["Relu", "Clip"]
    /// One quantized input, one quantized output of other parameters.
    static let pooling: Set<String> = ["AveragePool", "GlobalAveragePool"]
    /// The same; taken where the input is quantized anyway.
    static let lookups: Set<String> = ["Sigmoid", "LeakyRelu", "Softmax"]
    /// Their outputs are worth quantizing for a product with a quantized value (squeeze and excitation, gates).
    static let gates: Set<String> = ["Sigmoid", "HardSigmoid", "Tanh"]
    /// Fused with a Gemm in float32 before its weight is looked at.
    static let fusedActivations: Set<String> = [
        "Relu", "LeakyRelu", "Sigmoid", "Tanh", "HardSigmoid", "Elu", "Selu", "Softplus", "Softsign", "ThresholdedRelu",
    ]
    /// Read a value without computing with it.
    static let shapeless: Set<String> = ["Shape", "Size"]
    /// Give integers or truth values whatever they read.
    static let counting: Set<String> = [
        "Shape", "Size", "ArgMax", "ArgMin", "Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "IsNaN",
        "IsInf",
        "NonZero", "QuantizeLinear", "DynamicQuantizeLinear",
    ]

    /// Whether the node only moves the numbers of its first input.
    static func moves(_ node: Node) -> Bool {
        if node.operatorType == "Resize" { return node.string("mode") ?? "nearest" == "nearest" }
        guard moving.contains(node.operatorType) else { return false }
        return node.operatorType == "Split" || node.outputs.count == 1
    }

    /// The bounds of a Relu or Clip; nil where they are computed, and where 0 is cut off: a quantized range holds 0, so it
    /// cannot imply them.
    static func bounds(of node: Node, _ graph: Graph) -> ClosedRange<Float>? {
        if node.operatorType == "Relu" { return 0...Float.infinity }
        guard node.operatorType == "Clip" else { return nil }
        func bound(_ index: Int, _ missing: Float) -> Float? {
            guard node.inputs.count > index, !node.inputs[index].isEmpty else { return missing }
            guard let tensor = graph.initializers[node.inputs[index]], tensor.elementType == .float32,
                tensor.elementCount == 1
            else { return nil }
            return tensor.floats[0]
        }
        guard let low = bound(1, -Float.infinity), let high = bound(2, .infinity), low <= 0, high > 0
        else { return nil }
        return low...high
    }
}
