extension Tensor {
    /// Subtracts element by element, in place. Precondition: both are float32 of the same size.
    public mutating func subtract(_ other: Tensor) {
        precondition(elementCount == other.elementCount, "\(other.shape) cannot be subtracted from \(shape)")
        withMutableElements(as: Float.self) { values in
            other.withElements(as: Float.self) { other in
                for index in values.indices { values[index] -= other[index] }
            }
        }
    }
}

extension UnsafeBufferPointer<Float> {
    /// Σx² in double, in eight sums side by side.
    public var sumOfSquares: Double {
        var lanes = SIMD8<Double>(repeating: 0)
        var index = 0
        while index + 8 <= count {
            var part = SIMD8<Double>()
            for lane in 0..<8 { part[lane] = Double(self[index + lane]) }
            lanes += part * part
            index += 8
        }
        var sum = lanes.sum()
        while index < count {
            sum += Double(self[index]) * Double(self[index])
            index += 1
        }
        return sum
    }
}

/// Uniform noise for benchmarks: a stand-in for an update that no packing makes smaller.
public struct BenchmarkNoise {
    public let magnitude: Float
    /// Eight generators side by side.
    private var state: SIMD8<UInt32>

    public init(magnitude: Float, seed: UInt64) {
        self.magnitude = magnitude
        var generator = SeededGenerator(seed: seed, labels: "noise")
        state = SIMD8()
        for lane in state.indices { state[lane] = UInt32(truncatingIfNeeded: generator.next()) }
    }

    /// A number below the magnitude added to each element, another for each. Precondition: float32.
    public mutating func added(to tensor: Tensor) -> Tensor {
        tensor.withElements(as: Float.self) { values in
            Tensor(float32: tensor.shape) { target in
                let (from, to) = (UnsafeRawBufferPointer(values), UnsafeMutableRawBufferPointer(target))
                for start in stride(from: 0, to: target.count, by: 8) {
                    // Numerical Recipes' linear congruence: its high bits are random enough for this.
                    state = state &* 1_664_525 &+ 1_013_904_223
                    let noise = (SIMD8<Float>(SIMD8<Int32>(truncatingIfNeeded: state &>> 8)) * 0x1p-23 - 1) * magnitude
                    if start + 8 <= target.count {
                        let sum = from.loadUnaligned(fromByteOffset: 4 * start, as: SIMD8<Float>.self) + noise
                        to.storeBytes(of: sum, toByteOffset: 4 * start, as: SIMD8<Float>.self)
                    } else {
                        for index in start..<target.count { target[index] = values[index] + noise[index - start] }
                    }
                }
            }
        }
    }
}
