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
        offer: TaskOffer, residual: Digest?, member: MemberMemory? = nil, pace: Pace
    ) throws -> (BlobReference?, Digest?, TaskMetrics) {
        try data.training.checkFits(model.graph)
        EngineRuntime.seed(offer.seed)
        var drift = try drift(model, recipe, control, residual: residual)
        let lessons = try Lessons(
            recipe, teaching: teacher.map { try teaching($0, model, seed: offer.seed, residual: residual) },
            data: data.training)
        let trainer = try Trainer(
            model.graph, optimizer: OptimizerSettings(recipe), masks: model.snapshot.masks,
            clipping: GradientClipping(recipe), proximal: recipe.proximal,
            corrections: drift?.correction ?? NamedTensors(), precision: Precision(recipe.precision),
            freezesStatistics: recipe.statistics == .frozen, features: lessons.features)
        let batches = BatchPlan(
            count: data.training.count, batch: recipe.batch, epochs: recipe.epochs, seed: offer.seed
        ).batches
        let publicLessons = try publicLessons(
            recipe, model, member: member, batches: batches.count, seed: offer.seed)
        var pass = TrainingPass(recipe, batches: batches.count + (publicLessons?.count ?? 0))
        let loader = BatchLoader(
            data.training, plan: batches, seed: offer.seed, classes: try model.graph.outputExtent())
        var metrics = TaskMetrics(samples: data.training.count)
        var current = try loader.next()
        var number = 0
        while let loaded = current {
            try pace.step(pass.fraction)
            while let lesson = try publicLessons?.next(before: number) {
                if pass.takes(isLast: false) {
                    trainer.learningRate = pass.beginStep()
                    _ = try trainer.step(lesson.batch, loss: lesson.loss, teacherLogits: lesson.logits)
                } else {
                    _ = try trainer.accumulate(lesson.batch, loss: lesson.loss, teacherLogits: lesson.logits)
                }
            }
            number += 1
            // Known before its step, because the last batch ends its group however small that is.
            current = try loader.next()
            let (logits, features) = try lessons.teacher(on: loaded)
            let result: StepResult
            if pass.takes(isLast: current == nil) {
                trainer.learningRate = pass.beginStep()
                result = try trainer.step(
                    loaded.batch, loss: lessons.loss, teacherLogits: logits, teacherFeatures: features)
            } else {
                result = try trainer.accumulate(
                    loaded.batch, loss: lessons.loss, teacherLogits: logits, teacherFeatures: features)
            }
            metrics.lossSum += result.lossSum
            metrics.correct += result.correct
            metrics.measured += result.targets
        }
        damage = loader.damage
        metrics.damaged = damage.damaged
        metrics.reach = min(pass.reach.sum, MessageLimits.reach.upperBound)
        drift?.reach = metrics.reach
        let parameters = try trainer.parameters()
        // A student of the worker's own stays here: the run's model gets nothing of it.
        if try keepMember(parameters, recipe, round: offer.round, before: member) { return (nil, nil, metrics) }
        return try encode(
            TrainerResult(parameters), model, metrics: metrics, offer: offer, residual: residual,
            control: drift.flatMap { $0.isMeaningful ? $0 : nil }, projectors: trainer.projectors())
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

    func encode(
        _ trained: consuming some TrainedParameters, _ model: LoadedModel, metrics: TaskMetrics, offer: TaskOffer,
        residual: Digest?, control: DriftControl?, projectors: NamedTensors = NamedTensors()
    ) throws -> (BlobReference?, Digest?, TaskMetrics) {
        let encoder = ChangeEncoder(
            blobs: blobs, scheme: offer.scheme, seed: offer.seed, threads: threads,
            statistics: ModelStatistics(names: model.graph.statisticNames, pairs: model.graph.batchStatistics))
        let encoded = try encoder.encode(
            trained, since: model.snapshot, digest: model.digest, owed: residual, control: control,
            projectors: projectors,
            metadata: ResidualAdaptation.metadata(seen: offer.changes.count, width: offer.work.width))
        var metrics = metrics
        metrics.density = encoded.density
        metrics.bitsPerWeight = encoded.bitsPerWeight
        if let residual = encoded.residual { metrics.residualNorm = residual.norm }
        return (try store(encoded.bytes), encoded.residual?.digest, metrics)
    }
}
