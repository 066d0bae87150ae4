import Engine
import Foundation
import ModelGraph
import Tensors

extension ModelQuantizer {
    /// What stands for a fleet's measurements before there are any: ranges of values are those that noise gives, and each bit that
    /// a layer loses costs four times as much as the one before. Whether a file can be made, what its weights take and which of
    /// its nodes stay float depend on structure, hardly on data. Moments and times are left out.
    public func rehearsalEvidence() -> QuantizationEvidence {
        let bits = Set(candidates + [settings.weights.bits, WeightScheme(for: settings.target).bits]).sorted()
        let costs = layers.map { layer in bits.map { Double(layer.weights) * pow(4, -Double($0)) } }
        return QuantizationEvidence(
            calibration: points.isEmpty ? nil : (try? noiseRanges()) ?? unitRanges(),
            sensitivities: SensitivityTable(layers: layers.map(\.name), bits: bits, costs: costs))
    }

    /// What the graph makes of noise: behind a Relu nothing is negative.
    private func noiseRanges() throws -> CalibrationSet {
        guard let input = try RandomBatch.inputs(for: deployed).ordered.first?.tensor, deployed.inputs.count == 1 else {
            throw CompressionError.noData("the rehearsal")
        }
        let calibrator = try Calibrator(deployed: deployed, points: points)
        try calibrator.add(input)
        return calibrator.result
    }

    /// -1 to 1 everywhere, for models that cannot be run without knowing more of their input.
    private func unitRanges() -> CalibrationSet {
        var calibration = CalibrationSet(names: points)
        for name in points {
            guard (try? calibration.add(Tensor([-1, -0.25, 0, 0.5, 1] as [Float], shape: [5]), name: name)) != nil
            else {
                preconditionFailure("finite numbers were refused")
            }
        }
        return calibration
    }
}
