import Foundation
import Tensors

/// How benchmark weights are distributed.
public enum WeightDistribution: String, Sendable, CaseIterable {
    case normal
    case laplace
}

/// What the benchmarks are fed.
enum BenchmarkWeights {
    static func shape(_ elements: Int) throws(CodecError) -> Shape {
        let limit = CodecLimits.default.tensorElements
        guard let shape = try? Shape([elements]), elements <= limit else {
            throw .limitExceeded(field: "the benchmark's element count", value: elements, limit: limit)
        }
        return shape
    }

    static func header(maskEpoch: UInt32) -> UpdateHeader {
        UpdateHeader(
            kind: .update, base: [UInt8](repeating: 0, count: UpdateHeader.baseByteCount), maskEpoch: maskEpoch)
    }

    static func make(_ shape: Shape, _ distribution: WeightDistribution, seed: UInt64) -> Tensor {
        switch distribution {
        case .normal: normal(shape, seed: seed)
        case .laplace: laplace(shape, seed: seed)
        }
    }

    /// Normal numbers of standard deviation 0.01 (Box and Muller 1958).
    static func normal(_ shape: Shape, seed: UInt64) -> Tensor {
        var generator = SeededGenerator(seed: seed, labels: "weights")
        let values = (0..<shape.elementCount).map { _ in
            let radius = (-2 * log(1 - generator.uniform())).squareRoot()
            return 0.01 * radius * cos(2 * Float.pi * generator.uniform())
        }
        return Tensor(values, shape: shape)
    }

    /// Laplace's two-sided exponential of scale 0.01: what trained updates look like more than the normal one.
    private static func laplace(_ shape: Shape, seed: UInt64) -> Tensor {
        var generator = SeededGenerator(seed: seed, labels: "weights")
        let values = (0..<shape.elementCount).map { _ in
            let magnitude = -0.01 * log(1 - generator.uniform())
            return generator.uniform() < 0.5 ? -magnitude : magnitude
        }
        return Tensor(values, shape: shape)
    }
}

/// A scheme under a name.
struct BenchmarkScheme {
    let name: String
    let scheme: WireScheme
    var isMasked = false

    static let all: [BenchmarkScheme] = dense + rotated + codebooks + sparse + masked

    private static func make(
        _ name: String, _ selection: Selection, _ values: ValueFormat, isMasked: Bool = false,
        _ change: (inout WireScheme) -> Void = { _ in }
    ) -> BenchmarkScheme {
        var scheme = WireScheme(selection: selection, values: values, smallTensorElements: 0)
        // One magnitude serves many signs.
        if values == .ternary || values == .sign { scheme.blockSize = 1024 }
        change(&scheme)
        return BenchmarkScheme(name: name, scheme: scheme, isMasked: isMasked)
    }

    private static let dense: [BenchmarkScheme] =
        [.float32, .float16, .bfloat16, .int8, .int6, .int4, .int3, .int2, .ternary, .sign].map { format in
            make("dense \(format.name)", .dense, format) { if format.bitCount >= 6 { $0.coding = .plain } }
        }
        + [
            make("dense int8 rice", .dense, .int8) { $0.coding = .smallest },
            make("dense int6 rice", .dense, .int6) { $0.coding = .smallest },
            make("dense int4 plain", .dense, .int4) { $0.coding = .plain },
            make("dense int8 stochastic", .dense, .int8) { ($0.coding, $0.rounding) = (.plain, .stochastic) },
        ]

    private static let rotated: [BenchmarkScheme] = [.int4, .int3, .int2, .sign].map { format in
        make("dense \(format.name) rotated", .dense, format) { $0.rotates = true }
    }

    private static let codebooks: [BenchmarkScheme] = [.codebook16, .codebook256].flatMap { format in
        [
            make("dense \(format.name) normal-float", .dense, format),
            make("dense \(format.name) k-means", .dense, format) { $0.levels = .kMeans },
        ]
    }

    private static let sparse: [BenchmarkScheme] =
        [(0.1, "10%"), (0.01, "1%"), (0.001, "0.1%")].flatMap { density, text in
            [ValueFormat.int8, .int4, .ternary].map {
                make("top \(text) \($0.name)", .topK(density: density), $0)
            }
        }
        + [SelectionMethod.threshold, .block].map { method in
            make("top 1% ternary by \(method)", .topK(density: 0.01, method: method), .ternary)
        }

    private static let masked: [BenchmarkScheme] = [.int8, .int4].map {
        make("masked \($0.name)", .dense, $0, isMasked: true)
    }
}
