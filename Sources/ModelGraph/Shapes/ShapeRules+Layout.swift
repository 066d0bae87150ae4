import Tensors

// Operators that move, join or count axes.
extension ShapeRules {
    static func transpose(_ view: NodeShapes) throws(ModelError) -> Shape {
        let x = try view.input(0)
        guard let order = view.node.ints("perm") else { return try view.shape(x.dimensions.reversed()) }
        guard order.sorted() == (0..<x.rank).map(Int64.init) else {
            throw view.invalid("perm \(order) is no order of the axes of \(x)")
        }
        return try view.shape(order.map { x[Int($0)] })
    }

    static func concat(_ view: NodeShapes) throws(ModelError) -> Shape {
        var result = try view.input(0).dimensions
        let axis = try view.axis(view.node.int("axis") ?? 0, rank: result.count)
        for index in view.node.inputs.indices.dropFirst() {
            var other = try view.input(index).dimensions
            guard other.count == result.count else { throw view.invalid("input \(index) has another rank") }
            let (sum, overflow) = result[axis].addingReportingOverflow(other[axis])
            guard !overflow else { throw view.invalid("its output is too large") }
            other[axis] = result[axis]
            guard other == result else { throw view.invalid("input \(index) differs beyond axis \(axis)") }
            result[axis] = sum
        }
        return try view.shape(result)
    }

    static func gather(_ view: NodeShapes) throws(ModelError) -> Shape {
        var result = try view.input(0).dimensions
        let axis = try view.axis(view.node.int("axis") ?? 0, rank: result.count)
        result.replaceSubrange(axis...axis, with: try view.input(1).dimensions)
        return try view.shape(result)
    }

    static func unsqueeze(_ view: NodeShapes) throws(ModelError) -> Shape {
        var result = try view.input(0).dimensions
        let values = try view.integers(1)
        guard result.count + values.count <= ModelLimits.rank else { throw view.invalid("it adds too many axes") }
        var axes: [Int] = []
        for value in values { axes.append(try view.axis(value, rank: result.count + values.count)) }
        guard Set(axes).count == axes.count else { throw view.invalid("axes \(values) repeat") }
        for axis in axes.sorted() { result.insert(1, at: axis) }
        return try view.shape(result)
    }

    static func squeeze(_ view: NodeShapes) throws(ModelError) -> Shape {
        let x = try view.input(0)
        guard view.has(1) else { return try view.shape(x.dimensions.filter { $0 != 1 }) }
        var axes = Set<Int>()
        for value in try view.integers(1) { axes.insert(try view.axis(value, rank: x.rank)) }
        guard axes.allSatisfy({ x[$0] == 1 }) else { throw view.invalid("it removes an axis of \(x) that is not 1") }
        return try view.shape(x.dimensions.indices.filter { !axes.contains($0) }.map { x[$0] })
    }

    static func shapeOf(_ view: NodeShapes) throws(ModelError) -> Shape {
        guard view.node.int("start") ?? 0 == 0, view.node.int("end") == nil else {
            throw view.invalid("start and end are not supported")
        }
        return try view.shape([try view.input(0).rank])
    }

    /// Axes are an attribute below opset 18 and an input from there.
    static func reduce(_ view: NodeShapes) throws(ModelError) -> Shape {
        let x = try view.input(0)
        let listed = try view.has(1) ? view.integers(1) : view.node.ints("axes") ?? []
        var axes = Set<Int>()
        for value in listed { axes.insert(try view.axis(value, rank: x.rank)) }
        if listed.isEmpty {
            if view.node.int("noop_with_empty_axes") ?? 0 != 0 { return x }
            axes = Set(0..<x.rank)
        }
        let keeps = view.node.int("keepdims") ?? 1 != 0
        return try view.shape(
            x.dimensions.indices.compactMap { axis in axes.contains(axis) ? (keeps ? 1 : nil) : x[axis] })
    }
}
