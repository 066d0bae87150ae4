import Engine
import ModelGraph
import Tensors

/// On a worker: runs the deployed form of a graph (BatchNormalization folded) and counts its activations. Memory is one
/// batch and the histograms, whatever the number of samples. Owned by one thread.
public final class Calibrator {
    public private(set) var result: CalibrationSet
    private let executable: Executable
    private let inputName: String

    public convenience init(_ graph: Graph) throws {
        let deployed = graph.foldingBatchNormalization()
        try self.init(deployed: deployed, points: deployed.quantizationPoints())
    }

    /// - Parameters:
    ///   - deployed: a graph for inference.
    ///   - points: the values to count.
    /// - Throws: `EngineError.unsupported`.
    public init(deployed: Graph, points: [String]) throws(EngineError) {
        result = CalibrationSet(names: points)
        executable = try Executable(deployed)
        inputName = deployed.inputs.first?.name ?? ""
    }

    /// Adds a batch of samples.
    public func add(_ inputs: Tensor) throws {
        let values = try executable.run(NamedTensors([(inputName, inputs)]), outputs: computed)
        for name in result.names {
            guard let tensor = name == inputName ? inputs : values[name] else { continue }
            try result.add(tensor, name: name)
        }
    }

    /// The calibrated tensors that the graph computes (its input is at hand already).
    private var computed: [String] { result.names.filter { $0 != inputName } }
}
