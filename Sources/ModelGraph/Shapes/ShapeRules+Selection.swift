import Tensors

// Operators that cut, repeat, pad, stretch or reduce axes.
extension ShapeRules {
    /// What Slice takes along one axis: elements start, start + step, ... (`count` of them).
    struct AxisSlice {
        var start: Int
        var step: Int
        var count: Int
    }

    /// The slice of each axis of the input.
    static func slices(_ view: NodeShapes) throws(ModelError) -> [AxisSlice] {
        let x = try view.input(0)
        let (starts, ends) = (try view.integers(1), try view.integers(2))
        let axes = try view.has(3) ? view.integers(3) : (0..<starts.count).map(Int64.init)
        let steps = try view.has(4) ? view.integers(4) : Array(repeating: 1, count: starts.count)
        guard ends.count == starts.count, axes.count == starts.count, steps.count == starts.count else {
            throw view.invalid("starts, ends, axes and steps differ in length")
        }
        var result = x.dimensions.map { AxisSlice(start: 0, step: 1, count: $0) }
        for (index, axis) in try view.axes(axes, rank: x.rank).enumerated() {
            let (extent, step) = (Int64(x[axis]), steps[index])
            guard step != 0, step > .min else { throw view.invalid("a step of \(step) is impossible") }
            func clamp(_ value: Int64, _ low: Int64, _ high: Int64) -> Int64 {
                max(low, min(high, value < 0 ? value + extent : value))
            }
            let backward = step < 0
            let start = clamp(starts[index], 0, backward ? extent - 1 : extent)
            let end = clamp(ends[index], backward ? -1 : 0, backward ? extent - 1 : extent)
            let room = backward ? start - end : end - start
            // One step may be larger than any extent, so the count is taken before anything is multiplied.
            let count = room <= 0 || extent == 0 ? 0 : (room - 1) / step.magnitudeClamped + 1
            result[axis] = AxisSlice(start: Int(max(start, 0)), step: count > 1 ? Int(step) : 1, count: Int(count))
        }
        return result
    }

    static func slice(_ view: NodeShapes) throws(ModelError) -> Shape { try view.shape(slices(view).map(\.count)) }

    /// The extents of Split's outputs along its axis: given, or equal but for the last one.
    static func splitParts(_ view: NodeShapes) throws(ModelError) -> [Int] {
        let x = try view.input(0)
        let extent = x[try view.axis(view.node.int("axis") ?? 0, rank: x.rank)]
        let count = view.node.outputs.count
        if view.has(1) {
            let parts = try view.integers(1)
            guard parts.count == count, parts.allSatisfy({ (0...Int64(extent)).contains($0) }),
                parts.reduce(0, +) == Int64(extent)
            else { throw view.invalid("parts \(parts) do not make up \(extent) in \(count) outputs") }
            return parts.map(Int.init)
        }
        if let stated = view.node.int("num_outputs"), stated != Int64(count) {
            throw view.invalid("num_outputs \(stated) differs from its \(count) outputs")
        }
        let isUneven = view.node.int("num_outputs") != nil
        guard count > 0, extent % count == 0 || isUneven else {
            throw view.invalid("\(extent) does not split into \(count) equal parts")
        }
        let part = (extent + count - 1) / count
        guard part * (count - 1) <= extent else { throw view.invalid("\(extent) does not fill \(count) parts") }
        return Array(repeating: part, count: count - 1) + [extent - part * (count - 1)]
    }

    static func split(_ view: NodeShapes) throws(ModelError) -> [Shape] {
        var extents = try view.input(0).dimensions
        let axis = try view.axis(view.node.int("axis") ?? 0, rank: extents.count)
        var shapes: [Shape] = []
        for part in try splitParts(view) {
            extents[axis] = part
            shapes.append(try view.shape(extents))
        }
        return shapes
    }

    static func expand(_ view: NodeShapes) throws(ModelError) -> Shape {
        try view.shape(broadcast(view.input(0).dimensions, extents(view, 1), view))
    }

    static func tile(_ view: NodeShapes) throws(ModelError) -> Shape {
        let (x, repeats) = (try view.input(0), try extents(view, 1))
        guard repeats.count == x.rank else { throw view.invalid("repeats \(repeats) do not fit \(x)") }
        // Both factors are below 2^31.
        return try view.shape(zip(x.dimensions, repeats).map { $0 * $1 })
    }

    static func constantOfShape(_ view: NodeShapes) throws(ModelError) -> Shape {
        if let fill = view.node.tensor("value"), fill.elementCount != 1 {
            throw view.invalid("its value has \(fill.elementCount) elements, not one")
        }
        return try view.shape(extents(view, 0))
    }

    /// An integer input as extents.
    private static func extents(_ view: NodeShapes, _ index: Int) throws(ModelError) -> [Int] {
        let values = try view.integers(index)
        guard values.count <= ModelLimits.rank, values.allSatisfy({ (0...Int64(ModelLimits.extent)).contains($0) })
        else { throw view.invalid("its output shape \(values) is impossible") }
        return values.map(Int.init)
    }

    static func pad(_ view: NodeShapes) throws(ModelError) -> Shape {
        let x = try view.input(0)
        let pads = try view.integers(1)
        let axes = try view.has(3) ? view.axes(view.integers(3), rank: x.rank) : Array(x.dimensions.indices)
        let limit = Int64(ModelLimits.extent)
        guard pads.count == 2 * axes.count, pads.allSatisfy({ (-limit...limit).contains($0) }) else {
            throw view.invalid("pads \(pads) do not fit \(axes.count) axes")
        }
        var extents = x.dimensions
        for (index, axis) in axes.enumerated() { extents[axis] += Int(pads[index]) + Int(pads[index + axes.count]) }
        return try view.shape(extents)
    }

    static func range(_ view: NodeShapes) throws(ModelError) -> Shape {
        let parts = [view.value(0), view.value(1), view.value(2)]
        var numbers: [Double] = []
        for part in parts {
            guard let part, part.shape.elementCount == 1 else {
                throw view.invalid("start, limit and delta must be scalars known before running")
            }
            switch part.values {
            case .integers(let values): numbers += values.map(Double.init)
            case .reals(let values): numbers += values
            }
        }
        guard numbers[2] != 0 else { throw view.invalid("a delta of 0 is impossible") }
        let count = ((numbers[1] - numbers[0]) / numbers[2]).rounded(.up)
        guard count < Double(ModelLimits.extent) else { throw view.invalid("it has more than 2^31 numbers") }
        return try view.shape([Int(max(count, 0))])
    }

    /// The two shapes of TopK: values and indices.
    static func topK(_ view: NodeShapes) throws(ModelError) -> [Shape] {
        var extents = try view.input(0).dimensions
        let axis = try view.axis(view.node.int("axis") ?? -1, rank: extents.count)
        let count = try view.integers(1)
        guard count.count == 1, (0...Int64(extents[axis])).contains(count[0]) else {
            throw view.invalid("it cannot take \(count) of \(extents[axis])")
        }
        extents[axis] = Int(count[0])
        return try Array(repeating: view.shape(extents), count: 2)
    }

    static func oneHot(_ view: NodeShapes) throws(ModelError) -> Shape {
        var extents = try view.input(0).dimensions
        guard let depth = try view.integers(1).first, (0...Int64(ModelLimits.extent)).contains(depth) else {
            throw view.invalid("its depth is impossible")
        }
        extents.insert(Int(depth), at: try view.axis(view.node.int("axis") ?? -1, rank: extents.count + 1))
        return try view.shape(extents)
    }

    static func argument(_ view: NodeShapes) throws(ModelError) -> Shape {
        var extents = try view.input(0).dimensions
        let axis = try view.axis(view.node.int("axis") ?? 0, rank: extents.count)
        if view.node.int("keepdims") ?? 1 != 0 { extents[axis] = 1 } else { extents.remove(at: axis) }
        return try view.shape(extents)
    }

    /// Axes are an attribute below opset 18 (13 for ReduceSum) and an input from there.
    static func reduce(_ view: NodeShapes) throws(ModelError) -> Shape {
        let x = try view.input(0)
        let listed = try view.has(1) ? view.integers(1) : view.node.ints("axes") ?? []
        var axes = Set(try view.axes(listed, rank: x.rank))
        if listed.isEmpty {
            if view.node.int("noop_with_empty_axes") ?? 0 != 0 { return x }
            axes = Set(x.dimensions.indices)
        }
        let keeps = view.node.int("keepdims") ?? 1 != 0
        return try view.shape(
            x.dimensions.indices.compactMap { axis in axes.contains(axis) ? (keeps ? 1 : nil) : x[axis] })
    }
}

extension Int64 {
    /// The magnitude of a number that is not the least.
    fileprivate var magnitudeClamped: Int64 { self < 0 ? -self : self }
}
