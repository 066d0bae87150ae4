import Foundation

/// The rank of what stands out of noise: the global analytic solution of empirical variational Bayesian matrix
/// factorization (Nakajima, Sugiyama, Babacan, Tomioka 2013, JMLR 14, theorem 2 and corollary 1), with the noise's variance
/// where the free energy is least.
struct NoiseRank {
    /// The smaller extent over the larger.
    private let ratio: Double
    private let larger: Double
    private let squares: [Double]
    /// What x = σ² / (larger variance) must exceed to stand out.
    private let threshold: Double

    /// - Parameter singularValues: all min(rows, columns) of them, falling.
    init(singularValues: [Double], rows: Int, columns: Int) {
        larger = Double(max(rows, columns))
        ratio = Double(min(rows, columns)) / larger
        squares = singularValues.map { $0 * $0 }
        // The paper's approximation of the root of its equation 21.
        let least = 2.5129 * ratio.squareRoot()
        threshold = (1 + least) * (1 + ratio / least)
    }

    /// How many singular values stand out; 0 where all is noise.
    var rank: Int {
        guard let variance else { return 0 }
        return squares.count { $0 > larger * variance * threshold }
    }

    /// The noise's variance per element; nil for a matrix of zeros.
    var variance: Double? {
        let total = squares.reduce(0, +)
        guard total > 0 else { return nil }
        let count = squares.count
        let upper = total / (Double(count) * larger)
        // No more than this many can stand out.
        let most = max(0, min(Int((Double(count) / (1 + ratio)).rounded(.up)) - 1, count - 1))
        let tail = squares[most...]
        let bound = max(squares[most] / (larger * threshold), tail.reduce(0, +) / (Double(tail.count) * larger))
        // A matrix without noise has a variance as small as rounding.
        let lower = min(upper, max(bound, upper * 1e-15))
        return minimum(from: log(lower), to: log(upper))
    }

    /// A grid finds the valley, as there may be several; golden sections its ground.
    private func minimum(from lower: Double, to upper: Double) -> Double {
        let steps = 512
        let width = (upper - lower) / Double(steps)
        var best = (energy: Double.infinity, at: upper)
        for step in 0...steps {
            let at = lower + width * Double(step)
            let energy = freeEnergy(exp(at))
            if energy < best.energy { best = (energy, at) }
        }
        let golden = (Double(5).squareRoot() - 1) / 2
        var (low, high) = (max(lower, best.at - width), min(upper, best.at + width))
        for _ in 0..<60 {
            let (left, right) = (high - golden * (high - low), low + golden * (high - low))
            if freeEnergy(exp(left)) < freeEnergy(exp(right)) { high = right } else { low = left }
        }
        return exp((low + high) / 2)
    }

    /// Twice the free energy over the larger extent, less what no variance changes (the paper's equation 27).
    func freeEnergy(_ variance: Double) -> Double {
        var sum = Double(squares.count) * log(variance)
        for square in squares {
            let x = square / (larger * variance)
            sum += x
            guard x > threshold else { continue }
            let shifted = x - (1 + ratio)
            let tau = 0.5 * (shifted + max(0, shifted * shifted - 4 * ratio).squareRoot())
            sum += log(tau + 1) + ratio * log(tau / ratio + 1) - tau
        }
        return sum
    }
}
