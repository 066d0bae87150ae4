/// Families of operators as pruning sees them.
enum ChannelOperators {
    /// Every output element comes from the elements at its place: these couple aligned axes and nothing else.
    static let elementwise: Set<String> = [
        "Relu", "LeakyRelu", "Elu", "Selu", "Sigmoid", "Tanh", "Erf", "Sqrt", "Cast", "CastLike", "Identity",
        "HardSwish", "HardSigmoid", "Gelu", "Neg", "Exp", "Log", "Abs", "Ceil", "Floor", "Round", "Sign", "Reciprocal",
        "Softplus", "Softsign", "Mish", "Sin", "Cos", "Not", "IsNaN", "Clip", "Dropout", "Add", "Sub", "Mul", "Div",
        "Pow", "Mod", "Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "And", "Or", "Xor", "Where", "Min",
        "Max", "Sum", "Mean", "PRelu", "Expand",
    ]

    /// Those of which only the first input is data.
    private static let unary: Set<String> = ["Clip", "Dropout", "CastLike", "Expand", "Cast", "Identity"]

    /// The inputs of an elementwise operator that are data rather than settings.
    static func operands(_ node: Node) -> [String] {
        let count = unary.contains(node.operatorType) ? 1 : node.inputs.count
        return node.inputs.prefix(count).filter { !$0.isEmpty }
    }

    static let reductions: Set<String> = [
        "ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceLogSum",
        "ReduceLogSumExp", "ReduceSumSquare",
    ]

    /// Layers: operators that multiply by a weight and mix channels.
    static let layers: Set<String> = [
        "Conv", "ConvTranspose", "Gemm", "MatMul", "Einsum", "LSTM", "GRU", "RNN", "Attention",
    ]

    /// Whether a node only computes shapes, indices or other small integers that are known before running.
    static func isHostArithmetic(_ node: Node, _ inference: ShapeInference) -> Bool {
        if ["Shape", "Size"].contains(node.operatorType) { return true }
        return node.outputs.allSatisfy { output in
            output.isEmpty || inference.known[output] != nil && inference.types[output]?.isFloatingPoint == false
        }
    }

    /// Whether a convolution filters every channel on its own. `weight` is [out, in / groups, ...].
    static func isDepthwise(_ node: Node, weight: [Int]) -> Bool {
        guard weight.count >= 3, let group = node.int("group"), group > 1 else { return false }
        return node.operatorType == "Conv" ? weight[1] == 1 : weight[0] == Int(group)
    }
}
