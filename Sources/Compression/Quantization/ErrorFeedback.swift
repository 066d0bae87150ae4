import Engine

/// GPTQ (Frantar et al. 2023, algorithm 1): columns are quantized one after another, and what each loses is made good by those
/// that are left, by the inverse of H + 0.01 mean(diag) I. Columns of the largest E[x²] come first, which their code calls
/// "act order"; scales are fixed before. Masked weights stay 0 and what they would have taken over goes on to the others.
struct ErrorFeedback {
    private static let blockSize = 128
    private let problem: RoundingProblem

    init(_ problem: RoundingProblem) { self.problem = problem }

    /// nil where the inputs never change, so that nothing can be made good.
    func codes() throws(EngineError) -> [Int8]? {
        var codes = [Int8](repeating: 0, count: problem.weights.count)
        for group in 0..<problem.layer.groups {
            let moments = problem.moments[group]
            let diagonal = (0..<moments.rows).map { moments[$0, $0] }
            let mean = diagonal.reduce(0, +) / Double(diagonal.count)
            let order = diagonal.indices.sorted { (-diagonal[$0], $0) < (-diagonal[$1], $1) }
            // A group whose inputs never change has nothing to be made good: any damping serves.
            let factor = try Self.factor(moments, order, damping: mean.isNormal ? 0.01 * mean : 1)
            try round(group, order, factor, &codes)
        }
        return codes
    }

    /// U, upper triangular, with (H + damping)⁻¹ = Uᵀ U, rows and columns in the order. Damped more where rounding left H
    /// indefinite.
    private static func factor(_ moments: Matrix, _ order: [Int], damping: Double) throws(EngineError) -> Matrix {
        let size = moments.rows
        var turned = Matrix(rows: size, columns: size, values: moments.values)
        for row in 0..<size {
            for column in 0..<size { turned[row, column] = moments[order[row], order[column]] }
        }
        var damping = damping
        for _ in 0..<3 {
            var damped = turned
            for place in 0..<size { damped[place, place] += damping }
            if let factor = try? damped.inverseCholesky() { return factor }
            damping *= 10
        }
        for place in 0..<size { turned[place, place] += damping }
        return try turned.inverseCholesky()
    }

    private func round(_ group: Int, _ order: [Int], _ factor: Matrix, _ codes: inout [Int8]) throws(EngineError) {
        let (rows, columns) = (problem.layer.rows, problem.layer.columns)
        let first = group * problem.groupSize
        var left = [Double](repeating: 0, count: rows * columns)
        for row in 0..<rows {
            for column in 0..<columns {
                left[row * columns + column] = problem.weights[first + row * columns + order[column]]
            }
        }
        for start in stride(from: 0, to: columns, by: Self.blockSize) {
            let end = min(start + Self.blockSize, columns)
            var errors = [Double](repeating: 0, count: rows * (end - start))
            for row in 0..<rows {
                for column in start..<end {
                    let place = first + row * columns + order[column]
                    let element = problem.element(place)
                    let value = left[row * columns + column]
                    let code = problem.grid.nearest(problem.weights[place] == 0 ? 0 : value, element: element)
                    codes[place] = code
                    let error =
                        (value - Double(problem.grid.value(code, ofElement: element))) / factor[column, column]
                    errors[row * (end - start) + column - start] = error
                    for later in column + 1..<max(end, column + 1) {
                        left[row * columns + later] -= error * factor[column, later]
                    }
                }
            }
            guard end < columns else { break }
            // The rest of the columns take over all of the block's errors at once.
            let rest = columns - end
            var share = [Double](repeating: 0, count: (end - start) * rest)
            for column in start..<end {
                for later in end..<columns { share[(column - start) * rest + later - end] = factor[column, later] }
            }
            let taken = try Matrix(rows: rows, columns: end - start, values: errors)
                .times(Matrix(rows: end - start, columns: rest, values: share))
            for row in 0..<rows {
                for later in 0..<rest { left[row * columns + end + later] -= taken[row, later] }
            }
        }
    }
}
