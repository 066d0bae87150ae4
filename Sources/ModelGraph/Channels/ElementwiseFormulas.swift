import Glibc

/// The formulas of elementwise operators in double arithmetic, as the ONNX operator specification gives them. NaN is a
/// number that is not known: 0 times it is 0, since values that a network computes are finite.
enum ElementwiseFormulas {
    /// The function of an operator's operands, or nil for one whose result is not followed.
    static func function(_ view: NodeShapes) -> (([Double]) -> Double)? {
        let node = view.node
        if let unary = unary(node) { return { $0[0].isNaN ? .nan : unary($0[0]) } }
        switch node.operatorType {
        case "Identity", "Dropout", "Expand": return { $0[0] }
        case "Cast", "CastLike":
            let type = OutputTypes.type(ofOutput: 0, view)
            return type == .float32 || type == .float64 ? { $0[0] } : nil
        case "Clip": return clip(view)
        case "Add", "Sum": return { $0.reduce(0, +) }
        case "Sub": return { $0[0] - $0[1] }
        case "Mul": return { $0[0] == 0 || $0[1] == 0 ? 0 : $0[0] * $0[1] }
        case "Div": return { $0[0] == 0 && $0[1] != 0 ? 0 : $0[0] / $0[1] }
        case "Pow": return { $0[0].isNaN || $0[1].isNaN ? .nan : pow($0[0], $0[1]) }
        case "Mean": return { $0.reduce(0, +) / Double($0.count) }
        case "Min": return { $0.contains { $0.isNaN } ? .nan : $0.min() ?? .nan }
        case "Max": return { $0.contains { $0.isNaN } ? .nan : $0.max() ?? .nan }
        case "PRelu": return { $0[0] >= 0 ? $0[0] : $0[0] * $0[1] }
        case "Where": return { $0[1] == $0[2] ? $0[1] : .nan }
        default: return nil
        }
    }

    private static func clip(_ view: NodeShapes) -> (([Double]) -> Double)? {
        var bounds = [-Double.infinity, Double.infinity]
        for position in 1...2 where view.has(position) {
            guard let bound = view.value(position)?.reals?.first else { return nil }
            bounds[position - 1] = bound
        }
        return { [low = bounds[0], high = bounds[1]] in $0[0].isNaN ? .nan : min(max($0[0], low), high) }
    }

    private static func unary(_ node: Node) -> ((Double) -> Double)? {
        func number(_ key: String, _ fallback: Float) -> Double { Double(node.float(key) ?? fallback) }
        switch node.operatorType {
        case "Relu": return { max($0, 0) }
        case "LeakyRelu": return { [slope = number("alpha", 0.01)] in $0 >= 0 ? $0 : slope * $0 }
        case "Elu": return { [scale = number("alpha", 1)] in $0 >= 0 ? $0 : scale * expm1($0) }
        case "Selu":
            // The constants of the specification.
            let (alpha, gamma) = (number("alpha", 1.673_263_2), number("gamma", 1.050_701))
            return { gamma * ($0 > 0 ? $0 : alpha * expm1($0)) }
        case "Sigmoid": return { 1 / (1 + exp(-$0)) }
        case "Tanh": return { tanh($0) }
        case "Erf": return { erf($0) }
        case "Sqrt": return { $0.squareRoot() }
        case "HardSwish": return { $0 * max(0, min(1, $0 / 6 + 0.5)) }
        case "HardSigmoid":
            return { [a = number("alpha", 0.2), b = number("beta", 0.5)] in max(0, min(1, a * $0 + b)) }
        case "Gelu":
            guard node.string("approximate") == "tanh" else { return { 0.5 * $0 * (1 + erf($0 * 0.5.squareRoot())) } }
            return { x in 0.5 * x * (1 + tanh((2 / Double.pi).squareRoot() * (x + 0.044_715 * x * x * x))) }
        case "Neg": return { -$0 }
        case "Exp": return { exp($0) }
        case "Log": return { log($0) }
        case "Abs": return { $0.magnitude }
        case "Ceil": return { $0.rounded(.up) }
        case "Floor": return { $0.rounded(.down) }
        case "Round": return { $0.rounded(.toNearestOrEven) }
        case "Sign": return { $0 > 0 ? 1 : $0 < 0 ? -1 : 0 }
        case "Reciprocal": return { 1 / $0 }
        case "Softplus": return softplus
        case "Softsign": return { $0 / (1 + $0.magnitude) }
        case "Mish": return { $0 * tanh(softplus($0)) }
        case "Sin": return { sin($0) }
        case "Cos": return { cos($0) }
        default: return nil
        }
    }

    private static func softplus(_ x: Double) -> Double { max(x, 0) + log1p(exp(-x.magnitude)) }
}
