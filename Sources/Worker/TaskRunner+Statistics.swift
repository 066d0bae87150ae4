import Compression
import Engine
import Federation
import Ledger
import ModelGraph
import Tensors
import UpdateCodec

// Batch norms' statistics, measured anew behind weights that were rounded or pruned.

extension TaskRunner {
    /// A training task without a step: one pass over at most `epochs` of the shard, as training sees it.
    func reestimate(
        _ model: LoadedModel, _ recipe: TrainingRecipe, offer: TaskOffer, pace: Pace
    ) throws -> (BlobReference?, Digest?, TaskMetrics) {
        try data.training.checkFits(model.graph)
        var metrics = TaskMetrics(samples: data.training.count)
        var parameters = model.graph.parameterTensors()
        // A model without such statistics needs no pass.
        if !model.graph.batchStatistics.isEmpty {
            let meter = try StatisticsMeter(model.graph)
            let batches = BatchPlan(
                count: data.training.count, batch: recipe.batch, epochs: min(1, recipe.epochs), seed: offer.seed
            ).batches
            let loader = BatchLoader(
                data.training, plan: batches, seed: offer.seed, classes: try model.graph.outputExtent())
            var taken = 0
            while let loaded = try loader.next() {
                try pace.step(Double(taken) / Double(max(1, batches.count)))
                try meter.add(loaded.batch)
                taken += 1
            }
            damage = loader.damage
            metrics.damaged = damage.damaged
            parameters = try meter.parameters()
        }
        // What is owed to weights stays out: they are what the statistics are measured behind.
        return try encode(
            TrainerResult(parameters), model, metrics: metrics, offer: offer, residual: nil, control: nil)
    }
}
