import ArgumentParser
import Compression
import Engine
import ModelGraph
import Tensors

/// `pleach model quantize` on one machine: what workers would measure, on one data set.
struct QuantizationRun {
    let quantizer: ModelQuantizer
    let dataset: Dataset?
    /// Of each pass: histograms and moments; sensitivities; the comparison.
    let samples: Int
    let sensitivitySamples: Int
    let comparedSamples: Int

    /// What the data say, as far as the settings use it.
    func evidence(warn: (String) -> Void) throws -> QuantizationEvidence {
        var evidence = QuantizationEvidence()
        guard let dataset else { return evidence }
        let points = quantizer.points
        let calibrator = points.isEmpty ? nil : try Calibrator(deployed: quantizer.deployed, points: points)
        let moments =
            try quantizer.usesMoments
            ? QuantizationMoments(deployed: quantizer.deployed, layout: quantizer.momentLayout) : nil
        if calibrator != nil || moments != nil {
            let damage = try visit(dataset, samples) { input in
                try calibrator?.add(input)
                try moments?.add(input)
            }
            if let warning = damage.warning { warn(warning) }
        }
        evidence.calibration = calibrator?.result
        evidence.moments = try moments?.inputMoments() ?? []
        if quantizer.needsSensitivities {
            let meter = try SensitivityMeter(
                deployed: quantizer.deployed, layers: quantizer.layers, scheme: quantizer.settings.weights,
                bits: quantizer.candidates)
            _ = try visit(dataset, sensitivitySamples) { try meter.add($0) }
            evidence.sensitivities = try meter.table()
        }
        return evidence
    }

    /// The model and its quantized form side by side; nil without data.
    func comparison(of model: QuantizedModel) throws -> ComparisonSums? {
        guard let dataset else { return nil }
        let comparison = try LayerComparison(
            deployed: quantizer.deployed, quantized: model.graph, layers: quantizer.layers)
        _ = try visit(dataset, comparedSamples) { try comparison.add($0) }
        return comparison.sums
    }

    /// The samples that a pass begins with, as the model takes them; nil without data.
    func firstBatch() throws -> NamedTensors? {
        guard let dataset, let name = quantizer.deployed.inputs.first?.name else { return nil }
        var first: Tensor?
        let count = min(2, dataset.evaluationBatch(for: quantizer.deployed))
        _ = try visit(dataset, count) { first = first ?? $0 }
        return first.map { NamedTensors([(name, $0)]) }
    }

    private func visit(_ dataset: Dataset, _ count: Int, _ body: (Tensor) throws -> Void) throws -> DamageReport {
        let order = Array(Dataset.shuffledOrder(count: dataset.count, seed: 0).prefix(count))
        let batch = dataset.measuringBatch(for: quantizer.deployed)
        return try dataset.visit(order, batch: batch) { loaded, _ in
            guard let input = loaded.batch.inputs.ordered.first, loaded.batch.inputs.count == 1 else {
                throw EngineError.badBatch(
                    "quantization is measured on models with one input, not \(loaded.batch.inputs.count)")
            }
            try body(input.tensor)
        }
    }
}
