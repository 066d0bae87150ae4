import Engine
import Tensors

/// What is known of the numbers that a layer multiplies: E[x] and E[x xᵀ] of each group, over all samples and places.
public struct InputMoments: Sendable, Equatable {
    /// Numbers of x.
    public let columns: Int
    /// By group: E[y yᵀ] of y = (x, 1), on and above the diagonal, row by row.
    private let triangles: [[Float]]

    public var groups: Int { triangles.count }

    /// Precondition: as many numbers in each as (columns + 1)(columns + 2)/2.
    init(columns: Int, triangles: [[Float]]) {
        let size = MomentLayout.numbers(columns + 1)
        precondition(!triangles.isEmpty && triangles.allSatisfy { $0.count == size }, "moments of another extent")
        (self.columns, self.triangles) = (columns, triangles)
    }

    /// The place of a row's diagonal.
    private func start(_ row: Int) -> Int { row * (2 * (columns + 1) - row + 1) / 2 }

    /// E[x]. Precondition: the group is one.
    public func mean(group: Int) -> [Double] {
        (0..<columns).map { Double(triangles[group][start($0) + columns - $0]) }
    }

    /// E[x²]: what an error of a weight costs. Precondition: the group is one.
    public func meanSquare(group: Int) -> [Float] { (0..<columns).map { triangles[group][start($0)] } }

    /// E[x xᵀ], or where the bias takes the mean's part of an error, E[x xᵀ] − E[x] E[x]ᵀ. No diagonal is below 0.
    /// Precondition: the group is one.
    public func matrix(group: Int, isCentred: Bool) -> Matrix {
        let mean = isCentred ? mean(group: group) : [Double](repeating: 0, count: columns)
        let triangle = triangles[group]
        var values = [Double](repeating: 0, count: columns * columns)
        values.withUnsafeMutableBufferPointer { values in
            for row in 0..<columns {
                let start = self.start(row)
                for column in row..<columns {
                    let value = Double(triangle[start + column - row]) - mean[row] * mean[column]
                    values[row * columns + column] = column == row ? max(0, value) : value
                    values[column * columns + row] = values[row * columns + column]
                }
            }
        }
        return Matrix(rows: columns, columns: columns, values: values)
    }

    /// E[x²] as `WeightQuantizer` weights errors with: each weight's own input's. Precondition: the moments are the layer's.
    public func importance(of layer: QuantizableLayer, shape: Shape) -> Tensor {
        precondition(
            layer.columns == columns && layer.groups == groups, "moments of another layer than '\(layer.name)'")
        var values = [Float](repeating: 0, count: layer.weights)
        for group in 0..<groups {
            let squares = meanSquare(group: group)
            for row in 0..<layer.rows {
                for column in 0..<columns { values[layer.element(group, row, column)] = squares[column] }
            }
        }
        return Tensor(values, shape: shape)
    }
}
