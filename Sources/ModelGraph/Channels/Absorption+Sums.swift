import Tensors

// What absorbing asks of nodes and weights.
extension Node {
    /// Whether windows reach over a border of zeros.
    func isPadded(kernel: [Int]) -> Bool {
        switch string("auto_pad") ?? "NOTSET" {
        case "NOTSET": ints("pads")?.contains { $0 != 0 } ?? false
        case "VALID": false
        default: kernel.isEmpty || kernel.contains { $0 != 1 }
        }
    }
}

extension Tensor {
    /// Of a matrix, the sum of some rows (or columns, along axis 1), each times a number.
    func weightedSum(_ terms: [(place: Int, value: Double)], axis: Int) -> [Double] {
        let (rows, columns) = (shape[0], shape[1])
        return withElements(as: Float.self) { values in
            (0..<(axis == 0 ? columns : rows)).map { other in
                terms.reduce(0) { sum, term in
                    let element = axis == 0 ? term.place * columns + other : other * columns + term.place
                    return sum + Double(values[element]) * term.value
                }
            }
        }
    }
}
