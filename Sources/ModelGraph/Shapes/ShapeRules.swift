import Tensors

/// The output shapes of each operator, as the ONNX operator specification gives them.
enum ShapeRules {
    /// The shapes of all outputs the operator can have, or nil for an operator without a rule.
    static func apply(_ view: NodeShapes) throws(ModelError) -> [Shape]? {
        if view.node.isFakeQuantization { return [try view.input(0)] }
        guard view.node.domain.isEmpty else { return nil }
        if unchanged.contains(view.node.operatorType) { return [try view.input(0)] }
        if let shape = try single(view) { return [shape] }
        switch view.node.operatorType {
        case "MaxPool": return try Array(repeating: pool(view), count: 2)
        case "Dropout": return try Array(repeating: view.input(0), count: 2)
        case "BatchNormalization": return try batchNormalization(view)
        case "LayerNormalization": return try layerNormalization(view)
        case "LSTM": return try recurrent(view, gates: 4)
        case "GRU": return Array(try recurrent(view, gates: 3).prefix(2))
        case "RNN": return Array(try recurrent(view, gates: 1).prefix(2))
        case "Attention": return try attention(view)
        case "Split": return try split(view)
        case "TopK": return try topK(view)
        case "DynamicQuantizeLinear": return [try view.input(0), [], []]
        default: return nil
        }
    }

    /// Operators whose output has the shape of their first input.
    private static let unchanged: Set<String> = [
        "Relu", "Clip", "Identity", "Sigmoid", "Tanh", "Erf", "Sqrt", "Cast", "CastLike", "HardSwish", "HardSigmoid",
        "LeakyRelu", "Elu", "Selu", "Gelu", "Neg", "Exp", "Log", "Abs", "Ceil", "Floor", "Round", "Sign", "Reciprocal",
        "Softplus", "Softsign", "Mish", "Sin", "Cos", "Not", "IsNaN", "CumSum", "Trilu", "ScatterND", "ScatterElements",
        "RMSNormalization",
    ]

    /// Operators of one output.
    private static func single(_ view: NodeShapes) throws(ModelError) -> Shape? {
        switch view.node.operatorType {
        case "Conv": try conv(view, x: 0, weight: 1, bias: 2)
        case "ConvInteger": try conv(view, x: 0, weight: 1, bias: nil)
        case "QLinearConv": try conv(view, x: 0, weight: 3, bias: 8)
        case "ConvTranspose": try convTranspose(view)
        case "AveragePool", "LpPool": try pool(view)
        case "GlobalAveragePool", "GlobalMaxPool": try globalPool(view)
        case "Gemm": try gemm(view)
        case "MatMul", "MatMulInteger": try matMul(view, a: 0, b: 1)
        case "QLinearMatMul": try matMul(view, a: 0, b: 3)
        case "Einsum": try einsum(view)
        case "InstanceNormalization", "GroupNormalization": try channelNormalization(view)
        case "Softmax", "LogSoftmax": try softmax(view)
        case "QuantizeLinear", "DequantizeLinear": try quantization(view)
        case "PRelu": try slope(view)
        case "Add", "Sub", "Mul", "Div", "Pow", "Mod", "Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual",
            "And", "Or", "Xor":
            try broadcast(view, count: 2)
        case "Where": try broadcast(view, count: 3)
        case "Min", "Max", "Sum", "Mean": try broadcast(view, count: view.node.inputs.count)
        default: try layout(view)
        }
    }

    /// Operators that move, join, count or make axes.
    private static func layout(_ view: NodeShapes) throws(ModelError) -> Shape? {
        switch view.node.operatorType {
        case "Flatten": try flatten(view)
        case "Reshape": try reshape(view)
        case "Transpose": try transpose(view)
        case "Concat": try concat(view)
        case "Gather": try gather(view)
        case "GatherElements": try view.input(1)
        case "GatherND": try gatherND(view)
        case "Unsqueeze": try unsqueeze(view)
        case "Squeeze": try squeeze(view)
        case "Shape": try shapeOf(view)
        case "Size": []
        case "Slice": try slice(view)
        case "Expand": try expand(view)
        case "Tile": try tile(view)
        case "Pad": try pad(view)
        case "Resize": try resize(view)
        case "Range": try range(view)
        case "ConstantOfShape": try constantOfShape(view)
        case "OneHot": try oneHot(view)
        case "DepthToSpace": try depthToSpace(view)
        case "SpaceToDepth": try spaceToDepth(view)
        case "ArgMax", "ArgMin": try argument(view)
        case "ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2",
            "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare":
            try reduce(view)
        default: nil
        }
    }

    static func broadcast(_ view: NodeShapes, count: Int) throws(ModelError) -> Shape {
        var result = try view.input(0).dimensions
        for index in 1..<max(count, 1) { result = try broadcast(result, view.input(index).dimensions, view) }
        return try view.shape(result)
    }

    /// NumPy's rule: aligned at the last axis, an extent of 1 stretches.
    static func broadcast(_ a: [Int], _ b: [Int], _ view: NodeShapes) throws(ModelError) -> [Int] {
        let rank = max(a.count, b.count)
        var result: [Int] = []
        for axis in 0..<rank {
            let x = axis < rank - a.count ? 1 : a[axis - (rank - a.count)]
            let y = axis < rank - b.count ? 1 : b[axis - (rank - b.count)]
            guard x == y || x == 1 || y == 1 else { throw view.invalid("shapes \(a) and \(b) do not broadcast") }
            result.append(x == 1 ? y : x)
        }
        return result
    }

    static func gemm(_ view: NodeShapes) throws(ModelError) -> Shape {
        let (a, b) = (try view.input(0), try view.input(1))
        guard a.rank == 2, b.rank == 2 else { throw view.invalid("inputs \(a) and \(b) must be matrices") }
        let (transA, transB) = (view.node.int("transA") ?? 0 != 0, view.node.int("transB") ?? 0 != 0)
        let (m, k) = transA ? (a[1], a[0]) : (a[0], a[1])
        let (k2, n) = transB ? (b[1], b[0]) : (b[0], b[1])
        guard k == k2 else { throw view.invalid("it cannot multiply \(a) by \(b): \(k) against \(k2)") }
        if view.has(2) {
            let c = try view.input(2)
            guard try broadcast(c.dimensions, [m, n], view) == [m, n] else {
                throw view.invalid("its bias \(c) does not fit [\(m), \(n)]")
            }
        }
        return try view.shape([m, n])
    }

    static func matMul(_ view: NodeShapes, a first: Int, b second: Int) throws(ModelError) -> Shape {
        var (a, b) = (try view.input(first).dimensions, try view.input(second).dimensions)
        guard !a.isEmpty, !b.isEmpty else { throw view.invalid("it cannot multiply scalars") }
        let (rowVector, columnVector) = (a.count == 1, b.count == 1)
        if rowVector { a.insert(1, at: 0) }
        if columnVector { b.append(1) }
        guard a[a.count - 1] == b[b.count - 2] else { throw view.invalid("it cannot multiply \(a) by \(b)") }
        var result = try broadcast(Array(a.dropLast(2)), Array(b.dropLast(2)), view)
        if !rowVector { result.append(a[a.count - 2]) }
        if !columnVector { result.append(b[b.count - 1]) }
        return try view.shape(result)
    }
}
