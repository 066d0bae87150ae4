import ModelGraph
import Tensors

/// Turns float weights into integers.
public enum WeightQuantizer {
    /// int8, symmetric, one scale per channel: s = 2·absmax/(127 − (−127)), q = round(w/s) in [−127, 127]. Zeros stay
    /// zeros, so masked weights stay masked. A channel of zeros has scale 1.
    /// - Parameters:
    ///   - tensor: float32.
    ///   - axis: the channel axis. Precondition: the tensor has it.
    ///   - name: the tensor's, for errors.
    /// - Throws: `CompressionError.weightsNotFinite`.
    public static func perChannelInt8(
        _ tensor: Tensor, axis: Int, name: String
    ) throws(CompressionError) -> QuantizedWeight {
        precondition(tensor.shape.dimensions.indices.contains(axis), "axis \(axis) of shape \(tensor.shape)")
        let channels = tensor.shape[axis]
        let inner = tensor.shape.dimensions[(axis + 1)...].reduce(1, *)
        let weights = tensor.floats
        guard weights.allSatisfy(\.isFinite) else { throw .weightsNotFinite(tensor: name) }
        var scales = [Float](repeating: 1, count: channels)
        var codes = [Int8](repeating: 0, count: weights.count)
        for channel in 0..<channels {
            // A channel is a run of `inner` weights in each repetition of the axes before.
            let runs = stride(from: channel * inner, to: weights.count, by: max(1, channels * inner))
            var largest: Float = 0
            for start in runs { for weight in weights[start..<start + inner] { largest = max(largest, abs(weight)) } }
            guard largest > 0 else { continue }
            let scale = max(largest / 127, .leastNormalMagnitude)
            scales[channel] = scale
            for start in runs {
                for index in start..<start + inner {
                    codes[index] = Int8(min(max((weights[index] / scale).rounded(.toNearestOrEven), -127), 127))
                }
            }
        }
        return QuantizedWeight(
            values: Tensor(elements: codes, elementType: .int8, shape: tensor.shape), scales: scales, axis: axis)
    }
}
