import Compression
import Engine
import Federation
import Ledger
import ModelGraph
import Shell
import Tensors
import UpdateCodec

// Tasks that leave the weights as they are: scores and accuracy.

extension TaskRunner {
    func score(
        _ model: LoadedModel, _ request: ScoreRequest, _ decision: MaskDecision, offer: TaskOffer, pace: Pace
    ) throws -> (BlobReference?, Digest?, TaskMetrics) {
        try data.training.checkFits(model.graph)
        let decider = try MaskDecider(
            graph: model.graph, masks: model.snapshot.masks, settings: PruningSettings(decision.rules),
            checksNames: false)
        var scorer = try decider.scorer(regrows: decision.regrow > 0, learningRate: request.learningRate)
        let loss = Loss(request.loss, data: data.training)
        let order = Array(Dataset.shuffledOrder(count: data.training.count, seed: offer.seed).prefix(request.samples))
        let damaged = try visit(data.training, order, batch: request.batch, pace: pace) { batch in
            try scorer.add(batch, loss: loss)
        }
        var tensors = try scorer.scores()
        if decision.rules.rule != .scores {
            guard let amount = PruningAmount(decision.amount) else {
                throw TaskFailure("a vote cannot keep a budget of milliseconds")
            }
            tensors = try decider.votes(tensors, amount: amount)
        }
        let encoded = try UpdateEncoder.encode(
            tensors,
            header: UpdateHeader(kind: .scores, base: model.digest.bytes, maskEpoch: model.snapshot.masks.epoch),
            scheme: decision.scoreScheme, masks: decision.alignment(to: model.snapshot.masks))
        return (
            try store(encoded.bytes), nil,
            // A shard counts by its size, however many of its samples were looked at.
            TaskMetrics(samples: data.training.count, damaged: damaged, bitsPerWeight: encoded.bitsPerWeight)
        )
    }

    func evaluate(
        _ model: LoadedModel, samples: Int?, compact: BlobReference?, loss: LossKind?, pace: Pace
    ) throws -> (BlobReference?, Digest?, TaskMetrics) {
        let graph = try compact.map { try compactGraph($0) } ?? model.graph
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
    func visit(
        _ dataset: Dataset, _ indices: [Int], batch: Int, pace: Pace, _ body: (Batch) throws -> Void
    ) throws -> Int {
        damage = try dataset.visit(indices, batch: batch) { loaded, fraction in
            try pace.step(fraction)
            try body(loaded.batch)
        }
        return damage.damaged
    }
}
