import CTorch

/// matrix = left diag(values) rightᵀ with k = min(rows, columns).
public struct SingularValueDecomposition: Sendable, Equatable {
    /// [rows, k], orthonormal columns; the element of largest magnitude in each is positive.
    public let left: Matrix
    /// Falling, none negative.
    public let values: [Double]
    /// [columns, k], orthonormal columns.
    public let right: Matrix
}

/// matrix = vectors diag(values) vectorsᵀ of a symmetric matrix.
public struct EigenDecomposition: Sendable, Equatable {
    /// Rising.
    public let values: [Double]
    /// Orthonormal columns.
    public let vectors: Matrix
}

extension Matrix {
    /// The reduced singular value decomposition. The same bytes for the same matrix with one build of libtorch.
    /// - Throws: `EngineError.notFinite`, or `.runtime` where LAPACK does not converge.
    public func singularValueDecomposition() throws(EngineError) -> SingularValueDecomposition {
        guard isFinite else { throw .notFinite("a matrix to decompose") }
        let count = min(rows, columns)
        var left = [Double](repeating: 0, count: rows * count)
        var found = [Double](repeating: 0, count: count)
        var right = [Double](repeating: 0, count: columns * count)
        try CTorchStatus.check(
            ct_singular_values(values, Int64(rows), Int64(columns), &left, &found, &right))
        return SingularValueDecomposition(
            left: Matrix(rows: rows, columns: count, values: left), values: found.map { max(0, $0) },
            right: Matrix(rows: columns, columns: count, values: right))
    }

    /// The eigenvalues and vectors of a symmetric matrix, of which one triangle is read.
    /// - Throws: `EngineError.notFinite`, or `.runtime` where LAPACK does not converge. Precondition: it is square.
    public func eigenDecomposition() throws(EngineError) -> EigenDecomposition {
        precondition(rows == columns, "\(rows) x \(columns) has no eigenvalues")
        guard isFinite else { throw .notFinite("a matrix to decompose") }
        var found = [Double](repeating: 0, count: rows)
        var vectors = [Double](repeating: 0, count: rows * rows)
        try CTorchStatus.check(ct_symmetric_eigenvalues(values, Int64(rows), &found, &vectors))
        return EigenDecomposition(values: found, vectors: Matrix(rows: rows, columns: rows, values: vectors))
    }

    /// The upper triangular U with Uᵀ U = matrix⁻¹ of a symmetric positive definite matrix.
    /// - Throws: `EngineError.notFinite`, or `.runtime` where the matrix is not positive definite. Precondition: it is square.
    public func inverseCholesky() throws(EngineError) -> Matrix {
        precondition(rows == columns, "\(rows) x \(columns) has no Cholesky factor")
        guard isFinite else { throw .notFinite("a matrix to decompose") }
        var result = [Double](repeating: 0, count: rows * rows)
        try CTorchStatus.check(ct_inverse_cholesky(values, Int64(rows), &result))
        return Matrix(rows: rows, columns: rows, values: result)
    }
}
