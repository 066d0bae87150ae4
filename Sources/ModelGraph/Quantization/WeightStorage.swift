import Tensors

/// How many bytes a file for a target holds of a weight: codes, levels, scales and zero points as `Graph.quantized(for:)` writes
/// them. What weights share (tables to unpack by, zeros) and names are not counted.
public struct WeightStorage: Sendable, Equatable {
    /// Bytes that packing must save to be worth its nodes.
    static let leastSaving = 1_024

    private let target: DeploymentTarget
    private let packs: Bool

    /// - Parameter packs: as `Graph.quantized(for:)` was asked to.
    public init(target: DeploymentTarget, packs: Bool) {
        (self.target, self.packs) = (target, packs && target.packsWeights)
    }

    /// Whether codes lie packed.
    static func isPacked(count: Int, bits: Int) -> Bool {
        (2...7).contains(bits) && count - PackedCodes.byteCount(of: count, bits: bits) >= leastSaving
    }

    /// At most so many bytes: where all zero points are 0, it is less.
    /// - Parameters:
    ///   - axis: of the output channels. Precondition: the shape has it, and that of the blocks.
    ///   - hasCodebook: whether codes are indices of levels.
    public func bytes(
        shape: Shape, axis: Int, bits: Int, blocks: QuantizedWeight.Blocks? = nil, hasZeroPoints: Bool = false,
        hasCodebook: Bool = false
    ) -> Int {
        let count = shape.elementCount
        var scales = shape[axis]
        if let blocks {
            let extent = max(1, shape[blocks.axis])
            scales = count / extent * ((extent + blocks.size - 1) / blocks.size)
        }
        let codes: Int
        if target == .int4 {
            codes = (count + 1) / 2
        } else if packs, Self.isPacked(count: count, bits: bits) {
            codes = PackedCodes.byteCount(of: count, bits: bits) + (hasCodebook ? 1 << bits : 0)
        } else {
            codes = count
        }
        guard hasZeroPoints else { return codes + 4 * scales }
        // Convolutions are float arithmetic on codes, and their zero points floats.
        let isUnfolded = shape.rank != 2 && blocks == nil
        let zeroPoints = isUnfolded ? 4 * scales : target == .int4 ? (scales + 1) / 2 : scales
        return codes + 4 * scales + zeroPoints
    }
}

extension DeploymentTarget {
    /// Whether its runtime unpacks weights of few bits when it loads a file.
    var packsWeights: Bool { self != .tensorrt }
}
