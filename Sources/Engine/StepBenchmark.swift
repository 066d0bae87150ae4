import Foundation
import ModelGraph
import Tensors

/// Times training steps on random data, for `pleach bench step`.
public enum StepBenchmark {
    public struct Row: Sendable, Equatable, Codable {
        public let model: String
        public let batch: Int
        public let threads: Int
        public let precision: String
        public let optimizer: String
        /// The median.
        public let millisecondsPerStep: Double
        public let samplesPerSecond: Double
        /// Most bytes of the process that were resident at once, the model's file and its loading included.
        public let peakBytes: Int
        /// Resident bytes before the first step, with the model and the optimizer's moments in place.
        public let residentBytesBefore: Int
    }

    /// What is timed.
    public struct Options: Sendable {
        public var batch: Int
        public var threads: Int
        /// Steps that are timed, after three for warming up.
        public var steps: Int
        public var optimizer: OptimizerMethod
        public var precision: Precision
        /// Extents of the inputs' dynamic axes by name.
        public var extents: [String: Int]

        public init(
            batch: Int, threads: Int = 1, steps: Int = 20, optimizer: OptimizerMethod = .sgd,
            precision: Precision = .float32, extents: [String: Int] = [:]
        ) {
            self.batch = batch
            self.threads = threads
            self.steps = steps
            self.optimizer = optimizer
            self.precision = precision
            self.extents = extents
        }
    }

    /// Trains on one random batch.
    /// - Throws: `EngineError.badBatch` for inputs whose shape is not known, and what training throws.
    public static func run(graph: Graph, options: Options) throws -> Row {
        EngineRuntime.setThreads(options.threads)
        let (batch, loss) = try RandomBatch.make(for: graph, rows: options.batch, extents: options.extents)
        let trainer = try Trainer(
            graph,
            optimizer: OptimizerSettings(
                kind: options.optimizer, learningRate: 1e-4, momentum: options.optimizer == .sgd ? 0.9 : 0),
            precision: options.precision)
        let before = ResidentMemory.now
        var times: [Double] = []
        for step in 0..<(options.steps + 3) {
            let start = ContinuousClock.now
            _ = try trainer.step(batch, loss: loss)
            if step >= 3 { times.append((ContinuousClock.now - start) / .milliseconds(1)) }
        }
        let median = times.sorted()[times.count / 2]
        return Row(
            model: graph.name, batch: options.batch, threads: options.threads, precision: trainer.precision.rawValue,
            optimizer: options.optimizer.rawValue, millisecondsPerStep: median,
            samplesPerSecond: Double(options.batch) * 1000 / median, peakBytes: ResidentMemory.peak,
            residentBytesBefore: before)
    }
}

/// Resident bytes of this process. Not `getrusage`'s: its peak is inherited from whatever process started this one.
enum ResidentMemory {
    static var peak: Int { read("VmHWM:") }
    static var now: Int { read("VmRSS:") }

    private static func read(_ key: String) -> Int {
        guard let text = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8),
            let line = text.split(separator: "\n").first(where: { $0.hasPrefix(key) })
        else { return 0 }
        return (Int(line.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first ?? "") ?? 0) * 1024
    }
}
