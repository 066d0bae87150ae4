import Compression
import Engine
import Federation
import Ledger
import ModelGraph
import Tensors
import UpdateCodec

// Tasks that leave the weights as they are: scores, histograms, accuracy.

extension TaskRunner {
    func score(
        _ model: LoadedModel, samples: Int, batch: Int, offer: TaskOffer, pace: Pace
    ) throws -> (BlobReference?, Digest?, TaskMetrics) {
        var scorer = try TaylorScorer(model.graph, masks: model.snapshot.masks)
        let order = Dataset.shuffledOrder(count: data.training.count, seed: offer.seed).prefix(samples)
        for start in stride(from: 0, to: order.count, by: batch) {
            try pace.step(Double(start) / Double(order.count))
            let (inputs, labels) = data.training.batch(order[start..<min(order.count, start + batch)])
            try scorer.add(inputs, labels: labels)
        }
        // Scores are ranked, not added to weights: small blocks keep small scores apart at 8.5 bits a weight.
        let scheme = WireScheme(
            selection: .dense, values: .int8, blockSize: 32, smallTensorElements: 0, errorFeedback: false)
        let encoded = try UpdateEncoder.encode(
            scorer.scores(),
            header: UpdateHeader(kind: .scores, base: model.digest.bytes, maskEpoch: model.snapshot.masks.epoch),
            scheme: scheme, masks: model.snapshot.masks)
        return (try store(encoded.bytes), nil, TaskMetrics(samples: order.count, bitsPerWeight: encoded.bitsPerWeight))
    }

    func calibrate(
        _ model: LoadedModel, samples: Int, seed: UInt64, pace: Pace
    ) throws -> (BlobReference?, Digest?, TaskMetrics) {
        let calibrator = try Calibrator(model.graph)
        let order = Dataset.shuffledOrder(count: data.training.count, seed: seed).prefix(samples)
        for start in stride(from: 0, to: order.count, by: Self.evaluationBatch) {
            try pace.step(Double(start) / Double(order.count))
            try calibrator.add(
                data.training.batch(order[start..<min(order.count, start + Self.evaluationBatch)]).inputs)
        }
        return (try store(calibrator.result.serialized()), nil, TaskMetrics(samples: order.count))
    }

    func evaluate(
        _ model: LoadedModel, samples: Int?, compact: CompactReference?, pace: Pace
    ) throws -> (BlobReference?, Digest?, TaskMetrics) {
        let graph = try compact.map { try compactGraph(model, $0) } ?? model.graph
        let executable = try Executable(graph)
        let count = min(samples ?? data.test.count, data.test.count)
        guard count > 0 else { throw TaskFailure("the test shard is empty") }
        var metrics = TaskMetrics(samples: count)
        for start in stride(from: 0, to: count, by: Self.evaluationBatch) {
            try pace.step(Double(start) / Double(count))
            let (inputs, labels) = data.test.batch(start..<min(count, start + Self.evaluationBatch))
            let result = try executable.evaluate(inputs, labels: labels)
            metrics.lossSum += result.lossSum
            metrics.correct += result.correct
            metrics.measured += result.samples
        }
        return (nil, nil, metrics)
    }

    /// The compact model, rebuilt from the snapshot and the fleet's histograms; the same bytes as the coordinator's.
    private func compactGraph(_ model: LoadedModel, _ reference: CompactReference) throws -> Graph {
        let calibration = try CalibrationSet(
            parsing: blobs.get(reference.calibration.digest),
            expecting: model.graph.foldingBatchNormalization().quantizationPoints())
        let graph = try CompactModel.quantized(
            graph: model.graph, calibration: calibration,
            method: CalibrationMethod.named(reference.method, percentile: reference.percentile),
            opset: Int64(reference.opset))
        let digest = Digest(hashing: graph.serialized())
        guard digest == reference.compact.digest else {
            throw TaskFailure(
                "this machine builds compact model \(digest.short), the coordinator \(reference.compact.digest.short)")
        }
        return graph
    }

    private static let evaluationBatch = 256
}
