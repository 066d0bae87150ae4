import Compression
import Engine
import Federation
import Ledger
import ModelGraph
import Shell
import Tensors

// Second moments: what layers multiply or make of a shard's samples, summed; nothing of a single sample leaves the worker.

extension TaskRunner {
    /// Batches of one pass: moments do not depend on them but in their last bits.
    private static let momentBatch = 32

    func moments(
        _ model: LoadedModel, samples: Int, _ selection: FactorizableSelection, offer: TaskOffer, pace: Pace
    ) throws -> (BlobReference?, Digest?, TaskMetrics) {
        try data.training.checkFits(model.graph)
        let selection = LayerSelection(selection)
        let layers = try selection.layers(of: model.graph, masks: model.snapshot.masks).layers
        let moments = try SecondMoments(model.graph, layers: layers, choice: selection.choice)
        // A model that nothing is left to factorize of needs no pass.
        let needed = moments.layout.layers.isEmpty ? 0 : samples
        let order = Array(Dataset.shuffledOrder(count: data.training.count, seed: offer.seed).prefix(needed))
        let size = min(Self.momentBatch, data.training.evaluationBatch(for: model.graph))
        let damaged = try visit(data.training, order, batch: size, pace: pace) { batch in
            try moments.add(batch.inputs)
        }
        return (
            try store(try moments.set().serialized()), nil,
            // A shard counts by its size, however many of its samples were looked at.
            TaskMetrics(samples: data.training.count, damaged: damaged)
        )
    }
}
