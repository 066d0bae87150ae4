import Tensors

// Normalisations and other operators that keep their input's shape but have parameters that must fit it.
extension ShapeRules {
    /// In training mode the running mean and variance follow; opset 13 also had saved ones behind them.
    static func batchNormalization(_ view: NodeShapes) throws(ModelError) -> [Shape] {
        let x = try view.input(0)
        guard x.rank >= 2 else { throw view.invalid("its input \(x) has no channel axis") }
        for index in 1..<5 where try view.input(index).dimensions != [x[1]] {
            throw view.invalid("input \(index) has shape \(try view.input(index)), not [\(x[1])]")
        }
        let channels = try view.shape([x[1]])
        return [x] + Array(repeating: channels, count: view.opset < 14 ? 4 : 2)
    }

    /// The output, and mean and inverse deviation over the normalised axes.
    static func layerNormalization(_ view: NodeShapes) throws(ModelError) -> [Shape] {
        let x = try view.input(0)
        let axis = try view.axis(view.node.int("axis") ?? -1, rank: x.rank)
        for index in 1...2 where view.has(index) {
            let parameter = try view.input(index).dimensions
            guard try broadcast(parameter, Array(x.dimensions[axis...]), view) == Array(x.dimensions[axis...]) else {
                throw view.invalid("input \(index) \(parameter) does not fit \(x) from axis \(axis)")
            }
        }
        let moments = try view.shape(x.dimensions[..<axis] + Array(repeating: 1, count: x.rank - axis))
        return [x, moments, moments]
    }

    /// One scale and one bias a channel; GroupNormalization had one a group before opset 21.
    static func channelNormalization(_ view: NodeShapes) throws(ModelError) -> Shape {
        let x = try view.input(0)
        guard x.rank >= 3 else { throw view.invalid("its input \(x) has no spatial axes") }
        var count = x[1]
        if view.node.operatorType == "GroupNormalization" {
            let groups = try view.small("num_groups", fallback: 0, least: 1)
            guard groups > 0, x[1] % groups == 0 else {
                throw view.invalid("\(x[1]) channels do not fit \(groups) groups")
            }
            if view.opset < 21 { count = groups }
        }
        for index in 1...2 where try view.input(index).dimensions != [count] {
            throw view.invalid("input \(index) has shape \(try view.input(index)), not [\(count)]")
        }
        return x
    }

    static func softmax(_ view: NodeShapes) throws(ModelError) -> Shape {
        let x = try view.input(0)
        _ = try view.axis(view.node.int("axis") ?? -1, rank: max(x.rank, 1))
        return x
    }

    /// Scales are one number, one an index of `axis`, or one a block of `block_size` along it.
    static func quantization(_ view: NodeShapes) throws(ModelError) -> Shape {
        let (x, scale) = (try view.input(0), try view.input(1))
        let block = try view.small("block_size", fallback: 0)
        if view.has(2), try view.input(2).dimensions != scale.dimensions {
            throw view.invalid("scale \(scale) and zero point \(try view.input(2)) differ in shape")
        }
        guard scale.elementCount != 1 || block > 0 else { return x }
        let axis = try view.axis(view.node.int("axis") ?? 1, rank: x.rank)
        var expected = [x[axis]]
        if block > 0 {
            expected = x.dimensions
            expected[axis] = (x[axis] + block - 1) / block
        }
        guard scale.dimensions == expected else {
            throw view.invalid("scale \(scale) does not fit axis \(axis) of \(x)")
        }
        return x
    }

    static func slope(_ view: NodeShapes) throws(ModelError) -> Shape {
        let x = try view.input(0)
        guard try broadcast(view.input(1).dimensions, x.dimensions, view) == x.dimensions else {
            throw view.invalid("slope \(try view.input(1)) does not fit \(x)")
        }
        return x
    }
}
