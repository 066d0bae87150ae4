import ModelGraph
import Tensors

/// The model as it is delivered. Deterministic: the same graph, histograms and method give the same bytes.
public enum CompactModel {
    /// int8 QDQ for x86: uint8 asymmetric activations from the fleet's histograms, int8 symmetric weights per channel.
    public static func quantized(
        graph: Graph, calibration: CalibrationSet, method: CalibrationMethod, opset: Int64
    ) throws -> Graph {
        let deployed = graph.foldingBatchNormalization()
        var activations: [String: ActivationQuantization] = [:]
        for name in deployed.quantizationPoints() {
            guard let histogram = calibration[name], histogram.count > 0 else {
                throw CompressionError.missingCalibration(tensor: name)
            }
            let range = histogram.range(method)
            activations[name] = ActivationQuantization(low: range.low, high: range.high)
        }
        var weights: [String: QuantizedWeight] = [:]
        for (name, axis) in deployed.quantizableWeights() {
            guard let tensor = deployed.initializers[name] else { continue }
            weights[name] = try WeightQuantizer.perChannelInt8(tensor, axis: axis, name: name)
        }
        return try deployed.quantizedQDQ(activations: activations, weights: weights, opset: opset)
    }

    /// Plain float32 with BatchNormalization folded.
    public static func float32(graph: Graph, opset: Int64) throws -> Graph {
        try graph.foldingBatchNormalization().convertingOpset(to: opset)
    }
}
