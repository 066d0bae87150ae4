import Foundation
import Tensors

/// Size, error and speed of the schemes on normally distributed weights, on one thread (`pleach bench codec`).
public enum CodecBenchmark {
    public struct Row: Sendable, Codable, Equatable {
        public let scheme: String
        /// Values sent as a share of all weights.
        public let density: Double
        public let bitsPerWeight: Double
        /// Bytes of float32 per byte of the container.
        public let ratio: Double
        /// The ratio at the entropy of positions and codes, without scales and headers: the bound to compare with.
        public let entropyRatio: Double
        /// Σ(input − decoded)² / Σ input².
        public let relativeSquaredError: Double
        /// Float32 megabytes per second.
        public let encodeMegabytesPerSecond: Double
        /// Float32 megabytes per second, parsing and all checks included.
        public let decodeMegabytesPerSecond: Double
    }

    private static let repetitions = 3

    /// Measures each scheme on one tensor of `elements` weights.
    public static func run(elements: Int, seed: UInt64) throws(CodecError) -> [Row] {
        let shape = try BenchmarkWeights.shape(elements)
        let tensor = BenchmarkWeights.normal(shape, seed: seed)
        var rows: [Row] = []
        for format in ValueFormat.allCases {
            rows.append(try measure("dense \(format.name)", tensor, scheme(.dense, format)))
        }
        for density in [0.1, 0.01, 0.001] {
            for format in [ValueFormat.int8, .int4, .ternary] {
                let name = "top \(density * 100)% \(format.name)"
                rows.append(try measure(name, tensor, scheme(.topK(density: density), format)))
            }
        }
        var generator = SeededGenerator(seed: seed, labels: "mask")
        var bitmap = Bitmap(repeating: false, count: elements)
        for index in 0..<elements where generator.uniform() < 0.2 { bitmap[index] = true }
        for format in [ValueFormat.int8, .int4] {
            rows.append(try measure("masked \(format.name)", tensor, scheme(.dense, format), mask: bitmap))
        }
        return rows
    }

    private static func scheme(_ selection: Selection, _ format: ValueFormat) -> WireScheme {
        WireScheme(selection: selection, values: format, smallTensorElements: 0)
    }

    private static func measure(
        _ name: String, _ tensor: Tensor, _ scheme: WireScheme, mask: Bitmap? = nil
    ) throws(CodecError) -> Row {
        let tensors = NamedTensors([("weights", tensor)])
        let masks = MaskSet(epoch: 1, bitmaps: mask.map { ["weights": $0] } ?? [:])
        let header = BenchmarkWeights.header(maskEpoch: 1)
        let layout = TensorLayout(tensors)
        let clock = ContinuousClock()
        var encoding = Double.infinity
        var decoding = Double.infinity
        var update = try UpdateEncoder.encode(tensors, header: header, scheme: scheme, masks: masks)
        for _ in 0..<repetitions {
            var start = clock.now
            update = try UpdateEncoder.encode(tensors, header: header, scheme: scheme, masks: masks)
            encoding = min(encoding, (clock.now - start) / .seconds(1))
            start = clock.now
            let decoded = try UpdateReader(update.bytes, layout: layout, masks: masks).decode()
            decoding = min(decoding, (clock.now - start) / .seconds(1))
            precondition(decoded == update.decoded, "decoder and encoder differ")
        }
        var unused: [UInt8] = []
        let record = try TensorEncoder(name: "weights", mask: mask, scheme: scheme)
            .encode(tensor, counter: 0, keeping: [], to: &unused).record
        let megabytes = Double(tensor.elementCount) * 4 / 1e6
        return Row(
            scheme: name, density: update.density, bitsPerWeight: update.bitsPerWeight,
            ratio: 32 / update.bitsPerWeight,
            entropyRatio: 32 * Double(tensor.elementCount) / (record.map(entropyBits) ?? 1),
            relativeSquaredError: relativeSquaredError(tensor, update.residual["weights"] ?? tensor, mask: mask),
            encodeMegabytesPerSecond: megabytes / encoding, decodeMegabytesPerSecond: megabytes / decoding)
    }

    /// Shannon's bound for positions (independent draws) and values (independent codes; plain formats count in full).
    private static func entropyBits(_ record: TensorEncoder.Record) -> Double {
        let share = Double(record.kept) / Double(record.alive)
        let positions = Double(record.alive) * entropy([share, 1 - share])
        guard !record.values.codes.isEmpty else {
            return positions + Double(record.kept * record.values.format.bitCount)
        }
        var counts = [Double](repeating: 0, count: 256)
        for code in record.values.codes { counts[Int(code) + 128] += 1 }
        return positions + Double(record.kept) * entropy(counts.map { $0 / Double(record.kept) })
    }

    private static func entropy(_ shares: [Double]) -> Double {
        shares.reduce(0) { $1 > 0 ? $0 - $1 * log2($1) : $0 }
    }

    private static func relativeSquaredError(_ input: Tensor, _ residual: Tensor, mask: Bitmap?) -> Double {
        var error = 0.0
        var total = 0.0
        for (index, (value, rest)) in zip(input.floats, residual.floats).enumerated() where mask?[index] ?? true {
            total += Double(value) * Double(value)
            error += Double(rest) * Double(rest)
        }
        return total > 0 ? error / total : 0
    }
}

/// What both benchmarks are fed.
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

    /// Normal numbers of standard deviation 0.01 (Box and Muller 1958).
    static func normal(_ shape: Shape, seed: UInt64) -> Tensor {
        var generator = SeededGenerator(seed: seed, labels: "weights")
        let values = (0..<shape.elementCount).map { _ in
            let radius = (-2 * log(1 - generator.uniform())).squareRoot()
            return 0.01 * radius * cos(2 * Float.pi * generator.uniform())
        }
        return Tensor(values, shape: shape)
    }
}
