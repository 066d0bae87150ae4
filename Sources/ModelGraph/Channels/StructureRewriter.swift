import Tensors

/// Mends what a graph says about extents after its initializers were sliced: groups of convolutions, sizes of splits,
/// bounds of slices, indices, and the shapes that Reshape, Expand and Resize are given. Then infers every shape anew and
/// compares it with what the labels foretell.
struct StructureRewriter {
    private(set) var graph: Graph
    let dead: DeadChannels
    /// The graph before, under two batches (and lengths), so that what follows them can be told from what is fixed.
    private let references: [Reference]
    private var taken: Set<String>
    /// Nodes to put in front of others.
    private var preceding: [Int: Node] = [:]

    /// Shapes of the graph before, and how they were found.
    struct Reference {
        let batch: Int
        let extents: [String: Int]
        let inference: ShapeInference
    }

    init(_ graph: Graph, _ dead: DeadChannels) {
        (self.graph, self.dead) = (graph, dead)
        references = dead.structure.references
        taken = graph.valueNames
    }

    private var structure: ChannelStructure { dead.structure }

    mutating func run() throws(ModelError) {
        for index in graph.nodes.indices where graph.nodes[index].domain.isEmpty { try adjust(index) }
        for (number, reference) in references.enumerated() { try check(reference, rewrites: number == 0) }
    }

    // MARK: Attributes and constants that name extents

    private mutating func adjust(_ index: Int) throws(ModelError) {
        let node = graph.nodes[index]
        guard !ChannelOperators.isHostArithmetic(node, structure.inference) else { return }
        let view = structure.view(node)
        switch node.operatorType {
        case "Conv", "ConvTranspose":
            guard let weight = structure.inference.shapes[node.inputs[1]],
                ChannelOperators.isDepthwise(node, weight: weight.dimensions),
                let kept = dead.kept(node.inputs[0], 1)
            else { return }
            graph.nodes[index].attributes["group"] = .int(Int64(kept.count))
        case "GroupNormalization":
            guard let kept = dead.kept(node.inputs[0], 1),
                node.int("num_groups") == Int64(structure.extent(node.inputs[0], 1))
            else { return }
            graph.nodes[index].attributes["num_groups"] = .int(Int64(kept.count))
        case "Split":
            guard let axis = try? view.axis(node.int("axis") ?? 0, rank: structure.rank(node.inputs[0])),
                let kept = dead.kept(node.inputs[0], axis), let parts = try? ShapeRules.splitParts(view)
            else { return }
            var start = 0
            let left = parts.map { part in
                defer { start += part }
                return Int64(kept.count { ($0 >= start) && ($0 < start + part) })
            }
            graph.nodes[index].attributes["num_outputs"] = nil
            graph.nodes[index].inputs = [node.inputs[0], constant(left, for: node, "parts")]
        case "Slice": try slice(index, view)
        case "Gather": try gather(index, view)
        default: return
        }
    }

    private mutating func slice(_ index: Int, _ view: NodeShapes) throws(ModelError) {
        let node = view.node
        let rank = structure.rank(node.inputs[0])
        guard (0..<rank).contains(where: { dead.kept(node.inputs[0], $0) != nil }),
            let slices = try? ShapeRules.slices(view), var starts = view.value(1)?.integers,
            var ends = view.value(2)?.integers,
            let axes = try? view.axes(
                view.has(3) ? view.integers(3) : starts.indices.map(Int64.init), rank: rank)
        else { return }
        for (place, axis) in axes.enumerated() {
            guard let kept = dead.kept(node.inputs[0], axis) else { continue }
            let slice = slices[axis]
            let first = kept.count { $0 < slice.start }
            starts[place] = Int64(first)
            ends[place] = Int64(first + kept.count { $0 >= slice.start && $0 < slice.start + slice.count })
        }
        graph.nodes[index].inputs[1] = constant(starts, for: node, "starts")
        graph.nodes[index].inputs[2] = constant(ends, for: node, "ends")
    }

    private mutating func gather(_ index: Int, _ view: NodeShapes) throws(ModelError) {
        let node = view.node
        guard let axis = try? view.axis(node.int("axis") ?? 0, rank: structure.rank(node.inputs[0])),
            let kept = dead.kept(node.inputs[0], axis), let places = view.value(1)?.integers
        else { return }
        let extent = Int64(structure.extent(node.inputs[0], axis))
        var moved: [Int64: Int64] = [:]
        for (new, old) in kept.enumerated() { moved[Int64(old)] = Int64(new) }
        let left = places.compactMap { moved[$0 < 0 ? $0 + extent : $0] }
        graph.nodes[index].inputs[1] = constant(left, for: node, "indices")
    }

    /// A new constant of one axis, in the element type of shapes.
    private mutating func constant(_ values: [Int64], for node: Node, _ what: String) -> String {
        let name = Graph.uniqueName("\(node.name).\(what)", taken: &taken)
        graph.initializers[name] = Tensor(elements: values, elementType: .int64, shape: [values.count])
        graph.constantNames.insert(name)
        return name
    }

    // MARK: Shapes

    /// Infers all shapes and compares them with those foretold; in the first walk a shape that an operator is given is
    /// rewritten where it no longer fits.
    private mutating func check(_ reference: Reference, rewrites: Bool) throws(ModelError) {
        var inference = ShapeInference(graph: graph)
        for (name, shape) in try graph.inputShapes(batch: reference.batch, extents: reference.extents) {
            inference.shapes[name] = shape
        }
        for input in graph.inputs { inference.types[input.name] = input.elementType }
        for (name, tensor) in graph.initializers.ordered { inference.define(name, tensor) }
        for index in graph.nodes.indices {
            var failure = attempt(graph.nodes[index], &inference)
            if rewrites, failure == nil, keepCounted(index, inference) {
                failure = attempt(graph.nodes[index], &inference)
            }
            if try agrees(index, inference, reference), failure == nil { continue }
            guard rewrites, try rewrite(index, &inference) else {
                throw failure ?? wrong(index, inference, reference)
            }
            if let failure = attempt(graph.nodes[index], &inference) { throw failure }
            guard try agrees(index, inference, reference) else { throw wrong(index, inference, reference) }
        }
        graph.nodes = graph.nodes.enumerated().flatMap { index, node in
            preceding[index].map { [$0, node] } ?? [node]
        }
        preceding = [:]
    }

    private func attempt(_ node: Node, _ inference: inout ShapeInference) -> ModelError? {
        // Constants that rewriting made are new to the walk.
        for name in node.inputs where inference.shapes[name] == nil {
            if let tensor = graph.initializers[name] { inference.define(name, tensor) }
        }
        do throws(ModelError) {
            try inference.visit(node)
            return nil
        } catch { return error }
    }

    private func wrong(_ index: Int, _ inference: ShapeInference, _ reference: Reference) -> ModelError {
        let node = graph.nodes[index]
        let output = node.outputs.first { !$0.isEmpty } ?? ""
        let found = inference.shapes[output].map(\.description) ?? "none"
        return .invalidNode(
            operatorType: node.operatorType, node: node.name,
            reason: "without the pruned channels it would give shape \(found) instead of "
                + "\(foretold(output, reference) ?? []); keep the channels around it")
    }

    /// The extents of a value when dead indices are gone, or nil for a value that is new.
    private func foretold(_ value: String, _ reference: Reference) -> [Int]? {
        guard let old = reference.inference.shapes[value]?.dimensions else { return nil }
        let (before, after) = (structure.inference.shapes[value]?.dimensions ?? [], dead.dimensions(value))
        guard old.count == before.count else { return nil }
        return old.indices.map { before[$0] == 0 ? old[$0] : old[$0] * after[$0] / before[$0] }
    }

    private func agrees(
        _ index: Int, _ inference: ShapeInference, _ reference: Reference
    ) throws(ModelError) -> Bool {
        let node = graph.nodes[index]
        for output in node.outputs where !output.isEmpty {
            guard let expected = foretold(output, reference) else { continue }
            if ChannelOperators.isHostArithmetic(node, structure.inference) { continue }
            guard inference.shapes[output]?.dimensions == expected else { return false }
            guard !expected.contains(0) || reference.inference.shapes[output]?.dimensions.contains(0) == true else {
                throw .invalidNode(
                    operatorType: node.operatorType, node: node.name,
                    reason: "nothing would be left of its output; keep some of its channels")
            }
        }
        // A number computed from an extent (a scale, say) would change with it.
        if let (old, new) = counted(node, inference, reference), old != new {
            throw .invalidNode(
                operatorType: node.operatorType, node: node.name,
                reason: "the network computes with an extent, which would change from \(old) to \(new)")
        }
        return true
    }

    /// What a conversion makes of a number known before running, in the graph before and now.
    private func counted(
        _ node: Node, _ inference: ShapeInference, _ reference: Reference
    ) -> (old: [Double], new: [Double])? {
        guard ["Cast", "CastLike"].contains(node.operatorType), let output = node.outputs.first,
            let old = reference.inference.known[output]?.reals, let new = inference.known[output]?.reals,
            inference.types[node.inputs[0]]?.isFloatingPoint == false
        else { return nil }
        return (old, new)
    }

    /// Keeps a number that was computed from an extent as it was: the scale of an attention, say.
    private mutating func keepCounted(_ index: Int, _ inference: ShapeInference) -> Bool {
        let node = graph.nodes[index]
        guard let (old, new) = counted(node, inference, references[0]), old != new,
            let value = references[0].inference.known[node.inputs[0]], let integers = value.integers,
            value.type == .int64
        else { return false }
        let name = Graph.uniqueName("\(node.name).value", taken: &taken)
        graph.initializers[name] = Tensor(elements: integers, elementType: .int64, shape: value.shape)
        graph.constantNames.insert(name)
        graph.nodes[index].inputs[0] = name
        return true
    }

    /// Gives a Reshape, Expand or Resize the shape it now needs.
    /// - Returns: false for another operator.
    private mutating func rewrite(_ index: Int, _ inference: inout ShapeInference) throws(ModelError) -> Bool {
        let node = graph.nodes[index]
        guard let output = node.outputs.first, let x = node.inputs.first,
            let first = foretold(output, references[0]), let last = foretold(output, references[references.count - 1]),
            let before = foretold(x, references[0]), let beforeLast = foretold(x, references[references.count - 1])
        else { return false }
        var target: [Int64] = []
        switch node.operatorType {
        case "Reshape":
            for axis in first.indices {
                if first[axis] == last[axis], first[axis] > 0 {
                    target.append(Int64(first[axis]))
                } else if axis < before.count, before[axis] == first[axis], beforeLast[axis] == last[axis] {
                    target.append(0)
                } else {
                    target.append(-1)
                }
            }
            graph.nodes[index].attributes["allowzero"] = nil
        case "Expand":
            let shift = first.count - before.count
            for axis in first.indices {
                let follows =
                    axis >= shift && before[axis - shift] == first[axis] && beforeLast[axis - shift] == last[axis]
                target.append(follows ? 1 : first[axis] == last[axis] ? Int64(first[axis]) : -1)
            }
        default: return try resize(index, first, last)
        }
        guard target.count(where: { $0 == -1 }) <= (node.operatorType == "Reshape" ? 1 : 0) else {
            if try rewritePieces(index, first, last, &inference) { return true }
            throw .invalidNode(
                operatorType: node.operatorType, node: node.name,
                reason: "its shape follows several open axes and cannot be written anew; keep the channels around it")
        }
        graph.nodes[index].inputs = [x, constant(target, for: node, "shape")]
        return true
    }

    /// Where a shape is joined from parts, those that no open axis decides are written anew.
    private mutating func rewritePieces(
        _ index: Int, _ first: [Int], _ last: [Int], _ inference: inout ShapeInference
    ) throws(ModelError) -> Bool {
        let node = graph.nodes[index]
        guard node.inputs.count > 1,
            let source = graph.nodes.first(where: { $0.outputs == [node.inputs[1]] }), source.operatorType == "Concat",
            let stated = inference.known[node.inputs[1]]?.integers, stated.count == first.count
        else { return false }
        var pieces: [String] = []
        var start = 0
        for piece in source.inputs {
            let range = start..<(start + (inference.shapes[piece]?.elementCount ?? 0))
            start = range.upperBound
            guard range.upperBound <= first.count else { return false }
            if range.allSatisfy({ stated[$0] <= 0 || stated[$0] == Int64(first[$0]) }) {
                pieces.append(piece)
            } else {
                guard range.allSatisfy({ first[$0] == last[$0] }) else { return false }
                pieces.append(constant(range.map { Int64(first[$0]) }, for: node, "shape"))
            }
        }
        let joined = Graph.uniqueName("\(node.name).shape", taken: &taken)
        let concat = Node(
            name: joined, operatorType: "Concat", inputs: pieces, outputs: [joined], attributes: ["axis": .int(0)])
        if let failure = attempt(concat, &inference) { throw failure }
        preceding[index] = concat
        graph.nodes[index].inputs[1] = joined
        return true
    }

    private mutating func resize(_ index: Int, _ first: [Int], _ last: [Int]) throws(ModelError) -> Bool {
        let node = graph.nodes[index]
        let view = structure.view(node)
        guard node.operatorType == "Resize", view.has(3), first == last, var sizes = view.value(3)?.integers else {
            return false
        }
        let listed = node.ints("axes") ?? first.indices.map(Int64.init)
        for (place, axis) in try view.axes(listed, rank: first.count).enumerated() where place < sizes.count {
            if structure.extent(node.outputs[0], axis) != first[axis] { sizes[place] = Int64(first[axis]) }
        }
        graph.nodes[index].inputs[3] = constant(sizes, for: node, "sizes")
        return true
    }
}
