import Engine
import ModelGraph
import Tensors

/// On a worker: runs the deployed form of a graph (BatchNormalization folded) and counts its activations. Memory is one
/// batch and the histograms, whatever the number of samples. Owned by one thread.
///
/// Matrix products of other extents may add up in another order, so the last bits of a sample's values can depend on how many
/// samples run with it. Where a number of rows is given, a smaller batch is filled up and the filling is not counted: then the
/// same samples have the same histograms in whatever shards they lie.
public final class Calibrator {
    public private(set) var result: CalibrationSet
    private let executable: Executable
    private let inputName: String
    /// Samples of each run; nil where batches run as they come.
    private let rows: Int?

    public convenience init(_ graph: Graph) throws {
        let deployed = graph.foldingBatchNormalization()
        try self.init(deployed: deployed, points: deployed.quantizationPoints())
    }

    /// - Parameters:
    ///   - deployed: a graph for inference.
    ///   - points: the values to count.
    ///   - rows: samples of a whole batch. Ignored for models with values that do not lie sample by sample.
    /// - Throws: `EngineError.unsupported`.
    public init(deployed: Graph, points: [String], rows: Int? = nil) throws(EngineError) {
        result = CalibrationSet(names: points)
        executable = try Executable(deployed)
        inputName = deployed.inputs.first?.name ?? ""
        self.rows = deployed.liesBySamples(points) ? rows : nil
    }

    /// Adds a batch of samples.
    public func add(_ inputs: Tensor) throws {
        guard let rows, let samples = inputs.shape.dimensions.first, (1..<rows).contains(samples) else {
            return try count(inputs, share: (1, 1))
        }
        try count(inputs.filled(to: rows), share: (samples, rows))
    }

    /// Runs a batch and counts the first `share` of each value's numbers.
    private func count(_ inputs: Tensor, share: (counted: Int, run: Int)) throws {
        let values = try executable.run(NamedTensors([(inputName, inputs)]), outputs: computed)
        for name in result.names {
            guard let tensor = name == inputName ? inputs : values[name] else { continue }
            try result.add(tensor, name: name, first: tensor.elementCount / share.run * share.counted)
        }
    }

    /// The calibrated tensors that the graph computes (its input is at hand already).
    private var computed: [String] { result.names.filter { $0 != inputName } }
}

extension Graph {
    /// Whether the first axis of all these values is that of the samples.
    fileprivate func liesBySamples(_ values: [String]) -> Bool {
        guard let one = try? inferShapes(batch: 1), let two = try? inferShapes(batch: 2) else { return false }
        return values.allSatisfy { name in
            guard let first = one[name], let second = two[name], first.rank > 0 else { return false }
            return first[0] == 1 && second[0] == 2 && first.dimensions.dropFirst() == second.dimensions.dropFirst()
        }
    }
}

extension Tensor {
    /// With the last sample repeated. Precondition: it has at least one, and at most as many as are wanted.
    fileprivate func filled(to rows: Int) throws -> Tensor {
        let size = bytes.count / shape[0]
        var filled = [UInt8](bytes)
        filled.reserveCapacity(rows * size)
        let last = Array(filled.suffix(size))
        for _ in shape[0]..<rows { filled += last }
        return try Tensor(
            elementType: elementType, shape: Shape([rows] + shape.dimensions.dropFirst()), bytes: filled)
    }
}
