import CTorch
import ModelGraph
import Tensors

/// Measures batch norms' statistics anew, with the weights as they are: what a network needs behind weights that were rounded or cut
/// (batch norm re-estimation). No step is taken. Owned by one thread.
///
/// Layers behave as in training but for dropout, which drops nothing, and statistics of all batches are pooled: means are averaged
/// by the batches' samples, and variances hold the spread of the batches' means. As in PyTorch's running variances, that of a batch
/// is divided by one less than its values.
public final class StatisticsMeter {
    private let graph: Graph
    private let program: Program
    private let procedure: Procedure
    private var values: [TorchTensor?]
    private let pairs: [(mean: String, variance: String)]
    /// By pair: Σ n mean, Σ n (variance + mean²), channel by channel.
    private var sums: [(mean: [Double], square: [Double])]
    private var samples = 0

    /// - Throws: `EngineError.unsupported` naming the operator and node.
    public init(_ graph: Graph) throws(EngineError) {
        ct_keep_freed_memory()
        self.graph = graph
        let program = try Program(Self.withoutMemory(graph))
        self.program = program
        procedure = try program.procedure(for: graph.outputs.prefix(1).map(\.name))
        values = Array(repeating: nil, count: program.slots.count)
        for (slot, name) in program.constants {
            guard let tensor = graph.initializers[name] else { continue }
            values[slot] = try TorchTensor(tensor)
        }
        pairs = graph.batchStatistics
        sums = pairs.map { pair in
            let zeros = [Double](repeating: 0, count: graph.initializers[pair.mean]?.elementCount ?? 0)
            return (zeros, zeros)
        }
    }

    /// The graph whose running statistics are the last batch's.
    private static func withoutMemory(_ graph: Graph) -> Graph {
        var graph = graph
        for index in graph.nodes.indices where graph.nodes[index].domain.isEmpty {
            switch graph.nodes[index].operatorType {
            case "BatchNormalization": graph.nodes[index].attributes["momentum"] = .float(0)
            case "Dropout" where graph.nodes[index].outputs.count == 1:
                graph.nodes[index].operatorType = "Identity"
                graph.nodes[index].inputs = Array(graph.nodes[index].inputs.prefix(1))
                graph.nodes[index].attributes = [:]
            default: break
            }
        }
        return graph
    }

    /// Whether the graph has statistics at all.
    public var measuresAny: Bool { !pairs.isEmpty }

    /// Adds a batch; its targets count for nothing.
    /// - Throws: `EngineError.notFinite` where statistics are not, and what running the graph throws. The sums are then as they were.
    public func add(_ batch: Batch) throws(EngineError) {
        guard measuresAny, batch.sampleCount > 0 else { return }
        let before = ct_set_gradients(false)
        defer { _ = ct_set_gradients(before) }
        try CTorchStatus.check(ct_enter_thread())
        // What a batch that failed has left would stay if it is not finite.
        for name in pairs.flatMap({ [$0.mean, $0.variance] }) {
            guard let slot = program.slots[name], let tensor = graph.initializers[name] else { continue }
            values[slot] = try TorchTensor(Tensor(zeros: tensor.shape))
        }
        var working = values
        try program.place(batch.inputs, into: &working)
        try procedure.run(
            &working, frame: Frame(training: true, updatesStatistics: true), extents: program.extents(working))
        var added = sums
        let weight = Double(batch.sampleCount)
        for (index, pair) in pairs.enumerated() {
            let (means, variances) = (try statistic(pair.mean), try statistic(pair.variance))
            guard means.count == added[index].mean.count, variances.count == means.count else {
                throw .badBatch("the statistics '\(pair.mean)' and '\(pair.variance)' differ in length")
            }
            for channel in means.indices {
                let (mean, variance) = (Double(means[channel]), Double(variances[channel]))
                guard mean.isFinite, variance.isFinite else { throw .notFinite("the statistic '\(pair.mean)'") }
                added[index].mean[channel] += weight * mean
                added[index].square[channel] += weight * (variance + mean * mean)
            }
        }
        (sums, samples) = (added, samples + batch.sampleCount)
    }

    private func statistic(_ name: String) throws(EngineError) -> [Float] {
        guard let slot = program.slots[name], let value = values[slot] else { throw .unknownOutput(name) }
        let tensor = try value.tensor()
        guard tensor.elementType == .float32 else {
            throw .badBatch("the statistic '\(name)' is \(tensor.elementType)")
        }
        return tensor.floats
    }

    /// Every parameter of the graph in its order, with the pooled statistics where there are any; without batches they are the
    /// graph's own.
    public func parameters() throws -> NamedTensors {
        var tensors = graph.parameterTensors()
        guard samples > 0 else { return tensors }
        for (pair, sum) in zip(pairs, sums) {
            guard let shape = tensors[pair.mean]?.shape else { continue }
            let means = sum.mean.map { $0 / Double(samples) }
            tensors[pair.mean] = Tensor(means.map { Float($0) }, shape: shape)
            tensors[pair.variance] = Tensor(
                zip(sum.square, means).map { Float(max(0, $0 / Double(samples) - $1 * $1)) }, shape: shape)
        }
        return tensors
    }
}
