import Tensors

// Operators that move, join or count axes.
extension ShapeRules {
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
        let axes = try view.axes(values, rank: result.count + values.count)
        for axis in axes.sorted() { result.insert(1, at: axis) }
        return try view.shape(result)
    }

    static func squeeze(_ view: NodeShapes) throws(ModelError) -> Shape {
        let x = try view.input(0)
        guard view.has(1) else { return try view.shape(x.dimensions.filter { $0 != 1 }) }
        let axes = Set(try view.axes(view.integers(1), rank: x.rank))
        guard axes.allSatisfy({ x[$0] == 1 }) else { throw view.invalid("it removes an axis of \(x) that is not 1") }
        return try view.shape(x.dimensions.indices.filter { !axes.contains($0) }.map { x[$0] })
    }

    /// The axes whose extents Shape gives: `start` and `end` are clamped to the rank.
    static func shapeRange(_ view: NodeShapes, rank: Int) throws(ModelError) -> Range<Int> {
        func place(_ value: Int64) -> Int {
            let shifted = value < 0 ? value + Int64(rank) : value
            return Int(min(max(shifted, 0), Int64(rank)))
        }
        let start = place(view.node.int("start") ?? 0)
        return start..<max(start, place(view.node.int("end") ?? Int64(rank)))
    }

    static func shapeOf(_ view: NodeShapes) throws(ModelError) -> Shape {
        try view.shape([try shapeRange(view, rank: view.input(0).rank).count])
    }
}
