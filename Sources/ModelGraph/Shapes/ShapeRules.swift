import Tensors

/// The output shape of each operator, as the ONNX operator specification gives it.
enum ShapeRules {
    /// The shape of the first output, or nil for an operator without a rule.
    static func apply(_ view: NodeShapes) throws(ModelError) -> Shape? {
        guard view.node.domain.isEmpty else { return nil }
        switch view.node.operatorType {
        case "Conv": return try conv(view)
        case "MaxPool", "AveragePool": return try pool(view)
        case "GlobalAveragePool": return try globalPool(view)
        case "Gemm": return try gemm(view)
        case "MatMul": return try matMul(view)
        case "BatchNormalization": return try batchNormalization(view)
        case "Flatten": return try flatten(view)
        case "Reshape": return try reshape(view)
        case "Transpose": return try transpose(view)
        case "Concat": return try concat(view)
        case "Gather": return try gather(view)
        case "Unsqueeze": return try unsqueeze(view)
        case "Squeeze": return try squeeze(view)
        case "Shape": return try shapeOf(view)
        case "ReduceMean": return try reduce(view)
        case "Add", "Sub", "Mul", "Div", "Pow": return try broadcast(view)
        case "Relu", "Clip", "Dropout", "Softmax", "Identity", "QuantizeLinear", "DequantizeLinear", "Sigmoid", "Tanh",
            "Erf", "Sqrt", "Cast", "LayerNormalization", "HardSwish", "HardSigmoid", "LeakyRelu", "Elu", "Gelu", "Neg",
            "Exp", "Log":
            return try view.input(0)
        default: return nil
        }
    }

    static func broadcast(_ view: NodeShapes) throws(ModelError) -> Shape {
        try view.shape(try broadcast(view.input(0).dimensions, view.input(1).dimensions, view))
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

    static func batchNormalization(_ view: NodeShapes) throws(ModelError) -> Shape {
        let x = try view.input(0)
        guard x.rank >= 2 else { throw view.invalid("its input \(x) has no channel axis") }
        for index in 1..<5 where try view.input(index).dimensions != [x[1]] {
            throw view.invalid("input \(index) has shape \(try view.input(index)), not [\(x[1])]")
        }
        return x
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

    static func matMul(_ view: NodeShapes) throws(ModelError) -> Shape {
        var (a, b) = (try view.input(0).dimensions, try view.input(1).dimensions)
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

    static func flatten(_ view: NodeShapes) throws(ModelError) -> Shape {
        let x = try view.input(0)
        let value = view.node.int("axis") ?? 1
        let axis = value == Int64(x.rank) ? x.rank : try view.axis(value, rank: x.rank)
        func product(_ extents: ArraySlice<Int>) throws(ModelError) -> Int {
            try view.shape(Array(extents)).elementCount
        }
        return try view.shape([try product(x.dimensions[..<axis]), try product(x.dimensions[axis...])])
    }

    static func reshape(_ view: NodeShapes) throws(ModelError) -> Shape {
        let x = try view.input(0)
        let target = try view.integers(1)
        let copiesZero = view.node.int("allowzero") ?? 0 == 0
        var extents: [Int] = []
        var open: Int?
        for (axis, value) in target.enumerated() {
            if value == -1, open == nil {
                open = axis
                extents.append(1)
            } else if value == 0, copiesZero, axis < x.rank {
                extents.append(x[axis])
            } else if value >= 0, value <= Int64(ModelLimits.extent), value > 0 || !copiesZero {
                extents.append(Int(value))
            } else {
                throw view.invalid("it cannot reshape \(x) to \(target)")
            }
        }
        let known = try view.shape(extents).elementCount
        if let open {
            guard known > 0, x.elementCount % known == 0 else {
                throw view.invalid("it cannot reshape \(x) to \(target)")
            }
            extents[open] = x.elementCount / known
        }
        let result = try view.shape(extents)
        guard result.elementCount == x.elementCount else { throw view.invalid("it cannot reshape \(x) to \(target)") }
        return result
    }
}
