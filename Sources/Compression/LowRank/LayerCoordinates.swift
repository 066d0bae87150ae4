import Engine

/// The coordinates in which a layer's weight W is decomposed.
enum LayerCoordinates: Sendable, Equatable {
    /// Those of the file: what is cut is energy of the weight.
    case plain
    /// Those of `Whitening`: what is cut is energy of the layer's outputs.
    case inputs(Whitening)
    /// The same cut found from the outputs' side, which is smaller where there are fewer of them than inputs.
    case outputs(OutputDirections)
}

/// The directions of a layer's outputs y = W x by what they hold. W L = U Σ Vᵀ with L Lᵀ = E[x xᵀ] has the U and Σ² of
/// E[y yᵀ] = W L Lᵀ Wᵀ, and its best approximation of rank r is U_r U_rᵀ W L; so E[y yᵀ] is all that is needed of the data.
struct OutputDirections: Sendable, Equatable {
    /// Orthonormal columns, the strongest first.
    let vectors: Matrix
    /// Falling, none negative.
    let energies: [Double]

    /// - Parameters:
    ///   - moment: E[y yᵀ], square.
    ///   - weight: [outputs, inputs].
    /// - Returns: nil where the moment is zero, so that no direction is better than another.
    /// - Throws: `EngineError`.
    init?(moment: Matrix, weight: Matrix) throws(EngineError) {
        let product = try weight.times(weight, transposingOther: true)
        let (data, plain) = (moment.trace, product.trace)
        guard data.isFinite, plain.isFinite else { throw .notFinite("a matrix to decompose") }
        guard data > 0, plain > 0 else { return nil }
        var mixed = moment
        for row in 0..<moment.rows {
            for column in 0..<moment.columns {
                // Directions that the data never take have a price all the same, as in `Whitening`.
                mixed[row, column] =
                    0.5 * (moment[row, column] / data + moment[column, row] / data)
                    + Whitening.ridge * product[row, column] / plain
            }
        }
        let parts = try mixed.eigenDecomposition()
        energies = parts.values.reversed().map { max(0, $0) }
        vectors = parts.vectors.reversingColumns
    }

    /// `after` `before` ≈ W at a rank, each column and row of a pair of one length, so that training moves both alike.
    func factors(of weight: Matrix, rank: Int) throws(EngineError) -> (before: Matrix, after: Matrix) {
        let directions = vectors.prefix(columns: rank)
        let rows = try directions.times(weight, transposingSelf: true)
        let lengths = (0..<rank).map { row in
            (0..<rows.columns).reduce(0) { $0 + rows[row, $1] * rows[row, $1] }.squareRoot().squareRoot()
        }
        let scales = lengths.map { $0 > 0 ? $0 : 1 }
        return (
            rows.transposed.scalingColumns(by: scales.map { 1 / $0 }).transposed,
            directions.scalingColumns(by: scales)
        )
    }
}

extension Matrix {
    /// Σ of the diagonal. Precondition: it is square.
    var trace: Double { (0..<rows).reduce(0) { $0 + self[$1, $1] } }

    /// The last column first.
    var reversingColumns: Matrix {
        Matrix(
            rows: rows, columns: columns,
            values: (0..<rows).flatMap { row in values[(row * columns)..<((row + 1) * columns)].reversed() })
    }
}
