import CTorch

/// A matrix of doubles, row-major, at least 1 x 1: what decompositions work on. Weights come from float32 and go back to
/// it; everything between is double.
public struct Matrix: Sendable, Equatable {
    public let rows: Int
    public let columns: Int
    public private(set) var values: [Double]

    /// Precondition: `values.count == rows * columns`, and both are at least 1.
    public init(rows: Int, columns: Int, values: [Double]) {
        precondition(
            rows > 0 && columns > 0 && values.count == rows * columns,
            "\(values.count) values for a matrix of \(rows) x \(columns)")
        (self.rows, self.columns, self.values) = (rows, columns, values)
    }

    /// Ones on the diagonal.
    public init(identity size: Int) {
        self.init(rows: size, columns: size, values: Array(repeating: 0, count: size * size))
        for index in 0..<size { self[index, index] = 1 }
    }

    public subscript(row: Int, column: Int) -> Double {
        get { values[row * columns + column] }
        set { values[row * columns + column] = newValue }
    }

    /// Σ of the squares: the squared Frobenius norm.
    public var energy: Double { values.reduce(0) { $0 + $1 * $1 } }

    public var isFinite: Bool { values.allSatisfy(\.isFinite) }

    public var transposed: Matrix {
        var result = [Double](repeating: 0, count: values.count)
        for row in 0..<rows {
            for column in 0..<columns { result[column * rows + row] = values[row * columns + column] }
        }
        return Matrix(rows: columns, columns: rows, values: result)
    }

    /// The first columns. Precondition: there are that many.
    public func prefix(columns count: Int) -> Matrix {
        precondition((1...columns).contains(count), "\(count) of \(columns) columns")
        return Matrix(
            rows: rows, columns: count,
            values: (0..<rows).flatMap { values[($0 * columns)..<($0 * columns + count)] })
    }

    /// Each column times a number. Precondition: one for each.
    public func scalingColumns(by factors: [Double]) -> Matrix {
        precondition(factors.count == columns, "\(factors.count) factors for \(columns) columns")
        var result = self
        for index in values.indices { result.values[index] *= factors[index % columns] }
        return result
    }

    /// self other, with either read transposed.
    /// - Throws: `EngineError.runtime`. Precondition: the inner extents agree.
    public func times(
        _ other: Matrix, transposingSelf: Bool = false, transposingOther: Bool = false
    ) throws(EngineError) -> Matrix {
        let (rows, inner) = transposingSelf ? (columns, self.rows) : (self.rows, columns)
        let (second, columns) = transposingOther ? (other.columns, other.rows) : (other.rows, other.columns)
        precondition(inner == second, "a product over \(inner) and \(second) terms")
        var result = [Double](repeating: 0, count: rows * columns)
        let status = result.withUnsafeMutableBufferPointer {
            ct_matrix_product(
                values, other.values, Int64(rows), Int64(inner), Int64(columns), transposingSelf, transposingOther,
                $0.baseAddress)
        }
        try CTorchStatus.check(status)
        return Matrix(rows: rows, columns: columns, values: result)
    }
}
