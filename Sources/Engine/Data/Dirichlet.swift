import Foundation
import Tensors

/// Samples of the symmetric Dirichlet distribution.
enum Dirichlet {
    /// `count` proportions that add up to 1, from normalised gamma samples. Worked in logarithms, because for a small
    /// alpha the gamma samples themselves underflow to 0 all at once.
    static func sample(alpha: Double, count: Int, using generator: inout SeededGenerator) -> [Double] {
        let logarithms = (0..<count).map { _ in logGamma(alpha, using: &generator) }
        let largest = logarithms.max() ?? 0
        let weights = logarithms.map { exp($0 - largest) }
        let sum = weights.reduce(0, +)
        return weights.map { $0 / sum }
    }

    /// A Gamma(alpha, 1) sample.
    static func gamma(_ alpha: Double, using generator: inout SeededGenerator) -> Double {
        exp(logGamma(alpha, using: &generator))
    }

    /// The logarithm of a Gamma(alpha, 1) sample: Marsaglia and Tsang (2000), with their boost for alpha < 1,
    /// Gamma(alpha) = Gamma(alpha + 1) * U^(1/alpha).
    static func logGamma(_ alpha: Double, using generator: inout SeededGenerator) -> Double {
        if alpha < 1 {
            let boost = log(uniform(&generator)) / alpha
            return logGamma(alpha + 1, using: &generator) + boost
        }
        let d = alpha - 1 / 3
        let c = 1 / (9 * d).squareRoot()
        while true {
            let x = normal(&generator)
            let cube = 1 + c * x
            guard cube > 0 else { continue }
            let v = cube * cube * cube
            let u = uniform(&generator)
            if log(u) < 0.5 * x * x + d - d * v + d * log(v) { return log(d) + log(v) }
        }
    }

    /// Uniform in (0, 1].
    private static func uniform(_ generator: inout SeededGenerator) -> Double {
        Double(generator.next() >> 11 + 1) * 0x1p-53
    }

    /// Standard normal by Marsaglia's polar method.
    private static func normal(_ generator: inout SeededGenerator) -> Double {
        while true {
            let a = 2 * uniform(&generator) - 1
            let b = 2 * uniform(&generator) - 1
            let s = a * a + b * b
            if s > 0, s < 1 { return a * (-2 * log(s) / s).squareRoot() }
        }
    }
}
