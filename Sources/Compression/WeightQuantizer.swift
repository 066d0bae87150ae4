import ModelGraph
import Tensors

/// Turns float weights into integers.
public enum WeightQuantizer {
    /// int8, symmetric, one scale per channel: s = 2·absmax/(127 − (−127)), q = round(w/s) in [−127, 127]. Zeros stay
    /// zeros, so masked weights stay masked. A channel of zeros has scale 1.
    /// - Parameters:
    ///   - tensor: float32.
    ///   - axis: the channel axis.
    public static func perChannelInt8(_ tensor: Tensor, axis: Int) -> QuantizedWeight {
        precondition(tensor.shape.dimensions.indices.contains(axis), "axis \(axis) of shape \(tensor.shape)")
        let channels = tensor.shape[axis]
        let inner = tensor.shape.dimensions[(axis + 1)...].reduce(1, *)
        let weights = tensor.floats
        func channel(_ index: Int) -> Int { index / inner % channels }
        var largest = [Float](repeating: 0, count: channels)
        for (index, weight) in weights.enumerated() {
            largest[channel(index)] = max(largest[channel(index)], abs(weight))
        }
        let scales = largest.map { $0 > 0 ? max($0 / 127, .leastNormalMagnitude) : 1 }
        let codes = weights.enumerated().map { index, weight in
            Int8(min(max((weight / scales[channel(index)]).rounded(.toNearestOrEven), -127), 127))
        }
        return QuantizedWeight(
            values: Tensor(elements: codes, elementType: .int8, shape: tensor.shape), scales: scales, axis: axis)
    }
}
