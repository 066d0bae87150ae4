import Tensors

/// Times the loader: reading, decoding, converting and augmenting, without a model.
public enum DataBenchmark {
    public struct Row: Sendable, Equatable, Codable {
        public let spec: String
        public let batch: Int
        public let threads: Int
        public let samples: Int
        public let damaged: Int
        public let seconds: Double
        public let samplesPerSecond: Double
        /// Of one loader thread.
        public let samplesPerSecondPerThread: Double
        /// Of finished batches, in millions of bytes.
        public let megabytesPerSecond: Double
    }

    /// Reads samples in random order, each at most once, as training does.
    /// - Parameter samples: how many at most.
    /// - Throws: `DataError`.
    public static func run(_ data: Dataset, batch: Int, threads: Int, samples: Int) throws(DataError) -> Row {
        let order = Dataset.shuffledOrder(count: data.count, seed: 1).prefix(samples)
        let plan = stride(from: 0, to: order.count, by: batch).map {
            PlannedBatch(epoch: 0, indices: Array(order[$0..<min(order.count, $0 + batch)]))
        }
        let start = ContinuousClock.now
        let loader = BatchLoader(
            data, plan: plan, seed: 1, settings: BatchLoader.Settings(threads: threads, depth: 2 * threads + 2))
        var bytes = 0
        while let loaded = try loader.next() {
            bytes += loaded.batch.inputs.ordered.reduce(0) { $0 + $1.tensor.bytes.count }
        }
        let seconds = max(1e-9, (ContinuousClock.now - start) / .seconds(1))
        let rate = Double(order.count) / seconds
        return Row(
            spec: data.spec.description, batch: batch, threads: threads, samples: order.count,
            damaged: loader.damage.damaged, seconds: seconds, samplesPerSecond: rate,
            samplesPerSecondPerThread: rate / Double(threads), megabytesPerSecond: Double(bytes) / seconds / 1e6)
    }
}
