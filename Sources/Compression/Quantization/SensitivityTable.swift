import Tensors

/// What rounding each layer alone costs, at several numbers of bits: what mixed precision is allocated by (METHODS "Mixed precision
/// per layer").
public struct SensitivityTable: Sendable, Equatable {
    /// The largest cost that is told apart from others: in nats, and far beyond any that leaves something of a model.
    public static let largestCost: Float = 1e6

    /// The weights' names.
    public let layers: [String]
    /// Ascending.
    public let bits: [Int]
    /// By layer, then by bits: mean divergence of the outputs from the float model's (`OutputDivergence`).
    public var costs: [[Double]]

    /// Precondition: a cost for each layer and number of bits.
    public init(layers: [String], bits: [Int], costs: [[Double]]) {
        precondition(
            costs.count == layers.count && costs.allSatisfy { $0.count == bits.count }, "costs of another table")
        (self.layers, self.bits, self.costs) = (layers, bits, costs)
    }

    /// What a layer at so many bits costs, if it was measured.
    public func cost(of layer: String, bits: Int) -> Double? {
        guard let row = layers.firstIndex(of: layer), let column = self.bits.firstIndex(of: bits) else { return nil }
        return costs[row][column]
    }
}

extension SensitivityTable {
    /// The costs as they travel: float32 [layers, bits], none above `largestCost`.
    public var tensor: Tensor {
        let values = costs.flatMap { row in row.map { min(Float($0), Self.largestCost) } }
        return Tensor(values, shape: [layers.count, bits.count])
    }

    /// A table from elsewhere, or the mean of several.
    /// - Parameter tensor: float32 [layers, bits].
    /// - Throws: `CompressionError.valueOutOfRange` for another type or shape and for costs that are no divergence.
    public init(layers: [String], bits: [Int], tensor: Tensor) throws(CompressionError) {
        guard tensor.elementType == .float32, tensor.shape.dimensions == [layers.count, bits.count] else {
            throw .valueOutOfRange(
                "sensitivities are \(tensor.elementType) \(tensor.shape), not float32 [\(layers.count), \(bits.count)]")
        }
        let values = tensor.floats
        for (index, value) in values.enumerated() {
            // Not a number is in no range.
            guard (0...Self.largestCost).contains(value) else {
                throw .valueOutOfRange(
                    "the sensitivity of '\(layers[index / bits.count])' at \(bits[index % bits.count]) bits is \(value): "
                        + "it must lie between 0 and \(Self.largestCost)")
            }
        }
        self.init(
            layers: layers, bits: bits,
            costs: layers.indices.map { row in
                values[row * bits.count..<(row + 1) * bits.count].map(Double.init)
            })
    }
}
