import Foundation
import Tensors

@testable import UpdateCodec

/// Values of known distributions and their profiles.
enum BudgetFixtures {
    enum Shape: CaseIterable { case normal, laplace }

    static func values(_ shape: Shape, _ count: Int, seed: UInt64, scale: Double = 1) -> [Float] {
        var generator = SeededGenerator(seed: seed)
        func unit() -> Double { (Double(generator.next() >> 11) + 0.5) * 0x1p-53 }
        return (0..<count).map { _ in
            let (u, v) = (unit(), unit())
            switch shape {
            case .normal: return Float(scale * (-2 * log(u)).squareRoot() * cos(2 * .pi * v))
            case .laplace: return Float(scale * (v < 0.5 ? log(u) : -log(u)))
            }
        }
    }

    static func profile(_ values: [Float], elements: Int? = nil) -> MagnitudeProfile {
        var counts = [UInt32](repeating: 0, count: MagnitudeProfile.binCount)
        for value in values { counts[Int(value.magnitude.bitPattern >> 20)] += 1 }
        return MagnitudeProfile(counts: counts, elements: elements ?? values.count)
    }

    /// Tensors as a model has them: sizes and scales far apart, some with zeros, one empty and one of zeros alone.
    static func model(_ count: Int, seed: UInt64, largest: Int = 4000) -> [[Float]] {
        var generator = SeededGenerator(seed: seed)
        var tensors = (0..<count).map { index -> [Float] in
            let size = 1 + Int(Double(generator.uniform()) * Double(generator.uniform()) * Double(largest))
            let scale = Double(1 + generator.index(below: 1000)) / 1000
            var some = values(index % 2 == 0 ? .normal : .laplace, size, seed: seed &+ UInt64(index), scale: scale)
            if index % 5 == 3 { for place in stride(from: 0, to: size, by: 3) { some[place] = 0 } }
            return some
        }
        tensors += [[], [0, 0, 0]]
        return tensors
    }
}
