import Engine
import Tensors

// A layer's weight as the matrices that are decomposed, and factors as tensors.
extension FactorizableLayer {
    /// [outputs, inputs], whatever the file's order; or of a spatial decomposition [outputs x columns, inputs x rows], in
    /// which W[o, i, a, b] stands at ((o, b), (i, a)).
    func matrix(_ weight: Tensor, _ method: FactorizationMethod) -> Matrix {
        let values = weight.floats.map(Double.init)
        if case .dense(let layout) = form {
            guard !layout.outputsFirst else { return Matrix(rows: outputs, columns: inputs, values: values) }
            return Matrix(rows: inputs, columns: outputs, values: values).transposed
        }
        guard method == .spatial else {
            return Matrix(rows: outputs, columns: inputs * kernelElements, values: values)
        }
        let (height, width) = (convolution.kernel[0], convolution.kernel[1])
        var matrix = Matrix(
            rows: outputs * width, columns: inputs * height, values: Array(repeating: 0, count: values.count))
        var next = 0
        for output in 0..<outputs {
            for input in 0..<inputs {
                for row in 0..<height {
                    for column in 0..<width {
                        matrix[output * width + column, input * height + row] = values[next]
                        next += 1
                    }
                }
            }
        }
        return matrix
    }

    /// The two factors of `after` [.., r] `before` [r, ..] in the order in which they are applied and in a layout that its nodes read.
    func tensors(before: Matrix, after: Matrix, _ method: FactorizationMethod) -> [Tensor] {
        let rank = before.rows
        if case .dense(let layout) = form {
            let (first, second) = layout.factorsOutputsFirst ? (before, after) : (before.transposed, after.transposed)
            return [
                Self.tensor(first, [first.rows, first.columns]), Self.tensor(second, [second.rows, second.columns]),
            ]
        }
        guard method == .spatial else {
            return [Self.tensor(before, [rank, inputs, 1, 1]), Self.tensor(after, [outputs, rank, 1, 1])]
        }
        let (height, width) = (convolution.kernel[0], convolution.kernel[1])
        var second: [Double] = []
        second.reserveCapacity(after.values.count)
        for output in 0..<outputs {
            for channel in 0..<rank {
                for column in 0..<width { second.append(after[output * width + column, channel]) }
            }
        }
        return [
            Self.tensor(before, [rank, inputs, height, 1]),
            Self.tensor(Matrix(rows: outputs, columns: rank * width, values: second), [outputs, rank, 1, width]),
        ]
    }

    /// Precondition: the extents are the matrix's.
    static func tensor(_ matrix: Matrix, _ extents: [Int]) -> Tensor {
        guard let shape = try? Shape(extents) else { preconditionFailure("factors of shape \(extents)") }
        return Tensor(matrix.values.map { Float($0) }, shape: shape)
    }
}
