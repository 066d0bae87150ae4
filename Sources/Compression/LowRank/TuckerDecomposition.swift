import Engine

/// W[o, i, k] ≈ Σ core[q, p, k] output[o, q] input[i, p]: Tucker-2, begun from the singular vectors of the unfoldings (HOSVD)
/// and improved by alternating projections (HOOI; De Lathauwer, De Moor, Vandewalle 2000).
struct TuckerDecomposition {
    /// [inputs, p], orthonormal columns.
    let input: Matrix
    /// [outputs, q], orthonormal columns.
    let output: Matrix
    /// [q, p x kernel].
    let core: Matrix
    /// The share of the weight's energy that is left.
    let kept: Double

    /// Rounds of alternating projections; the gain of later ones is beyond the third digit.
    static let rounds = 4

    /// - Parameters:
    ///   - weight: [outputs, inputs x kernel].
    ///   - kernel: elements of the kernel.
    ///   - rank: channels read and computed by the core; at most `kernel` times one another.
    init(_ weight: Matrix, kernel: Int, rank: (input: Int, output: Int)) throws(EngineError) {
        let inputs = weight.columns / kernel
        var inner = try Self.basis(weight.swappingAxes(weight.rows, inputs, kernel), rank.input)
        var outer = try Self.basis(weight, rank.output)
        for _ in 0..<Self.rounds {
            outer = try Self.basis(Self.projected(weight, inner, kernel), rank.output)
            let narrowed = try outer.times(weight, transposingSelf: true)
            inner = try Self.basis(narrowed.swappingAxes(narrowed.rows, inputs, kernel), rank.input)
        }
        core = try Self.projected(outer.times(weight, transposingSelf: true), inner, kernel)
        (input, output) = (inner, outer)
        let total = weight.energy
        kept = total > 0 ? min(1, core.energy / total) : 1
    }

    /// The first left singular vectors.
    private static func basis(_ unfolding: Matrix, _ count: Int) throws(EngineError) -> Matrix {
        let left = try unfolding.singularValueDecomposition().left
        return left.prefix(columns: min(count, left.columns))
    }

    /// [rows, inputs x kernel] with its inputs projected: [rows, p x kernel].
    private static func projected(_ weight: Matrix, _ input: Matrix, _ kernel: Int) throws(EngineError) -> Matrix {
        let unfolded = weight.swappingAxes(weight.rows, input.rows, kernel)
        return try input.times(unfolded, transposingSelf: true).swappingAxes(input.columns, weight.rows, kernel)
    }
}

extension Matrix {
    /// [a, b x c] as [b, a x c]. Precondition: the extents are the matrix's.
    func swappingAxes(_ a: Int, _ b: Int, _ c: Int) -> Matrix {
        precondition(rows == a && columns == b * c, "\(rows) x \(columns) is not \(a) x \(b) x \(c)")
        var result: [Double] = []
        result.reserveCapacity(values.count)
        for second in 0..<b {
            for first in 0..<a {
                let start = (first * b + second) * c
                result.append(contentsOf: values[start..<start + c])
            }
        }
        return Matrix(rows: b, columns: a * c, values: result)
    }
}
