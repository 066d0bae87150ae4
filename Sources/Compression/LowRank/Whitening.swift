import Engine
import Tensors

/// The coordinates in which a layer's inputs have the second moment I: what a decomposition cuts there is the error of the
/// layer's outputs, as ‖(W - Ŵ) L‖² = E‖(W - Ŵ) x‖² with L Lᵀ = E[x xᵀ].
struct Whitening: Sendable, Equatable {
    /// L, symmetric.
    let root: Matrix
    /// L⁻¹.
    let inverse: Matrix

    /// Of the mean eigenvalue, added to all: directions that the data never take have a price all the same.
    static let ridge = 1e-6

    /// - Returns: nil where the moment is zero, so that no direction is better than another.
    /// - Throws: `EngineError`. Precondition: the moment is square and finite.
    init?(_ moment: Matrix) throws(EngineError) {
        var symmetric = moment
        for row in 0..<moment.rows {
            for column in 0..<moment.columns {
                symmetric[row, column] = 0.5 * moment[row, column] + 0.5 * moment[column, row]
            }
        }
        let parts = try symmetric.eigenDecomposition()
        // Rounding makes small eigenvalues negative.
        let mean = parts.values.reduce(0) { $0 + max(0, $1) } / Double(moment.rows)
        guard mean > 0, mean.isFinite else { return nil }
        let roots = parts.values.map { (max(0, $0) / mean + Self.ridge).squareRoot() }
        root = try parts.vectors.scalingColumns(by: roots).times(parts.vectors, transposingOther: true)
        inverse = try parts.vectors.scalingColumns(by: roots.map { 1 / $0 }).times(
            parts.vectors, transposingOther: true)
    }

    /// The moment of channels in that of columns of `rows` places: the mean over places.
    static func channels(of moment: Matrix, rows: Int) -> Matrix {
        let count = moment.rows / rows
        var result = Matrix(rows: count, columns: count, values: Array(repeating: 0, count: count * count))
        for first in 0..<count {
            for second in 0..<count {
                let sum = (0..<rows).reduce(0) { $0 + moment[first * rows + $1, second * rows + $1] }
                result[first, second] = sum / Double(rows)
            }
        }
        return result
    }
}
