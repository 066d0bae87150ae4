import Tensors

/// A weight as a file holds it: codes, or indices of levels, that become int8 before they are scaled.
struct StoredWeight {
    /// int8 of the weight's shape.
    var codes: Tensor
    var bits: Int
    /// What indices stand for; nil where codes are the integers themselves.
    var levels: [Int8]?
    var scales: [Float]
    var zeroPoints: [Int8]?
    var axis: Int
    var blocks: QuantizedWeight.Blocks?

    /// - Parameter largestCode: the largest magnitude that the target's kernels take, for levels.
    init(_ weight: QuantizedWeight, largestCode: Int) {
        (codes, bits, scales) = (weight.values, weight.bits, weight.scales)
        (zeroPoints, axis, blocks) = (weight.zeroPoints, weight.axis, weight.blocks)
        guard let codebook = weight.codebook else { return }
        let grid = IntegerLevels(codebook, largestCode: largestCode)
        levels = grid.codes
        scales = scales.map { $0 * grid.step }
    }

    /// Two axes swapped, codes and scales alike. Precondition: a matrix.
    func transposed() -> StoredWeight {
        precondition(codes.shape.rank == 2, "transposing \(codes.shape)")
        let (rows, columns) = (codes.shape[0], codes.shape[1])
        var result = self
        result.codes = Tensor(
            elements: Self.transposed(codes.elements(as: Int8.self), rows, columns), elementType: .int8,
            shape: [columns, rows])
        result.axis = 1 - axis
        guard let blocks else { return result }
        let (scaleRows, scaleColumns) =
            blocks.axis == 0
            ? ((rows + blocks.size - 1) / blocks.size, columns)
            : (
                rows, (columns + blocks.size - 1) / blocks.size
            )
        result.blocks = QuantizedWeight.Blocks(axis: 1 - blocks.axis, size: blocks.size)
        result.scales = Self.transposed(scales, scaleRows, scaleColumns)
        result.zeroPoints = zeroPoints.map { Self.transposed($0, scaleRows, scaleColumns) }
        return result
    }

    private static func transposed<Element>(_ values: [Element], _ rows: Int, _ columns: Int) -> [Element] {
        (0..<columns).flatMap { column in (0..<rows).map { values[$0 * columns + column] } }
    }

    /// The extents of scales and zero points.
    var scaleShape: [Int] {
        guard let blocks else { return [scales.count] }
        var extents = codes.shape.dimensions
        extents[blocks.axis] = (extents[blocks.axis] + blocks.size - 1) / blocks.size
        return extents
    }
}
