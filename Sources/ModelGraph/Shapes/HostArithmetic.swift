import Tensors

/// Evaluates the arithmetic from which exporters compute shapes (Shape, Gather, Concat, Range ...), before running.
enum HostArithmetic {
    /// The value of one output, or nil where it is not known or too large to be part of a shape.
    static func evaluate(_ view: NodeShapes, output: Int, shape: Shape, type: ElementType) -> HostTensor? {
        guard shape.elementCount <= HostTensor.elementLimit, view.node.domain.isEmpty else { return nil }
        func integers(_ values: [Int64]) -> HostTensor? { HostTensor(type: type, shape: shape, integers: values) }
        let first = view.value(0)
        switch view.node.operatorType {
        case "Shape":
            guard let x = try? view.input(0), let range = try? ShapeRules.shapeRange(view, rank: x.rank) else {
                return nil
            }
            return integers(x.dimensions[range].map(Int64.init))
        case "Size": return (try? view.input(0)).flatMap { integers([Int64($0.elementCount)]) }
        case "ConstantOfShape":
            guard let fill = view.node.tensor("value") else {
                return HostTensor(type: type, shape: shape, reals: Array(repeating: 0, count: shape.elementCount))
            }
            return HostTensor(fill)?.rearranged(to: shape) { _ in Array(repeating: 0, count: fill.shape.rank) }
        case "Range": return range(view, shape, type)
        case "Cast", "CastLike": return first.flatMap { cast($0, to: type) }
        case "Identity", "Unsqueeze", "Squeeze", "Reshape", "Flatten": return first?.reshaped(shape)
        case "Gather": return gather(view, shape)
        case "Concat": return concat(view, shape, type)
        case "Slice", "Split", "Transpose", "Expand", "Tile": return moved(view, output, shape)
        case "Where": return choose(view, shape, type)
        case "Not":
            return first?.integers.flatMap { integers($0.map { 1 - $0 }) }
        case "Neg", "Abs", "Floor", "Ceil", "Round", "Sqrt", "Reciprocal": return unary(view, shape, type)
        case "ReduceProd", "ReduceSum", "ReduceMax", "ReduceMin": return reduce(view, shape, type)
        case "Min", "Max", "And", "Or":
            return fold(view, shape, type)
        case "Add", "Sub", "Mul", "Div", "Mod", "Pow", "Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual":
            guard let a = first, let b = view.value(1) else { return nil }
            return combine(view, a, b, shape, type)
        default: return nil
        }
    }

    private static func gather(_ view: NodeShapes, _ shape: Shape) -> HostTensor? {
        guard let data = view.value(0), let indices = view.value(1), let places = indices.integers,
            let axis = try? view.axis(view.node.int("axis") ?? 0, rank: data.shape.rank)
        else { return nil }
        return data.rearranged(to: shape) { index in
            let inner = Array(index[axis..<(axis + indices.shape.rank)])
            guard let element = indices.shape.element(at: inner) else { return nil }
            let place = places[element] < 0 ? places[element] + Int64(data.shape[axis]) : places[element]
            guard place >= 0, place < Int64(data.shape[axis]) else { return nil }
            return Array(index[..<axis]) + [Int(place)] + Array(index[(axis + indices.shape.rank)...])
        }
    }

    private static func concat(_ view: NodeShapes, _ shape: Shape, _ type: ElementType) -> HostTensor? {
        guard let axis = try? view.axis(view.node.int("axis") ?? 0, rank: shape.rank) else { return nil }
        let outer = shape.dimensions[..<axis].reduce(1, *)
        var (integers, reals): ([Int64], [Double]) = ([], [])
        let parts = view.node.inputs.indices.map(view.value)
        for place in 0..<outer {
            for part in parts {
                guard let part, outer > 0 else { return nil }
                let run = part.shape.elementCount / outer
                switch part.values {
                case .integers(let values): integers += values[(place * run)..<((place + 1) * run)]
                case .reals(let values): reals += values[(place * run)..<((place + 1) * run)]
                }
            }
        }
        return type.isFloatingPoint
            ? HostTensor(type: type, shape: shape, reals: reals)
            : HostTensor(type: type, shape: shape, integers: integers)
    }

    /// Operators that only say where each element of the first input goes.
    private static func moved(_ view: NodeShapes, _ output: Int, _ shape: Shape) -> HostTensor? {
        guard let x = view.value(0) else { return nil }
        switch view.node.operatorType {
        case "Slice":
            guard let slices = try? ShapeRules.slices(view) else { return nil }
            return x.rearranged(to: shape) { index in
                zip(slices, index).map { slice, place in slice.start + place * slice.step }
            }
        case "Split":
            guard let axis = try? view.axis(view.node.int("axis") ?? 0, rank: x.shape.rank),
                let parts = try? ShapeRules.splitParts(view)
            else { return nil }
            let before = parts[..<output].reduce(0, +)
            return x.rearranged(to: shape) { index in
                var source = index
                source[axis] += before
                return source
            }
        case "Transpose":
            let order = view.node.ints("perm")?.map(Int.init) ?? Array(x.shape.dimensions.indices.reversed())
            return x.rearranged(to: shape) { index in
                var source = index
                for (axis, from) in order.enumerated() { source[from] = index[axis] }
                return source
            }
        case "Tile":
            return x.rearranged(to: shape) { index in zip(index, x.shape.dimensions).map { $0 % max($1, 1) } }
        default: return x.rearranged(to: shape) { HostTensor.broadcastIndex($0, to: x.shape) }
        }
    }

    private static func choose(_ view: NodeShapes, _ shape: Shape, _ type: ElementType) -> HostTensor? {
        guard let condition = view.value(0)?.expanded(to: shape)?.integers, let a = view.value(1)?.expanded(to: shape),
            let b = view.value(2)?.expanded(to: shape)
        else { return nil }
        switch (a.values, b.values) {
        case (.integers(let a), .integers(let b)):
            return HostTensor(
                type: type, shape: shape, integers: condition.indices.map { condition[$0] != 0 ? a[$0] : b[$0] })
        case (.reals(let a), .reals(let b)):
            return HostTensor(
                type: type, shape: shape, reals: condition.indices.map { condition[$0] != 0 ? a[$0] : b[$0] })
        default: return nil
        }
    }

    private static func range(_ view: NodeShapes, _ shape: Shape, _ type: ElementType) -> HostTensor? {
        guard let start = view.value(0), let step = view.value(2) else { return nil }
        switch (start.values, step.values) {
        case (.integers(let start), .integers(let step)) where start.count == 1 && step.count == 1:
            // Every member lies between start and limit, so only the product with an unused step could overflow.
            return HostTensor(
                type: type, shape: shape,
                integers: (0..<Int64(shape.elementCount)).map { start[0] &+ $0 &* step[0] })
        case (.reals(let start), .reals(let step)) where start.count == 1 && step.count == 1:
            return HostTensor(
                type: type, shape: shape, reals: (0..<shape.elementCount).map { start[0] + Double($0) * step[0] })
        default: return nil
        }
    }

    private static func cast(_ x: HostTensor, to type: ElementType) -> HostTensor? {
        switch x.values {
        case .integers(let values):
            if type.isFloatingPoint { return HostTensor(type: type, shape: x.shape, reals: values.map(Double.init)) }
            return HostTensor(
                type: type, shape: x.shape, integers: type == .bool ? values.map { $0 == 0 ? 0 : 1 } : values)
        case .reals(let values):
            if type.isFloatingPoint { return HostTensor(type: type, shape: x.shape, reals: values) }
            if type == .bool { return HostTensor(type: type, shape: x.shape, integers: values.map { $0 == 0 ? 0 : 1 }) }
            var integers: [Int64] = []
            for value in values {
                guard let integer = Int64(exactly: value.rounded(.towardZero)) else { return nil }
                integers.append(integer)
            }
            return HostTensor(type: type, shape: x.shape, integers: integers)
        }
    }
}

extension HostTensor {
    /// Broadcast to a shape that is known to fit.
    func expanded(to shape: Shape) -> HostTensor? {
        guard shape.rank >= self.shape.rank else { return nil }
        return rearranged(to: shape) { Self.broadcastIndex($0, to: self.shape) }
    }
}
