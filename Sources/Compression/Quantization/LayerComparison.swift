import Engine
import ModelGraph
import Tensors

/// Runs a model and its quantized form side by side and sums how far they are apart: what a worker does of a comparison. Owned by
/// one thread.
public final class LayerComparison {
    /// Of all batches so far.
    public private(set) var sums: ComparisonSums
    private let float: Executable
    private let quantized: Executable
    private let given: String
    /// By layer: the value that is compared.
    private let values: [String?]

    /// - Parameters:
    ///   - deployed: the graph for inference that the file was made from: values have the same names.
    ///   - quantized: the file, which may be hostile: values that it does not have are not compared.
    ///   - layers: of the deployed graph.
    /// - Throws: `EngineError.unsupported`.
    public init(deployed: Graph, quantized: Graph, layers: [QuantizableLayer]) throws {
        float = try Executable(deployed)
        self.quantized = try Executable(quantized)
        given = deployed.inputs.first?.name ?? ""
        values = layers.map { $0.comparedValue(deployed: deployed, quantized: quantized) }
        sums = ComparisonSums(layers: layers.map(\.name))
    }

    /// Adds a batch of samples for a single-input model.
    /// - Throws: `EngineError`; `CompressionError.valueOutOfRange` where values are not finite. Sums are then as they were.
    public func add(_ inputs: Tensor) throws {
        let inputs = NamedTensors([(given, inputs)])
        let names = Array(Set(values.compactMap(\.self))).sorted()
        let (one, before) = try float.logits(inputs, features: names)
        let (other, after) = try quantized.logits(inputs, features: names)
        var added = sums
        for (index, name) in values.enumerated() {
            guard let name, let x = before[name], let y = after[name], x.shape == y.shape,
                x.elementType == .float32, y.elementType == .float32
            else { continue }
            try added.agreements[index].add(x, y)
        }
        let (same, rows) = Self.sameLargest(one, other)
        (added.agreeing, added.outputs) = (added.agreeing + same, added.outputs + rows)
        sums = added
    }

    /// Rows along the last axis whose largest number is at the same place.
    private static func sameLargest(_ one: Tensor, _ other: Tensor) -> (same: Int, rows: Int) {
        guard one.shape == other.shape, one.elementType == .float32, other.elementType == .float32,
            let width = one.shape.dimensions.last, width > 1
        else { return (0, 0) }
        let rows = one.elementCount / width
        let (a, b) = (one.floats, other.floats)
        let place = { (values: [Float], row: Int) in
            (row * width..<(row + 1) * width).max { values[$0] < values[$1] } ?? 0
        }
        return ((0..<rows).count { place(a, $0) == place(b, $0) }, rows)
    }
}

extension QuantizableLayer {
    /// The value by which the layer is judged: what its first node computes, or the Relu or Clip behind it where the two are one
    /// kernel of the quantized graph. nil where that has neither.
    func comparedValue(deployed: Graph, quantized: Graph) -> String? {
        let computed = Set(quantized.nodes.flatMap(\.outputs))
        let restored = Set(
            quantized.nodes.filter { $0.operatorType == "DequantizeLinear" && $0.domain.isEmpty }.flatMap(\.outputs))
        let candidates = settledValues(in: deployed)
        return candidates.first(where: restored.contains) ?? candidates.first(where: computed.contains)
    }

    /// The value that its first node computes, and what a Relu or Clip behind it makes of it.
    private func settledValues(in graph: Graph) -> [String] {
        guard let node = nodes.first, let output = graph.nodes[node].outputs.first else { return [] }
        let readers = graph.nodes.filter { $0.inputs.contains(output) }
        guard readers.count == 1, let reader = readers.first, ["Relu", "Clip"].contains(reader.operatorType),
            let settled = reader.outputs.first
        else { return [output] }
        return [output, settled]
    }
}
