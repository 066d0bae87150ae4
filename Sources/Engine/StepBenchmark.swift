import Foundation
import ModelGraph
import Tensors

/// Times training steps on random data, for `pleach bench step`.
public enum StepBenchmark {
    public struct Row: Sendable, Equatable, Codable {
        public let model: String
        public let batch: Int
        public let threads: Int
        public let millisecondsPerStep: Double
        /// Most resident bytes of the process.
        public let peakBytes: Int
    }

    /// Trains `steps` steps after three for warming up; the figure is the median.
    public static func run(graph: Graph, batch: Int, threads: Int, steps: Int) throws -> Row {
        EngineRuntime.setThreads(threads)
        let trainer = try Trainer(graph, optimizer: OptimizerSettings(learningRate: 1e-4, momentum: 0.9))
        guard let input = graph.inputs.first, let output = graph.outputs.first,
            let shape = try graph.inferShapes(batch: batch)[input.name],
            let classes = try graph.inferShapes(batch: batch)[output.name]?.dimensions.last
        else { throw EngineError.badBatch("the model's input or output has no shape") }
        var random = SeededGenerator(seed: 1)
        // Token ids 0 and 1 exist in every vocabulary.
        let inputs =
            input.elementType == .int64
            ? Tensor((0..<shape.elementCount).map { _ in Int64(random.index(below: 2)) }, shape: shape)
            : Tensor((0..<shape.elementCount).map { _ in random.uniform() }, shape: shape)
        let labels = Tensor((0..<batch).map { _ in Int64(random.index(below: classes)) }, shape: try Shape([batch]))
        var times: [Double] = []
        for step in 0..<(steps + 3) {
            let start = ContinuousClock.now
            _ = try trainer.step(inputs, labels: labels)
            if step >= 3 { times.append((ContinuousClock.now - start) / .milliseconds(1)) }
        }
        return Row(
            model: graph.name, batch: batch, threads: threads, millisecondsPerStep: times.sorted()[times.count / 2],
            peakBytes: peakResidentBytes())
    }

    private static func peakResidentBytes() -> Int {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        return usage.ru_maxrss * 1024
    }
}
