import CKernels
import Foundation
import Tensors

/// Size, error and speed of the schemes (`pleach bench codec`).
public enum CodecBenchmark {
    public struct Row: Sendable, Codable, Equatable {
        public let scheme: String
        /// Of the weights: `normal` or `laplace`.
        public let distribution: String
        public let threads: Int
        /// Values sent as a share of all weights.
        public let density: Double
        public let bitsPerWeight: Double
        /// Bytes of float32 per byte of the container.
        public let ratio: Double
        /// The ratio at the entropy of positions and codes, without scales and headers: the bound to compare with.
        public let entropyRatio: Double
        /// Σ(input − decoded)² / Σ input².
        public let relativeSquaredError: Double
        /// Float32 megabytes per second, from weights to a container, selection included.
        public let encodeMegabytesPerSecond: Double
        /// The same with the residual for error feedback.
        public let residualMegabytesPerSecond: Double
        /// Float32 megabytes per second from a container to weights, parsing and all checks included.
        public let decodeMegabytesPerSecond: Double
        /// The same from a container to the sum of a round.
        public let foldMegabytesPerSecond: Double
        /// What this machine's memory gives one thread: reading, and copying (bytes copied, not bytes moved).
        public let memoryReadMegabytesPerSecond: Double
        public let memoryCopyMegabytesPerSecond: Double
    }

    private static let repetitions = 5

    /// Measures each scheme whose name contains `schemes` on one tensor of `elements` weights of each distribution.
    public static func run(
        elements: Int, seed: UInt64, distributions: [WeightDistribution] = WeightDistribution.allCases,
        threads: Int = 1, schemes: String = "",
        report: (Row) -> Void = { _ in }
    ) throws(CodecError) -> [Row] {
        let shape = try BenchmarkWeights.shape(elements)
        var generator = SeededGenerator(seed: seed, labels: "mask")
        var bitmap = Bitmap(repeating: false, count: elements)
        for index in 0..<elements where generator.uniform() < 0.2 { bitmap[index] = true }
        var rows: [Row] = []
        for distribution in distributions {
            let measurement = Measurement(
                tensor: BenchmarkWeights.make(shape, distribution, seed: seed), distribution: distribution,
                threads: threads)
            for scheme in BenchmarkScheme.all where schemes.isEmpty || scheme.name.contains(schemes) {
                let row = try measurement.row(scheme, mask: scheme.isMasked ? bitmap : nil)
                report(row)
                rows.append(row)
            }
        }
        return rows
    }

    /// One tensor, through every scheme.
    private struct Measurement {
        let tensor: Tensor
        let distribution: WeightDistribution
        let threads: Int
        let memory: MemoryBandwidth

        init(tensor: Tensor, distribution: WeightDistribution, threads: Int) {
            self.tensor = tensor
            self.distribution = distribution
            self.threads = threads
            memory = MemoryBandwidth(over: tensor)
        }

        func row(_ benchmark: BenchmarkScheme, mask: Bitmap?) throws(CodecError) -> Row {
            let tensors = NamedTensors([("weights", tensor)])
            let masks = MaskSet(epoch: 1, bitmaps: mask.map { ["weights": $0] } ?? [:])
            let layout = TensorLayout(tensors)
            let update = try UpdateEncoder.encode(
                tensors, header: BenchmarkWeights.header(maskEpoch: 1), scheme: benchmark.scheme, masks: masks)
            let reader = try UpdateReader(update.bytes, layout: layout, masks: masks)
            let decoded = try reader.decode()
            precondition(decoded == update.decoded, "decoder and encoder differ")
            let encoding = try seconds { () throws(CodecError) in try encode(benchmark, layout, masks, keeping: []) }
            let owing = try seconds { () throws(CodecError) in
                try encode(benchmark, layout, masks, keeping: .residual)
            }
            let decoding = try seconds { () throws(CodecError) in
                _ = try UpdateReader(update.bytes, layout: layout, masks: masks, threads: threads).decode()
            }
            var accumulator = FoldAccumulator(layout: layout)
            let folding = try seconds { () throws(CodecError) in
                let reader = try UpdateReader(update.bytes, layout: layout, masks: masks, threads: threads)
                try accumulator.add(reader, weight: 3, threads: threads)
            }
            let megabytes = Double(tensor.elementCount) * 4 / 1e6
            return Row(
                scheme: benchmark.name, distribution: distribution.rawValue, threads: threads, density: update.density,
                bitsPerWeight: update.bitsPerWeight, ratio: 32 / update.bitsPerWeight,
                entropyRatio: 32 * Double(tensor.elementCount) / (try EntropyBound.bits(of: reader)),
                relativeSquaredError: relativeSquaredError(update.residual["weights"] ?? tensor, mask: mask),
                encodeMegabytesPerSecond: megabytes / encoding, residualMegabytesPerSecond: megabytes / owing,
                decodeMegabytesPerSecond: megabytes / decoding, foldMegabytesPerSecond: megabytes / folding,
                memoryReadMegabytesPerSecond: memory.read, memoryCopyMegabytesPerSecond: memory.copy)
        }

        private func encode(
            _ benchmark: BenchmarkScheme, _ layout: TensorLayout, _ masks: MaskSet, keeping: CodedParts
        ) throws(CodecError) {
            var writer = try UpdateWriter(
                layout: layout, header: BenchmarkWeights.header(maskEpoch: 1), scheme: benchmark.scheme, masks: masks,
                threads: threads)
            _ = try writer.append(tensor, keeping: keeping)
            _ = writer.finish()
        }

        private func relativeSquaredError(_ residual: Tensor, mask: Bitmap?) -> Double {
            var error = 0.0
            var total = 0.0
            tensor.withElements(as: Float.self) { input in
                residual.withElements(as: Float.self) { residual in
                    for index in input.indices where mask?[index] ?? true {
                        total += Double(input[index]) * Double(input[index])
                        error += Double(residual[index]) * Double(residual[index])
                    }
                }
            }
            return total > 0 ? error / total : 0
        }
    }

    /// The best of several runs.
    fileprivate static func seconds(_ body: () throws(CodecError) -> Void) throws(CodecError) -> Double {
        let clock = ContinuousClock()
        var best = Double.infinity
        for _ in 0..<repetitions {
            let start = clock.now
            try body()
            best = min(best, (clock.now - start) / .seconds(1))
        }
        return best
    }
}

/// What memory gives one thread: no codec can be faster.
private struct MemoryBandwidth {
    /// Megabytes per second.
    let read: Double
    let copy: Double

    init(over tensor: Tensor) {
        let megabytes = Double(tensor.elementCount) * 4 / 1e6
        let clock = ContinuousClock()
        var (reading, copying) = (Double.infinity, Double.infinity)
        tensor.withElements(as: Float.self) { source in
            let target = UnsafeMutableBufferPointer<Float>.allocate(capacity: source.count)
            defer { target.deallocate() }
            for _ in 0..<5 {
                var start = clock.now
                precondition(pleach_absmax_bits(source.baseAddress, source.count) < 0x7f80_0000, "weights are finite")
                reading = min(reading, (clock.now - start) / .seconds(1))
                start = clock.now
                _ = target.update(fromContentsOf: source)
                copying = min(copying, (clock.now - start) / .seconds(1))
            }
        }
        read = megabytes / reading
        copy = megabytes / copying
    }
}

/// Shannon's bound for what a container carries: positions as independent draws, codes as independent symbols. Formats
/// without codes count in full.
enum EntropyBound {
    static func bits(of reader: UpdateReader) throws(CodecError) -> Double {
        var bits = 0.0
        for number in reader.records.indices {
            let record = reader.records[number]
            let share = Double(record.kept) / Double(record.alive)
            bits += Double(record.alive) * entropy([share, 1 - share])
            bits += Double(record.kept) * (try codeEntropy(reader, number))
        }
        return bits
    }

    private static func codeEntropy(_ reader: UpdateReader, _ number: Int) throws(CodecError) -> Double {
        let record = reader.records[number]
        guard record.format.isInteger else { return Double(record.format.bitCount) }
        var counts = [UInt32](repeating: 0, count: 256)
        try reader.runs(ofRecord: number).forEachCodes(in: reader.body, force: .alone) { run, _ in
            pleach_count_codes(run.codes.baseAddress, run.codes.count, &counts)
        }
        return entropy(counts.map { Double($0) / Double(record.kept) })
    }

    private static func entropy(_ shares: [Double]) -> Double {
        shares.reduce(0) { $1 > 0 ? $0 - $1 * log2($1) : $0 }
    }
}
