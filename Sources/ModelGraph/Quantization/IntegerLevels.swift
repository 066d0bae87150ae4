import Foundation

/// Levels of a codebook as int8, which is what integer kernels multiply: level = step x code, rounded to nearest.
public struct IntegerLevels: Sendable, Equatable {
    /// As many as levels; equal where two levels are too close to be told apart.
    public let codes: [Int8]
    /// Positive.
    public let step: Float

    /// Levels that are such integers already stay as they are. For others it takes the largest code among the upper half of those
    /// allowed that leaves the least squared error: powers of two come out exact, others within 1/126 of the largest level.
    /// - Parameters:
    ///   - levels: finite.
    ///   - largestCode: of the target's kernels (`DeploymentTarget.largestWeightCode`).
    ///   - hasPowerOfTwoStep: takes the least step that is a power of two and reaches the largest level.
    public init(_ levels: [Float], largestCode: Int, hasPowerOfTwoStep: Bool = false) {
        let largest = levels.reduce(0) { max($0, abs(Double($1))) }
        let isInteger = levels.allSatisfy { $0 == $0.rounded() }
        guard largest > 0, !isInteger || largest > Double(largestCode) else {
            (codes, step) = (levels.map { Int8($0) }, 1)
            return
        }
        func rounded(_ step: Double) -> [Double] { levels.map { (Double($0) / step).rounded(.toNearestOrEven) } }
        if hasPowerOfTwoStep {
            var step = Double(sign: .plus, exponent: (largest / Double(largestCode)).exponent, significand: 1)
            if step * Double(largestCode) < largest { step *= 2 }
            step = max(step, Double(Float.leastNormalMagnitude))
            codes = rounded(step).map { Int8($0) }
            self.step = Float(step)
            return
        }
        var best = (code: largestCode, error: Double.infinity)
        for code in stride(from: largestCode, through: (largestCode + 1) / 2, by: -1) {
            let step = largest / Double(code)
            let error = zip(levels, rounded(step)).reduce(0.0) { sum, pair in
                let miss = Double(pair.0) - pair.1 * step
                return sum + miss * miss
            }
            if error < best.error { best = (code, error) }
        }
        let step = largest / Double(best.code)
        codes = rounded(step).map { Int8($0) }
        self.step = Float(step)
    }
}
