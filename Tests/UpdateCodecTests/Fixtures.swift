import Foundation
import Tensors

@testable import UpdateCodec

/// What the tests are fed: made of `SeededGenerator` and exact arithmetic only, so it is the same on every machine.
enum Fixtures {
    static let base = [UInt8](0..<32)

    /// Roughly normal, standard deviation about `scale`.
    static func bellShaped(_ count: Int, seed: UInt64, scale: Float = 1) -> [Float] {
        var generator = SeededGenerator(seed: seed)
        return (0..<count).map { _ in
            let sum = generator.uniform() + generator.uniform() + generator.uniform() + generator.uniform()
            return (sum - 2) * 1.75 * scale
        }
    }

    static func tensor(_ count: Int, seed: UInt64, scale: Float = 1) -> Tensor {
        tensor(bellShaped(count, seed: seed, scale: scale))
    }

    static func tensor(_ values: [Float]) -> Tensor { Tensor(values, shape: flat(values.count)) }

    static func flat(_ count: Int) -> Shape {
        guard let shape = try? Shape([count]) else { preconditionFailure("negative count \(count)") }
        return shape
    }

    static func bitmap(_ count: Int, density: Float, seed: UInt64) -> Bitmap {
        var generator = SeededGenerator(seed: seed)
        var bitmap = Bitmap(repeating: false, count: count)
        for index in 0..<count { bitmap[index] = generator.uniform() < density }
        return bitmap
    }

    static func header(_ kind: UpdateKind = .update, maskEpoch: UInt32 = 0) -> UpdateHeader {
        UpdateHeader(kind: kind, base: base, maskEpoch: maskEpoch)
    }

    /// A model of odd sizes: a matrix, a bias, zeros, a scalar, nothing at all.
    static func model(seed: UInt64) -> NamedTensors {
        NamedTensors([
            ("matrix", Tensor(bellShaped(35 * 61, seed: seed, scale: 0.02), shape: [35, 61])),
            ("bias", tensor(37, seed: seed &+ 1, scale: 1e-6)),
            ("zeros", Tensor(zeros: [9, 5])),
            ("scalar", Tensor([-3.25], shape: [])),
            ("empty", Tensor([Float](), shape: [0, 4])),
            ("tail", tensor(1_030, seed: seed &+ 2, scale: 40)),
        ])
    }

    static func masks(epoch: UInt32, density: Float = 0.3) -> MaskSet {
        MaskSet(
            epoch: epoch,
            bitmaps: [
                "matrix": bitmap(35 * 61, density: density, seed: 5), "tail": bitmap(1_030, density: density, seed: 6),
            ])
    }

    /// Every combination of selection, value format and rounding worth telling apart.
    static var schemes: [WireScheme] {
        var schemes: [WireScheme] = []
        for selection in [Selection.dense, .topK(density: 0.5), .topK(density: 0.9), .topK(density: 0.02)] {
            for values in ValueFormat.allCases {
                for rounding in Rounding.allCases {
                    for (block, small) in [(256, 0), (7, 40), (1, 0), (100_000, 1)] {
                        schemes.append(
                            WireScheme(
                                selection: selection, values: values, blockSize: block, rounding: rounding,
                                smallTensorElements: small))
                    }
                }
            }
        }
        return schemes
    }

    static func floats(_ tensors: NamedTensors, _ name: String) -> [Float] { tensors[name]?.floats ?? [] }

    static func bitPatterns(_ tensors: NamedTensors) -> [[UInt32]] {
        tensors.ordered.map { $0.tensor.floats.map(\.bitPattern) }
    }
}
