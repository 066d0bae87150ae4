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
        guard data.training.targets == .classes else {
            throw TaskFailure("scores need class labels; the data of this shard have none")
        }
        var scorer = try Scorer(
            model.graph, masks: model.snapshot.masks, statistic: .weightGradient, onlyPrunable: true)
        let order = Array(Dataset.shuffledOrder(count: data.training.count, seed: offer.seed).prefix(samples))
        let damaged = try visit(data.training, order, batch: batch, pace: pace) { batch in
            try scorer.add(batch, loss: .crossEntropy)
        }
        // Scores are ranked, not added to weights: small blocks keep small scores apart at 8.5 bits a weight.
        let scheme = WireScheme(
            selection: .dense, values: .int8, blockSize: 32, smallTensorElements: 0, errorFeedback: false)
        let encoded = try UpdateEncoder.encode(
            scorer.scores(),
            header: UpdateHeader(kind: .scores, base: model.digest.bytes, maskEpoch: model.snapshot.masks.epoch),
            scheme: scheme, masks: model.snapshot.masks)
        return (
            try store(encoded.bytes), nil,
            TaskMetrics(samples: order.count, damaged: damaged, bitsPerWeight: encoded.bitsPerWeight)
        )
    }

    func calibrate(
        _ model: LoadedModel, samples: Int, seed: UInt64, pace: Pace
    ) throws -> (BlobReference?, Digest?, TaskMetrics) {
        let calibrator = try Calibrator(model.graph)
        let order = Array(Dataset.shuffledOrder(count: data.training.count, seed: seed).prefix(samples))
        let size = data.training.evaluationBatch(for: model.graph)
        let damaged = try visit(data.training, order, batch: size, pace: pace) { batch in
            try calibrator.add(batch.onlyInput())
        }
        return (
            try store(calibrator.result.serialized()), nil, TaskMetrics(samples: order.count, damaged: damaged)
        )
    }

    func evaluate(
        _ model: LoadedModel, samples: Int?, compact: CompactReference?, loss: LossKind?, pace: Pace
    ) throws -> (BlobReference?, Digest?, TaskMetrics) {
        let graph = try compact.map { try compactGraph(model, $0) } ?? model.graph
        let executable = try Executable(graph)
        let count = min(samples ?? data.test.count, data.test.count)
        guard count > 0 else { throw TaskFailure("the test shard is empty") }
        var metrics = TaskMetrics(samples: count)
        let loss = Loss(loss, data: data.test)
        let size = data.test.evaluationBatch(for: graph)
        metrics.damaged = try visit(data.test, Array(0..<count), batch: size, pace: pace) { batch in
            let result = try executable.evaluate(batch, loss: loss)
            metrics.lossSum += result.lossSum
            metrics.correct += result.correct
            metrics.measured += result.targets
        }
        return (nil, nil, metrics)
    }

    /// Hands out samples as they are, in their order.
    /// - Returns: how many are damaged and were left out.
    private func visit(
        _ dataset: Dataset, _ indices: [Int], batch: Int, pace: Pace, _ body: (Batch) throws -> Void
    ) throws -> Int {
        damage = try dataset.visit(indices, batch: batch) { loaded, fraction in
            try pace.step(fraction)
            try body(loaded.batch)
        }
        return damage.damaged
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
}

extension Batch {
    /// For models with one input.
    fileprivate func onlyInput() throws -> Tensor {
        guard inputs.names.count == 1, let input = inputs.ordered.first?.tensor else {
            throw TaskFailure("histograms are made for models with one input, not \(inputs.names.count)")
        }
        return input
    }
}
