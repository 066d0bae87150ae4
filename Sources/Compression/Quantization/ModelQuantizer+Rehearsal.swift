import Foundation
import Tensors

extension ModelQuantizer {
    /// What stands for a fleet's measurements before there are any: every value lies between -1 and 1, and each bit that a layer
    /// loses costs four times as much as the one before. Whether a file can be made, what its weights take and which of its nodes
    /// stay float depend on structure, hardly on data. Moments and times are left out.
    public func rehearsalEvidence() -> QuantizationEvidence {
        var calibration = CalibrationSet(names: points)
        for name in points {
            guard (try? calibration.add(Tensor([-1, -0.25, 0, 0.5, 1] as [Float], shape: [5]), name: name)) != nil
            else {
                preconditionFailure("finite numbers were refused")
            }
        }
        let bits = Set(candidates + [settings.weights.bits, WeightScheme(for: settings.target).bits]).sorted()
        let costs = layers.map { layer in bits.map { Double(layer.weights) * pow(4, -Double($0)) } }
        return QuantizationEvidence(
            calibration: points.isEmpty ? nil : calibration,
            sensitivities: SensitivityTable(layers: layers.map(\.name), bits: bits, costs: costs))
    }
}
