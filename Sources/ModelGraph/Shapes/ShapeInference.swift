import Tensors

extension Graph {
    /// The shape of every value for one batch size: inputs, initializers and all that nodes compute. A symbolic or
    /// unknown first axis of an input takes `batch`, as do other axes of the same symbol.
    /// - Throws: `ModelError.invalidNode` where shapes do not fit, `.unsupportedOperator` for an operator without a rule,
    ///   `.invalidRequest` for an input whose shape is not declared.
    public func inferShapes(batch: Int) throws(ModelError) -> [String: Shape] {
        guard (1...ModelLimits.extent).contains(batch) else {
            throw .invalidRequest("a batch of \(batch) is impossible")
        }
        var inference = ShapeInference(graph: self)
        for input in inputs { inference.shapes[input.name] = try input.shape(batch: batch) }
        for (name, tensor) in initializers.ordered { inference.define(name, tensor) }
        for node in nodes { try inference.visit(node) }
        return inference.shapes
    }
}

extension ValueInfo {
    /// The concrete shape for one batch size.
    func shape(batch: Int) throws(ModelError) -> Shape {
        guard let dimensions else { throw .invalidRequest("input '\(name)' declares no shape; export it with one") }
        var extents: [Int] = []
        for (axis, dimension) in dimensions.enumerated() {
            switch dimension {
            case .fixed(let extent): extents.append(extent)
            case .symbolic(let symbol) where axis == 0 || dimensions[0] == .symbolic(symbol): extents.append(batch)
            case .unknown where axis == 0: extents.append(batch)
            case .symbolic, .unknown:
                throw .invalidRequest("axis \(axis) of input '\(name)' has no fixed extent; only the batch may vary")
            }
        }
        do { return try Shape(extents) } catch { throw .invalidTensor(error) }
    }
}

/// One walk over the nodes in order. Besides shapes it follows small int64 values, from which exporters compute shapes.
struct ShapeInference {
    let graph: Graph
    var shapes: [String: Shape] = [:]
    /// Values known on the host, in row-major order.
    var integers: [String: [Int64]] = [:]

    /// Most elements of a value followed on the host: shapes are short, so anything longer is data.
    static let integerLimit = 1_024

    init(graph: Graph) { self.graph = graph }

    mutating func define(_ name: String, _ tensor: Tensor) {
        shapes[name] = tensor.shape
        if tensor.elementType == .int64, tensor.elementCount <= Self.integerLimit {
            integers[name] = tensor.elements(as: Int64.self)
        }
    }

    mutating func visit(_ node: Node) throws(ModelError) {
        guard let first = node.outputs.first, !first.isEmpty else {
            throw .invalidNode(operatorType: node.operatorType, node: node.name, reason: "it has no output")
        }
        let (shape, values) = try result(of: node)
        shapes[first] = shape
        // Further outputs (Dropout's mask, MaxPool's indices) have the shape of the first one.
        for output in node.outputs.dropFirst() where !output.isEmpty { shapes[output] = shape }
        if let values, values.count == shape.elementCount { integers[first] = values }
    }

    private func result(of node: Node) throws(ModelError) -> (Shape, [Int64]?) {
        let view = NodeShapes(node: node, opset: graph.opset, shapes: shapes, integers: integers)
        guard let shape = try ShapeRules.apply(view) else {
            throw .unsupportedOperator(
                operatorType: node.operatorType, node: node.name, opset: graph.opset,
                reason: "its output shape cannot be inferred")
        }
        return (shape, HostIntegers.evaluate(view))
    }
}

/// What a shape rule sees of one node; every accessor checks.
struct NodeShapes {
    let node: Node
    let opset: Int64
    let shapes: [String: Shape]
    let integers: [String: [Int64]]

    func invalid(_ reason: String) -> ModelError {
        .invalidNode(operatorType: node.operatorType, node: node.name, reason: reason)
    }

    func has(_ index: Int) -> Bool { index < node.inputs.count && !node.inputs[index].isEmpty }

    func input(_ index: Int) throws(ModelError) -> Shape {
        guard has(index), let shape = shapes[node.inputs[index]] else { throw invalid("input \(index) is missing") }
        return shape
    }

    /// An int64 input whose value is known before running.
    func integers(_ index: Int) throws(ModelError) -> [Int64] {
        guard has(index), let values = integers[node.inputs[index]] else {
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

    /// An axis in -rank..<rank made non-negative.
    func axis(_ value: Int64, rank: Int) throws(ModelError) -> Int {
        guard value >= -Int64(rank), value < Int64(rank) else { throw invalid("axis \(value) is outside rank \(rank)") }
        return Int(value < 0 ? value + Int64(rank) : value)
    }
}
