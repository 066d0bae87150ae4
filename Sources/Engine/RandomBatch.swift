import ModelGraph
import Tensors

/// A batch of noise that fits a model, and a loss that its output can have.
public enum RandomBatch {
    /// Most elements of one input.
    private static let elementLimit = 1 << 30

    /// - Parameters:
    ///   - rows: the extent of every input's first axis.
    ///   - extents: of dynamic axes, by name.
    /// - Throws: `EngineError.badBatch` naming the input and axis whose extent is not known, or a type without noise.
    static func make(
        for graph: Graph, rows: Int, extents: [String: Int] = [:], seed: UInt64 = 1
    ) throws(EngineError) -> (batch: Batch, loss: Loss) {
        var random = SeededGenerator(seed: seed)
        let inputs = try inputs(for: graph, rows: rows, extents: extents, &random)
        let output = try Executable(graph).logits(inputs)
        let (targets, loss) = try targets(for: output.shape, &random)
        return (Batch(inputs: inputs, targets: targets), loss)
    }

    /// The inputs alone: numbers from 0 to 1, integers 0 and 1.
    /// - Parameter rows: nil for as many as `rows(for:)`.
    /// - Throws: as `make`.
    public static func inputs(
        for graph: Graph, rows: Int? = nil, extents: [String: Int] = [:], seed: UInt64 = 1
    ) throws(EngineError) -> NamedTensors {
        var random = SeededGenerator(seed: seed)
        return try inputs(for: graph, rows: rows ?? self.rows(for: graph), extents: extents, &random)
    }

    /// The batch that a model declares; 2 where it takes any, so that samples cannot be mistaken for one another's.
    public static func rows(for graph: Graph) -> Int {
        if case .fixed(let extent)? = graph.inputs.first?.dimensions?.first { extent } else { 2 }
    }

    /// The same, from a generator that goes on.
    static func inputs(
        for graph: Graph, rows: Int, extents: [String: Int], _ random: inout SeededGenerator
    ) throws(EngineError) -> NamedTensors {
        var inputs = NamedTensors()
        for input in graph.inputs {
            inputs[input.name] = try noise(
                input, shape: shape(of: input, rows: rows, extents: extents), &random)
        }
        return inputs
    }

    private static func shape(
        of input: ValueInfo, rows: Int, extents: [String: Int]
    ) throws(EngineError) -> Shape {
        guard let dimensions = input.dimensions, !dimensions.isEmpty else {
            throw .badBatch("input '\(input.name)' declares no shape: write one into the model")
        }
        var found: [Int] = []
        for (axis, dimension) in dimensions.enumerated() {
            switch dimension {
            case .fixed(let extent):
                guard axis > 0 || extent == rows else {
                    throw .badBatch("input '\(input.name)' takes batches of \(extent), not of \(rows)")
                }
                found.append(extent)
            case .symbolic(let name) where extents[name] != nil && axis > 0: found.append(extents[name] ?? 1)
            case _ where axis == 0 || dimension == dimensions[0] && dimension != .unknown: found.append(rows)
            case .symbolic(let name):
                throw .badBatch("input '\(input.name)' has the dynamic axis '\(name)': give --extent \(name)=N")
            case .unknown:
                throw .badBatch(
                    "axis \(axis) of input '\(input.name)' has neither extent nor name: name it in the model")
            }
        }
        var count = 1
        for extent in found {
            let (product, overflows) = count.multipliedReportingOverflow(by: extent)
            guard extent > 0, !overflows, product <= elementLimit else {
                throw .badBatch("input '\(input.name)' of \(found) is empty or too large")
            }
            count = product
        }
        guard let shape = try? Shape(found) else { throw .badBatch("input '\(input.name)' of \(found) is too large") }
        return shape
    }

    /// Uniform numbers; for integers 0 and 1, since every vocabulary has those ids.
    private static func noise(
        _ input: ValueInfo, shape: Shape, _ random: inout SeededGenerator
    ) throws(EngineError) -> Tensor {
        let indices = 0..<shape.elementCount
        switch input.elementType {
        case .float32: return Tensor(indices.map { _ in random.uniform() }, shape: shape)
        case .int64: return Tensor(indices.map { _ in Int64(random.index(below: 2)) }, shape: shape)
        case .int32:
            return Tensor(
                elements: indices.map { _ in Int32(random.index(below: 2)) }, elementType: .int32, shape: shape)
        case .uint8: return Tensor(indices.map { _ in UInt8(random.index(below: 2)) }, shape: shape)
        // A mask that hides everything gives no finite loss.
        case .bool:
            return Tensor(elements: indices.map { _ in 1 } as [UInt8], elementType: .bool, shape: shape)
        default: throw .badBatch("input '\(input.name)' is \(input.elementType), for which there is no random data")
        }
    }

    /// Classes for `[n, classes]` and maps, tokens for `[n, length, vocabulary]`, values for one number a row.
    private static func targets(
        for output: Shape, _ random: inout SeededGenerator
    ) throws(EngineError) -> (Tensor, Loss) {
        let extents = output.dimensions
        guard extents.count >= 2, output.elementCount > 0 else {
            return (Tensor(zeros: output), .meanSquaredError)
        }
        let isTokens = extents.count == 3
        let axis = isTokens ? 2 : 1
        let classes = extents[axis]
        guard classes > 1 else { return (Tensor(zeros: output), .meanSquaredError) }
        var positions = extents
        positions.remove(at: axis)
        guard let shape = try? Shape(positions) else { throw .badBatch("the output \(output) is too large") }
        let labels = Tensor((0..<shape.elementCount).map { _ in Int64(random.index(below: classes)) }, shape: shape)
        return (labels, isTokens ? .nextToken() : .crossEntropy)
    }
}
