import Engine
import Federation
import Tensors

/// The public batches of a training task and what the fleet says of them, spread evenly among the private ones; a private
/// batch is the last. Samples are as they are, as they were when the logits were computed.
final class PublicLessons {
    struct Lesson {
        let batch: Batch
        let logits: Tensor
        let loss: Loss
    }

    private let loss: Loss
    /// Batches in all.
    let count: Int
    private let loader: BatchLoader
    /// float32 [samples, classes].
    private let consensus: Tensor
    private let privateBatches: Int
    private var given = 0

    init(
        _ rules: EnsemblePlan, of set: PublicSet, consensus: Tensor, batch: Int, among privateBatches: Int, seed: UInt64
    )
        throws
    {
        loss = .distillation(temperature: rules.temperature, alpha: rules.alpha)
        try loss.validate()
        var order = SeededGenerator(seed: seed, labels: "public")
        let batches = BatchPlan(count: set.data.count, batch: batch, epochs: rules.epochs, seed: order.next()).batches
        count = batches.count
        loader = BatchLoader(set.data, plan: batches, seed: nil)
        self.consensus = consensus
        self.privateBatches = max(1, privateBatches)
    }

    /// The next lesson that is due before a private batch, which counts from 0; nil when none is.
    func next(before batch: Int) throws -> Lesson? {
        guard given < (batch + 1) * count / privateBatches, let loaded = try loader.next() else { return nil }
        given += 1
        let classes = consensus.shape[1]
        var rows: [Float] = []
        rows.reserveCapacity(loaded.indices.count * classes)
        consensus.withElements(as: Float.self) { values in
            for index in loaded.indices { rows += values[index * classes..<(index + 1) * classes] }
        }
        return Lesson(
            batch: loaded.batch, logits: Tensor(rows, shape: try Shape([loaded.indices.count, classes])), loss: loss)
    }
}
