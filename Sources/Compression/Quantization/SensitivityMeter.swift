import Engine
import ModelGraph
import Tensors

/// On a worker: runs the deployed form of a graph with one layer's weight rounded at a time. A batch takes a pass for each layer
/// and number of bits; memory is one more copy of the weights for each number of bits. Owned by one thread.
public final class SensitivityMeter {
    private let executable: Executable
    private let given: String
    private let layers: [String]
    private let bits: [Int]
    private let original: [Tensor]
    private let rounded: [[Tensor]]
    private var sums: [[Double]]
    private var rows = 0

    /// - Parameters:
    ///   - deployed: a graph for inference (`Graph.foldingBatchNormalization`).
    ///   - layers: whose weights are rounded.
    ///   - scheme: of the weights; its bits count for nothing.
    ///   - bits: ascending.
    /// - Throws: `CompressionError` for weights that cannot be rounded; `EngineError.unsupported`.
    public init(deployed: Graph, layers: [QuantizableLayer], scheme: WeightScheme, bits: [Int]) throws {
        executable = try Executable(deployed)
        given = deployed.inputs.first?.name ?? ""
        self.layers = layers.map(\.name)
        self.bits = bits
        original = try layers.map { try deployed.initializers.require($0.name) }
        rounded = try zip(layers, original).map { layer, weight in
            try bits.map { bits in
                var scheme = scheme.fitting(layer)
                scheme.bits = bits
                return try WeightQuantizer.quantize(weight, axis: layer.axis, scheme: scheme, name: layer.name)
                    .dequantized()
            }
        }
        sums = layers.map { _ in Array(repeating: 0, count: bits.count) }
    }

    /// Adds a batch of samples for a single-input model. `isCancelled` is asked between passes.
    /// - Throws: `EngineError`; `CompressionError.activationsNotFinite`; `CancellationError`.
    public func add(_ inputs: Tensor, isCancelled: () -> Bool = { false }) throws {
        let inputs = NamedTensors([(given, inputs)])
        let reference = try executable.logits(inputs)
        for (layer, name) in layers.enumerated() {
            for number in bits.indices {
                if isCancelled() { throw CancellationError() }
                try executable.replace(name, with: rounded[layer][number])
                let found = OutputDivergence.sum(reference: reference, candidate: try executable.logits(inputs))
                guard found.sum.isFinite else { throw CompressionError.activationsNotFinite(tensor: name) }
                sums[layer][number] += found.sum
            }
            try executable.replace(name, with: original[layer])
        }
        rows += OutputDivergence.sum(reference: reference, candidate: reference).rows
    }

    /// The means over all rows of outputs so far.
    /// - Throws: `CompressionError.noData`.
    public func table() throws(CompressionError) -> SensitivityTable {
        guard rows > 0 else { throw .noData("the sensitivity of layers") }
        return SensitivityTable(layers: layers, bits: bits, costs: sums.map { $0.map { $0 / Double(rows) } })
    }
}

extension WeightScheme {
    /// The scheme as it can be had for a layer: a convolution has scales a channel instead of blocks.
    public func fitting(_ layer: QuantizableLayer) -> WeightScheme {
        guard case .block = granularity, layer.isConvolution else { return self }
        var scheme = self
        scheme.granularity = .channel
        return scheme
    }
}
