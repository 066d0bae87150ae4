import Compression
import ModelGraph

extension LayerTimes {
    /// Times the float32 model, and for each layer the model with that layer alone in integers.
    /// - Parameters:
    ///   - evidence: ranges of values, where the target needs them.
    ///   - time: of models as they are.
    /// - Throws: `LatencyError.notMeasured`; as `ModelQuantizer.quantize`.
    init(_ quantizer: ModelQuantizer, _ evidence: QuantizationEvidence, time: ModelTiming) throws {
        var evidence = evidence
        // Which way the weights are rounded makes no difference to time.
        (evidence.moments, evidence.sensitivities) = ([], nil)
        var settings = quantizer.settings
        (settings.amount, settings.rounding, settings.equalizes) = (.same, .nearest, false)
        (settings.correctsBiases, settings.weights.range) = (false, .minMax)
        let deployed = quantizer.deployed
        let opset = quantizer.opset
        var models: [() throws -> Graph] = [{ try deployed.convertingOpset(to: opset) }]
        for layer in quantizer.layers {
            var one = settings
            one.excluded = quantizer.layers.map(\.name).filter { $0 != layer.name } + settings.excluded
            models.append { [one, evidence] in
                try ModelQuantizer(deployed, settings: one).quantize(evidence).graph
            }
        }
        let times: [Double]
        do { times = try time(models) } catch { throw error.naming("averageBits") }
        guard let float = times.first, times.count == models.count else {
            preconditionFailure("\(models.count) models have \(times.count) times")
        }
        self.init(float: float, saved: times.dropFirst().map { float - $0 })
    }
}
