import Foundation
import Tensors

/// How far a network's outputs are from those of the network it was made from.
enum OutputDivergence {
    /// Σ over rows of KL(softmax(reference) || softmax(candidate)) in nats, or of squared differences where rows have one number.
    /// Rows lie along axis 1 of maps `[n, classes, height, width]`, else along the last axis.
    /// - Returns: the sum and how many rows there are.
    /// Precondition: both are float32 of one shape.
    static func sum(reference: Tensor, candidate: Tensor) -> (sum: Double, rows: Int) {
        precondition(
            reference.shape == candidate.shape, "outputs of shapes \(reference.shape) and \(candidate.shape)")
        let extents = reference.shape.dimensions
        let axis = extents.count == 4 ? 1 : extents.count - 1
        guard reference.elementCount > 0, axis >= 0 else { return (0, 0) }
        let width = extents[axis]
        let stride = extents[(axis + 1)...].reduce(1, *)
        let rows = reference.elementCount / width
        var sum = 0.0
        reference.withElements(as: Float.self) { one in
            candidate.withElements(as: Float.self) { other in
                for row in 0..<rows {
                    let start = row / stride * width * stride + row % stride
                    let places = Swift.stride(from: start, to: start + width * stride, by: stride)
                    sum += width == 1 ? squaredDifference(one[start], other[start]) : divergence(one, other, places)
                }
            }
        }
        return (sum, rows)
    }

    private static func squaredDifference(_ a: Float, _ b: Float) -> Double {
        let difference = Double(a) - Double(b)
        return difference * difference
    }

    private static func divergence(
        _ one: UnsafeBufferPointer<Float>, _ other: UnsafeBufferPointer<Float>, _ places: StrideTo<Int>
    ) -> Double {
        let (normOne, normOther) = (logarithmOfSum(one, places), logarithmOfSum(other, places))
        var sum = 0.0
        for place in places {
            let logarithm = Double(one[place]) - normOne
            sum += exp(logarithm) * (logarithm - Double(other[place]) + normOther)
        }
        // Rounding may leave a little less than nothing.
        return max(0, sum)
    }

    private static func logarithmOfSum(_ values: UnsafeBufferPointer<Float>, _ places: StrideTo<Int>) -> Double {
        let largest = places.reduce(-Double.infinity) { max($0, Double(values[$1])) }
        return largest + log(places.reduce(0) { $0 + exp(Double(values[$1]) - largest) })
    }
}
