import Foundation
import Tensors

/// How well one set of numbers stands for another, from sums that add up over batches and workers.
public struct Agreement: Sendable, Equatable {
    /// Σ x² of the reference.
    public private(set) var reference = 0.0
    /// Σ (x − y)².
    public private(set) var error = 0.0
    /// Σ x y.
    public private(set) var product = 0.0
    /// Σ y².
    public private(set) var other = 0.0

    public init() {}

    /// Sums from elsewhere, as a message brings them.
    /// - Throws: `CompressionError.valueOutOfRange` for sums that no numbers have.
    public init(reference: Double, error: Double, product: Double, other: Double) throws(CompressionError) {
        let sums = [reference, error, product, other]
        guard sums.allSatisfy(\.isFinite), reference >= 0, error >= 0, other >= 0,
            // Cauchy and Schwarz, but for rounding.
            abs(product) <= (reference.squareRoot() * other.squareRoot()) * (1 + 1e-6) + 1e-30
        else { throw .valueOutOfRange("sums of a layer's outputs are \(sums): no numbers have such") }
        (self.reference, self.error, self.product, self.other) = (reference, error, product, other)
    }

    /// Adds numbers and what stands for them.
    /// - Throws: `CompressionError.valueOutOfRange` where any is not finite. Precondition: float32 of one shape.
    public mutating func add(_ x: Tensor, _ y: Tensor) throws(CompressionError) {
        precondition(x.shape == y.shape, "\(x.shape) is compared with \(y.shape)")
        var sums = SIMD4<Double>.zero
        x.withElements(as: Float.self) { x in
            y.withElements(as: Float.self) { y in
                for index in x.indices {
                    let (a, b) = (Double(x[index]), Double(y[index]))
                    sums += SIMD4(a * a, (a - b) * (a - b), a * b, b * b)
                }
            }
        }
        guard sums.sum().isFinite else { throw .valueOutOfRange("values that are compared must be finite") }
        (reference, error, product, other) = (reference + sums[0], error + sums[1], product + sums[2], other + sums[3])
    }

    public mutating func merge(_ another: Agreement) {
        reference += another.reference
        error += another.error
        product += another.product
        other += another.other
    }

    /// Signal to quantization noise, 10 log10(Σ x² / Σ (x − y)²), in dB and at most 200; nil where there is no signal.
    public var signalToNoise: Double? {
        guard reference > 0 else { return nil }
        guard error > 0 else { return 200 }
        return min(200, 10 * log10(reference / error))
    }

    /// Σ x y / √(Σ x² Σ y²), −1...1; nil where either is all zeros.
    public var cosine: Double? {
        let norms = reference.squareRoot() * other.squareRoot()
        return norms > 0 ? min(1, max(-1, product / norms)) : nil
    }
}
