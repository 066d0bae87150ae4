import Engine
import ModelGraph
import Tensors

/// What a teacher adds to a training step, asked anew for each batch and through `TeacherCache`, for `pleach bench teacher`.
public enum TeacherBenchmark {
    /// Milliseconds a batch, means over whole passes in shuffled order.
    public struct Row: Sendable, Equatable, Codable {
        public let samples: Int
        public let batch: Int
        public let passes: Int
        public let threads: Int
        /// A student's step with the teacher's logits at hand.
        public let step: Double
        /// The teacher, asked for each batch.
        public let fresh: Double
        /// The same through the cache, the first pass that fills it included.
        public let cached: Double
        /// The passes behind the first.
        public let cachedLater: Double

        /// What the cache leaves of the teacher's cost.
        public var share: Double { fresh > 0 ? cached / fresh : 0 }
    }

    /// - Parameter passes: over the dataset, at least 1.
    /// - Throws: what reading, the engine and the cache throw.
    public static func run(
        student: Graph, teacher: Graph, dataset: Dataset, batch: Int, passes: Int, threads: Int
    ) throws -> Row {
        EngineRuntime.setThreads(threads)
        let network = TeacherNetwork(try Executable(teacher))
        let cache = TeacherCache(teachers: TeacherEnsemble(network), dataset: dataset)
        let trainer = try Trainer(student, optimizer: OptimizerSettings(kind: .sgd, learningRate: 1e-4))
        let loss = Loss.distillation(temperature: 4, alpha: 0.7, hard: dataset.usualLoss(labelSmoothing: 0))
        var (step, fresh, cached, later) = (0.0, 0.0, 0.0, 0.0)
        var (batches, laterBatches) = (0, 0)
        for pass in 0..<passes {
            let order = Dataset.shuffledOrder(count: dataset.count, seed: UInt64(pass))
            for start in stride(from: 0, to: order.count, by: batch) {
                let loaded = try dataset.samples(at: Array(order[start..<min(start + batch, order.count)]))
                // Normalization over a batch of one would fail.
                guard loaded.indices.count > 1 else { continue }
                let logits = try timed(&fresh) { try network.logits(loaded.batch.inputs).logits }
                var seconds = 0.0
                _ = try timed(&seconds) { try cache.logits(for: loaded.indices) }
                cached += seconds
                batches += 1
                if pass > 0 { (later, laterBatches) = (later + seconds, laterBatches + 1) }
                _ = try timed(&step) { try trainer.step(loaded.batch, loss: loss, teacherLogits: logits) }
            }
        }
        func milliseconds(_ seconds: Double, _ count: Int) -> Double { count > 0 ? seconds * 1000 / Double(count) : 0 }
        return Row(
            samples: dataset.count, batch: batch, passes: passes, threads: threads, step: milliseconds(step, batches),
            fresh: milliseconds(fresh, batches), cached: milliseconds(cached, batches),
            cachedLater: milliseconds(later, laterBatches))
    }

    private static func timed<Result>(_ seconds: inout Double, _ body: () throws -> Result) rethrows -> Result {
        let start = ContinuousClock.now
        defer { seconds += (ContinuousClock.now - start) / .seconds(1) }
        return try body()
    }
}
