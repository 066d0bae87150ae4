import Compression
import Engine
import Federation
import Ledger
import ModelGraph
import Tensors
import UpdateCodec

// Training: a shard, a recipe, and what is sent of the difference.

extension TaskRunner {
    func train(
        _ model: LoadedModel, _ recipe: TrainingRecipe, teacher: TeacherReference?, control: ControlReference?,
        offer: TaskOffer, residual: Digest?, pace: Pace
    ) throws -> (BlobReference?, Digest?, TaskMetrics) {
        EngineRuntime.seed(offer.seed)
        let trainer = try Trainer(
            model.graph,
            optimizer: OptimizerSettings(
                kind: recipe.optimizer == .adamw ? .adamw : .sgd, learningRate: recipe.learningRate,
                momentum: recipe.momentum, weightDecay: recipe.weightDecay),
            masks: model.snapshot.masks)
        let cache = try teacher.map { try teacherLogits($0) }
        let loss = teacher.map { Loss.distillation(temperature: $0.temperature, alpha: $0.alpha) } ?? .crossEntropy
        var metrics = TaskMetrics(samples: data.training.count)
        let batches = BatchPlan(
            count: data.training.count, batch: recipe.batch, epochs: recipe.epochs, seed: offer.seed)
        try batches.visit { indices, fraction in
            try pace.step(fraction)
            let (inputs, labels) = data.training.batch(indices)
            let result = try trainer.step(
                inputs, labels: labels, loss: loss, teacherLogits: try cache?.logits(for: Array(indices)))
            metrics.lossSum += result.loss * Double(result.samples)
            metrics.correct += result.correct
            metrics.measured += result.samples
        }
        return try encode(
            TrainerResult(trainer.parameters()), model, metrics: metrics, offer: offer, residual: residual,
            control: nil)
    }

    /// The control variates of a task that is to correct its drift.
    private func drift(
        _ model: LoadedModel, _ recipe: TrainingRecipe, _ control: ControlReference?, residual: Digest?
    ) throws -> DriftControl? {
        guard recipe.correction == .scaffold else { return nil }
        return try DriftControl(
            model.graph.trainableNames,
            previous: control.map { try shelf.file($0.previous) }, reach: control?.reach ?? 1,
            current: model.snapshot.parameters,
            own: residual.map { try SafetensorsFile(blobs.map($0), path: "residual \($0)") })
    }

    /// For benchmarks: what a training task does, but noise is added instead of training.
    func echo(
        _ model: LoadedModel, offer: TaskOffer, residual: Digest?
    ) throws -> (BlobReference?, Digest?, TaskMetrics) {
        var metrics = TaskMetrics(samples: data.training.count)
        guard offer.work.yieldsBlob else {
            metrics.measured = min(data.training.count, data.test.count)
            return (nil, nil, metrics)
        }
        return try encode(
            EchoResult(seed: offer.seed), model, metrics: metrics, offer: offer, residual: residual,
            control: nil)
    }

    private func encode(
        _ trained: consuming some TrainedParameters, _ model: LoadedModel, metrics: TaskMetrics, offer: TaskOffer,
        residual: Digest?, control: DriftControl?
    ) throws -> (BlobReference?, Digest?, TaskMetrics) {
        let encoder = ChangeEncoder(
            blobs: blobs, scheme: offer.scheme, seed: offer.seed, threads: threads,
            statistics: ModelStatistics(names: model.graph.statisticNames, pairs: model.graph.batchStatistics))
        let encoded = try encoder.encode(
            trained, since: model.snapshot, digest: model.digest, owed: residual, control: control)
        var metrics = metrics
        metrics.density = encoded.density
        metrics.bitsPerWeight = encoded.bitsPerWeight
        if let residual = encoded.residual { metrics.residualNorm = residual.norm }
        return (try store(encoded.bytes), encoded.residual?.digest, metrics)
    }

    private func teacherLogits(_ teacher: TeacherReference) throws -> TeacherCache {
        let key: Digest
        let graph: () throws -> Graph
        switch teacher.source {
        case .snapshot(let reference):
            key = reference.snapshot.digest
            graph = { try self.shelf.open(reference).graph }
        case .model(let blob):
            key = blob.digest
            // A teacher carries its values: whatever it leaves out is not for us to make.
            graph = {
                try Graph.load(self.blobs.get(blob.digest), path: "teacher \(blob.digest)", skeletonByteLimit: 0)
            }
        }
        if let teacherCache, teacherCache.key == key { return teacherCache.cache }
        let cache = TeacherCache(teacher: try Executable(graph()), dataset: data.training)
        teacherCache = (key, cache)
        return cache
    }
}
