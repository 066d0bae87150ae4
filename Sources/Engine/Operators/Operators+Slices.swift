import CTorch
import ModelGraph
import Tensors

// Operators that cut tensors into parts and join them.
extension Operators {
    static let slices: [String: OperatorDefinition] = [
        "Slice": .one(slice), "Split": .several(split), "Concat": .one(concat),
        "Trilu": .one(triangle, opsets: 14...25),
    ]

    static func concat(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        guard let axis = node.int("axis") else { throw refuse(node, "a missing axis") }
        return { _, x throws(EngineError) in
            let resolved = try place(node, axis, rank: first(x).extents.count)
            var parts: [OpaquePointer?] = []
            var extents = try first(x).extents.map(Int64.init)
            extents[resolved] = 0
            for index in x.indices {
                let part = try first(x, index)
                guard part.extents.count == extents.count else { throw refuse(node, "inputs of different ranks") }
                extents[resolved] += Int64(part.extents[resolved])
                parts.append(part.handle)
            }
            try limit(extents, node)
            return try TorchTensor(ct_concat(parts, Int32(parts.count), Int64(resolved)))
        }
    }

    /// Starts and ends are clamped to the axis; a negative step walks backwards.
    static func slice(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        var constants: [[Int64]?] = [nil]
        for index in 1..<5 { constants.append(try known(node, graph, input: index)) }
        return { [constants] _, x throws(EngineError) in
            var result = try first(x)
            let extents = result.extents
            let starts = try integers(constants[1], else: x, 1, node)
            let ends = try integers(constants[2], else: x, 2, node)
            let axes = x.count > 3 && x[3] != nil ? try integers(constants[3], else: x, 3, node) : nil
            let steps = x.count > 4 && x[4] != nil ? try integers(constants[4], else: x, 4, node) : nil
            guard ends.count == starts.count, axes?.count ?? starts.count == starts.count,
                steps?.count ?? starts.count == starts.count
            else { throw refuse(node, "starts, ends, axes and steps of different lengths") }
            var cut: Set<Int> = []
            for index in starts.indices {
                let axis = try place(node, axes?[index] ?? Int64(index), rank: extents.count)
                guard cut.insert(axis).inserted else { throw refuse(node, "an axis given twice") }
                let step = steps?[index] ?? 1
                guard step != 0, step != .min else { throw refuse(node, "a step of \(step)") }
                let (start, count) = walk(from: starts[index], to: ends[index], by: step, extent: Int64(extents[axis]))
                result = try TorchTensor(ct_slice(result.handle, Int64(axis), start, count, step))
            }
            return result
        }
    }

    /// The first place and the number of places of a slice, by ONNX's rules of clamping.
    static func walk(from start: Int64, to end: Int64, by step: Int64, extent: Int64) -> (start: Int64, count: Int64) {
        // Backwards, -1 after counting from the end is the place before the first.
        let (low, high): (Int64, Int64) = step > 0 ? (0, extent) : (-1, extent - 1)
        func clamped(_ value: Int64, _ low: Int64) -> Int64 { min(max(value < 0 ? value + extent : value, low), high) }
        let first = clamped(start, step > 0 ? 0 : min(0, high))
        let length = step > 0 ? clamped(end, low) - first : first - clamped(end, low)
        guard length > 0, extent > 0 else { return (0, 0) }
        return (first, (length - 1) / abs(step) + 1)
    }

    /// Sizes come as an input, or the axis is cut into equal parts, the last of which may be smaller.
    static func split(_ node: Node, _ graph: Graph) throws(EngineError) -> Perform {
        let axis = node.int("axis") ?? 0
        let parts = node.int("num_outputs") ?? Int64(node.outputs.count)
        guard parts == Int64(node.outputs.count), parts > 0 else {
            throw refuse(node, "num_outputs \(parts) for \(node.outputs.count) outputs")
        }
        let isUneven = node.int("num_outputs") != nil
        let constant = try known(node, graph, input: 1)
        let wanted = node.outputs.map { !$0.isEmpty }
        return { _, x throws(EngineError) in
            let input = try first(x)
            let place = try place(node, axis, rank: input.extents.count)
            let extent = Int64(input.extents[place])
            let sizes: [Int64]
            if x.count > 1, x[1] != nil {
                sizes = try integers(constant, else: x, 1, node)
            } else {
                let size = (extent + parts - 1) / parts
                guard isUneven || size * parts == extent else { throw refuse(node, "\(extent) in \(parts) parts") }
                sizes = (0..<parts).map { max(0, min(size, extent - $0 * size)) }
            }
            guard sizes.count == Int(parts), sizes.allSatisfy({ (0...extent).contains($0) }),
                sizes.reduce(0, +) == extent
            else { throw refuse(node, "parts of \(sizes) for an axis of \(extent)") }
            var (start, results) = (Int64(0), [TorchTensor?]())
            for (size, isWanted) in zip(sizes, wanted) {
                results.append(isWanted ? try TorchTensor(ct_slice(input.handle, Int64(place), start, size, 1)) : nil)
                start += size
            }
            return results
        }
    }

    static func triangle(_ node: Node, _ graph: Graph) throws(EngineError) -> Single {
        let isUpper = node.int("upper") ?? 1 != 0
        let constant = try known(node, graph, input: 1)
        return { _, x throws(EngineError) in
            let k = x.count > 1 && x[1] != nil ? try integers(constant, else: x, 1, node).first : 0
            guard let k else { throw refuse(node, "an empty k") }
            return try TorchTensor(ct_triangle(first(x).handle, k, isUpper))
        }
    }
}
