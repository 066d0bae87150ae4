import Tensors

/// How one activation tensor maps to uint8: real = scale (stored - zeroPoint).
public struct ActivationQuantization: Sendable, Equatable {
    public let scale: Float
    public let zeroPoint: UInt8

    public init(scale: Float, zeroPoint: UInt8) {
        self.scale = scale
        self.zeroPoint = zeroPoint
    }
}

/// A weight in int8, symmetric per channel: real = scales[channel] * value.
public struct QuantizedWeight: Sendable, Equatable {
    /// int8, of the float weight's shape.
    public let values: Tensor
    /// One positive scale per index of `axis`.
    public let scales: [Float]
    /// The axis of the output channels, as `quantizableWeights` gives it.
    public let axis: Int

    public init(values: Tensor, scales: [Float], axis: Int) {
        self.values = values
        self.scales = scales
        self.axis = axis
    }

    /// The same weight with larger scales for some channels, its values rounded to the coarser steps.
    func raisingScales(to larger: [Float]) -> QuantizedWeight {
        guard larger != scales else { return self }
        let inner = values.shape.dimensions[(axis + 1)...].reduce(1, *)
        var integers = values.elements(as: Int8.self)
        for index in integers.indices {
            let channel = index / inner % scales.count
            guard larger[channel] != scales[channel] else { continue }
            // Steps grow, so the magnitude shrinks and stays in range.
            integers[index] = Int8(
                (Float(integers[index]) * (scales[channel] / larger[channel])).rounded(.toNearestOrEven))
        }
        return QuantizedWeight(
            values: Tensor(elements: integers, elementType: .int8, shape: values.shape), scales: larger, axis: axis)
    }
}
