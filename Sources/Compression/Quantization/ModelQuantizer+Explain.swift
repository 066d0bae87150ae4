import ModelGraph
import Tensors

// What is said of each layer of a file.

extension ModelQuantizer {
    /// The file's layers in the order of use, without what only a comparison finds (`LayerComparison`).
    public func explain(_ model: QuantizedModel, _ evidence: QuantizationEvidence) -> [LayerExplanation] {
        let bytes = model.layers.reduce(0.0) { $0 + Double($1.weights * $1.bits) }
        let macs = try? multiplyAccumulates()
        let allMacs = macs.map { $0.values.reduce(0.0) { $0 + Double($1) } } ?? 0
        let known = Dictionary(layers.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        return model.layers.map { layer in
            let span = known[layer.name].flatMap { range(of: $0, model, evidence.calibration) }
            return LayerExplanation(
                layer: layer.name, bits: layer.bits, weights: layer.weights,
                shareOfBytes: bytes > 0 ? Double(layer.weights * layer.bits) / bytes : 0,
                shareOfMacs: allMacs > 0 ? macs?[layer.name].map { Double($0) / allMacs } : nil,
                scales: known[layer.name].map { settings.weights.fitting($0).granularity.word } ?? "channel",
                rounding: layer.isTrained ? "trained" : layer.rounding.rawValue,
                askedRounding: settings.rounding.rawValue,
                relativeError: layer.relativeError, low: span?.low, high: span?.high, clippedShare: span?.clipped,
                sensitivity: evidence.sensitivities?.cost(of: layer.name, bits: layer.bits))
        }
    }

    private func range(
        of layer: QuantizableLayer, _ model: QuantizedModel, _ calibration: CalibrationSet?
    ) -> (low: Double, high: Double, clipped: Double)? {
        guard let name = layer.comparedValue(deployed: model.deployed, quantized: model.graph),
            let activation = model.activations[name], let histogram = calibration?[name]
        else { return nil }
        let codes = activation.storage.codes
        let low = Double(activation.scale) * Double(codes.lowerBound - activation.zeroPoint)
        let high = Double(activation.scale) * Double(codes.upperBound - activation.zeroPoint)
        return (low, high, histogram.clippedShare(low: low, high: high))
    }
}

extension WeightScheme.Granularity {
    /// Its name in plans and reports.
    var word: String {
        switch self {
        case .tensor: "tensor"
        case .channel: "channel"
        case .block: "block"
        }
    }
}
