import Tensors

/// Seeded initial values. Only + - * / and sqrt, which IEEE 754 rounds exactly, so every machine gets the same bits.
struct InitialWeights {
    /// How a weight's values are spread.
    enum Spread {
        /// U(-bound, bound).
        case uniform(bound: Float)
        case normal(deviation: Double)
        /// Normal values, drawn again where they lie beyond two deviations.
        case truncatedNormal(deviation: Double)

        /// Kaiming-uniform (He et al. 2015, section 2.2): b = sqrt(3 gain^2 / fanIn), gain^2 = 2 before a ReLU.
        static func kaimingUniform(fanIn: Int, gainSquared: Float = 2) -> Spread {
            .uniform(bound: (3 * gainSquared / Float(fanIn)).squareRoot())
        }

        /// Kaiming-normal over the outputs, as the reference recipes of ResNet and MobileNetV2: deviation sqrt(2 / fanOut),
        /// where fanOut counts all output channels, also of a grouped convolution.
        static func kaimingNormal(fanOut: Int) -> Spread { .normal(deviation: (2 / Double(fanOut)).squareRoot()) }

        /// Xavier-uniform (Glorot and Bengio 2010, equation 16): b = sqrt(6 / (fanIn + fanOut)).
        static func xavierUniform(fanIn: Int, fanOut: Int) -> Spread {
            .uniform(bound: (6 / Float(fanIn + fanOut)).squareRoot())
        }
    }

    let model: String
    let seed: UInt64

    /// The tensor of this name: its values depend on seed, model and name only.
    func tensor(_ name: String, _ extents: [Int], _ spread: Spread) -> Tensor {
        var generator = SeededGenerator(seed: seed, labels: model, name)
        let shape = Self.shape(extents)
        var values: [Float] = []
        values.reserveCapacity(shape.elementCount)
        switch spread {
        case .uniform(let bound):
            for _ in 0..<shape.elementCount { values.append((2 * generator.uniform() - 1) * bound) }
        case .normal(let deviation):
            let step = deviation / Self.sumDeviation
            for _ in 0..<shape.elementCount { values.append(Float(Double(Self.sum(&generator)) * step)) }
        case .truncatedNormal(let deviation):
            let step = deviation / Self.sumDeviation
            let limit = Int(2 * Self.sumDeviation)
            for _ in 0..<shape.elementCount {
                var sum = Self.sum(&generator)
                while abs(sum) > limit { sum = Self.sum(&generator) }
                values.append(Float(Double(sum) * step))
            }
        }
        return Tensor(values, shape: shape)
    }

    func tensor(_ extents: [Int], filledWith value: Float) -> Tensor {
        let shape = Self.shape(extents)
        return Tensor([Float](repeating: value, count: shape.elementCount), shape: shape)
    }

    /// The sum of four uniform numbers of 16 bits, less its mean: nearly normal (Irwin-Hall), without logarithms.
    private static func sum(_ generator: inout SeededGenerator) -> Int {
        let bits = generator.next()
        let sum = (bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48)
        return Int(sum) - 2 * 0xffff
    }

    /// Standard deviation of that sum: each part has the variance (2^32 - 1) / 12.
    private static let sumDeviation = (4 * 4_294_967_295.0 / 12).squareRoot()

    private static func shape(_ extents: [Int]) -> Shape {
        guard let shape = try? Shape(extents) else { preconditionFailure("invalid layer shape \(extents)") }
        return shape
    }
}
