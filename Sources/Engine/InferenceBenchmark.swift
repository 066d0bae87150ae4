import ModelGraph
import Tensors

/// Times evaluation of several graphs by this engine in turns, for `pleach bench model`.
public enum InferenceBenchmark {
    public struct Options: Sendable {
        public var batch = 1
        /// Threads of libtorch.
        public var threads = 1
        /// Extents of the inputs' dynamic axes by name.
        public var extents: [String: Int] = [:]
        /// Timed runs that suffice for a graph, or seconds of them, whichever comes first.
        public var runs = 2000
        public var secondsEach = 1.0

        public init() {}
    }

    /// Times of one graph in milliseconds: median and least.
    public struct Times: Sendable, Equatable {
        public var milliseconds: Double
        public var minimumMilliseconds: Double
        public var runs: Int
    }

    /// One result for each graph, in their order: its times, or why the engine cannot run it.
    public static func run(_ graphs: [Graph], options: Options) -> [Result<Times, EngineError>] {
        EngineRuntime.setThreads(options.threads)
        var contenders = graphs.map { graph in
            Result { () throws(EngineError) in try Contender(graph, options) }
        }
        var order = Array(contenders.indices)
        while contenders.contains(where: { $0.needs(options) }) {
            for index in order where contenders[index].isSuccess { contenders[index] = contenders[index].afterTurn() }
            // There and back again, so that a drift of the machine falls on all alike.
            order.reverse()
        }
        return contenders.map { contender in contender.map(\.times) }
    }

    fileprivate struct Contender {
        private let executable: Executable
        private let inputs: NamedTensors
        /// Runs in a turn: about 20 ms, so that caches are this graph's and turns are many.
        private let block: Int
        private(set) var milliseconds: [Double] = []
        private(set) var spent = 0.0

        init(_ graph: Graph, _ options: Options) throws(EngineError) {
            executable = try Executable(graph)
            var random = SeededGenerator(seed: 1)
            inputs = try RandomBatch.inputs(for: graph, rows: options.batch, extents: options.extents, &random)
            _ = try executable.run(inputs)
            let start = ContinuousClock.now
            _ = try executable.run(inputs)
            let once = max((ContinuousClock.now - start) / .milliseconds(1), 0.001)
            block = max(1, min(50, Int(20 / once)))
        }

        mutating func turn() throws(EngineError) {
            // The others took the caches.
            _ = try executable.run(inputs)
            for _ in 0..<block {
                let start = ContinuousClock.now
                _ = try executable.run(inputs)
                let took = (ContinuousClock.now - start) / .milliseconds(1)
                milliseconds.append(took)
                spent += took
            }
        }

        var times: Times {
            let sorted = milliseconds.sorted()
            let middle = sorted.count / 2
            let median = sorted.count.isMultiple(of: 2) ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
            return Times(milliseconds: median, minimumMilliseconds: sorted[0], runs: sorted.count)
        }
    }
}

extension Result<InferenceBenchmark.Contender, EngineError> {
    fileprivate var isSuccess: Bool { if case .success = self { true } else { false } }

    fileprivate func needs(_ options: InferenceBenchmark.Options) -> Bool {
        guard case .success(let contender) = self else { return false }
        let count = contender.milliseconds.count
        return count == 0 || (count < options.runs && contender.spent < options.secondsEach * 1000)
    }

    fileprivate func afterTurn() -> Self {
        flatMap { contender in
            var contender = contender
            return Result { () throws(EngineError) in
                try contender.turn()
                return contender
            }
        }
    }
}
