import Tensors

extension Graph {
    /// The shape of every value: inputs, initializers and all that nodes compute.
    /// - Parameters:
    ///   - batch: what a symbolic or unknown first axis of an input takes, and other axes of the same symbol.
    ///   - extents: the extents of other symbolic axes by symbol, such as `["sequence": 128]`; an axis without a symbol
    ///     is called `INPUT.AXIS` (as `mask.1`). What is given here goes before `batch`.
    /// - Throws: `ModelError.invalidNode` where shapes do not fit or overflow, `.unsupportedOperator` for an operator
    ///   without a rule, `.invalidRequest` for an input whose shape is not declared and for an axis without an extent.
    public func inferShapes(batch: Int, extents: [String: Int] = [:]) throws(ModelError) -> [String: Shape] {
        try inferred(batch: batch, extents: extents).shapes
    }

    /// As `inferShapes`, with element types.
    func inferred(batch: Int, extents: [String: Int]) throws(ModelError) -> ShapeInference {
        var inference = ShapeInference(graph: self)
        for (name, shape) in try inputShapes(batch: batch, extents: extents) { inference.shapes[name] = shape }
        for input in inputs { inference.types[input.name] = input.elementType }
        for (name, tensor) in initializers.ordered { inference.define(name, tensor) }
        for node in nodes { try inference.visit(node) }
        return inference
    }
}

/// One walk over the nodes in order. Besides shapes it follows the small values from which exporters compute shapes.
struct ShapeInference {
    let opset: Int64
    var shapes: [String: Shape] = [:]
    var types: [String: ElementType] = [:]
    /// Values known on the host.
    var known: [String: HostTensor] = [:]

    init(graph: Graph) { opset = graph.opset }

    mutating func define(_ name: String, _ tensor: Tensor) {
        shapes[name] = tensor.shape
        types[name] = tensor.elementType
        known[name] = HostTensor(tensor)
    }

    mutating func visit(_ node: Node) throws(ModelError) {
        guard node.outputs.contains(where: { !$0.isEmpty }) else {
            throw .invalidNode(operatorType: node.operatorType, node: node.name, reason: "it has no output")
        }
        let results = try results(of: node)
        guard node.outputs.count <= results.count else {
            throw .invalidNode(
                operatorType: node.operatorType, node: node.name,
                reason: "it has \(node.outputs.count) outputs; the operator gives \(results.count)")
        }
        for (output, result) in zip(node.outputs, results) where !output.isEmpty {
            shapes[output] = result.shape
            types[output] = result.type
            known[output] = result.value
        }
    }

    private func results(
        of node: Node
    ) throws(ModelError) -> [(shape: Shape, type: ElementType, value: HostTensor?)] {
        let view = NodeShapes(node: node, opset: opset, shapes: shapes, types: types, known: known)
        guard let shapes = try ShapeRules.apply(view) else {
            throw .unsupportedOperator(
                operatorType: node.operatorType, node: node.name, opset: opset,
                reason: "its output shape cannot be inferred")
        }
        return shapes.enumerated().map { index, shape in
            let type = OutputTypes.type(ofOutput: index, view)
            return (shape, type, HostArithmetic.evaluate(view, output: index, shape: shape, type: type))
        }
    }
}

/// What a shape rule sees of one node; every accessor checks.
struct NodeShapes {
    let node: Node
    let opset: Int64
    let shapes: [String: Shape]
    let types: [String: ElementType]
    let known: [String: HostTensor]

    func invalid(_ reason: String) -> ModelError {
        .invalidNode(operatorType: node.operatorType, node: node.name, reason: reason)
    }

    func has(_ index: Int) -> Bool { index < node.inputs.count && !node.inputs[index].isEmpty }

    func input(_ index: Int) throws(ModelError) -> Shape {
        guard has(index), let shape = shapes[node.inputs[index]] else { throw invalid("input \(index) is missing") }
        return shape
    }

    func type(_ index: Int) -> ElementType? { has(index) ? types[node.inputs[index]] : nil }

    /// An input's value where it is known before running.
    func value(_ index: Int) -> HostTensor? { has(index) ? known[node.inputs[index]] : nil }

    /// An integer input whose value is known before running.
    func integers(_ index: Int) throws(ModelError) -> [Int64] {
        guard let values = value(index)?.integers else {
            throw invalid("input \(index) must be int64 and known before running")
        }
        return values
    }

    func shape(_ dimensions: [Int]) throws(ModelError) -> Shape {
        guard dimensions.allSatisfy({ (0...ModelLimits.extent).contains($0) }), dimensions.count <= ModelLimits.rank,
            let shape = try? Shape(dimensions)
        else { throw invalid("its output shape \(dimensions) is impossible") }
        return shape
    }

    /// An attribute that lists small non-negative numbers, or `fallback` where it is absent.
    func small(_ key: String, count: Int, fallback: Int, least: Int = 0) throws(ModelError) -> [Int] {
        guard let values = node.ints(key) else { return Array(repeating: fallback, count: count) }
        guard values.count == count, values.allSatisfy({ (Int64(least)...Int64(ModelLimits.extent)).contains($0) })
        else {
            throw invalid("attribute '\(key)' \(values) needs \(count) numbers of at least \(least)")
        }
        return values.map(Int.init)
    }

    /// An attribute that is one small number, or `fallback` where it is absent.
    func small(_ key: String, fallback: Int, least: Int = 0) throws(ModelError) -> Int {
        guard let value = node.int(key) else { return fallback }
        guard (Int64(least)...Int64(ModelLimits.extent)).contains(value) else {
            throw invalid("attribute '\(key)' \(value) must be a number of at least \(least)")
        }
        return Int(value)
    }

    /// An axis in -rank..<rank made non-negative.
    func axis(_ value: Int64, rank: Int) throws(ModelError) -> Int {
        guard value >= -Int64(rank), value < Int64(rank) else { throw invalid("axis \(value) is outside rank \(rank)") }
        return Int(value < 0 ? value + Int64(rank) : value)
    }

    /// Several axes, none of them twice.
    func axes(_ values: [Int64], rank: Int) throws(ModelError) -> [Int] {
        var axes: [Int] = []
        for value in values { axes.append(try axis(value, rank: rank)) }
        guard Set(axes).count == axes.count else { throw invalid("axes \(values) repeat") }
        return axes
    }
}
