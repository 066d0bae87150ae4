import Compression
import Engine
import Federation
import Foundation
import Ledger
import ModelGraph
import Monitor
import Synchronization
import Tensors
import UpdateCodec

/// The worker's shards, as its `--data` names them.
struct WorkerData: Sendable {
    var training: Dataset
    var test: Dataset
}

/// Runs one task on the engine. Everything that decides the result is in the offer, the shard and the residual, so a
/// task that is run again gives the same bytes. Owned by the worker's task thread.
final class TaskRunner {
    private let blobs: BlobStore
    private var shelf: SnapshotShelf
    private let data: WorkerData
    /// For benchmarks: tasks do no training.
    private let echoes: Bool
    /// Threads that compress and decompress.
    private let threads: Int
    private var teacherCache: (key: Digest, cache: TeacherCache)?

    init(blobs: BlobStore, data: WorkerData, echoes: Bool = false, threads: Int = 1) {
        self.blobs = blobs
        self.data = data
        self.echoes = echoes
        self.threads = threads
        shelf = SnapshotShelf(blobs: blobs, threads: threads)
    }

    /// What must be fetched before the task can run.
    func missing(for offer: TaskOffer) throws -> [BlobReference] {
        var blobs = try shelf.missing(for: offer.snapshot)
        switch offer.work {
        case .train(_, let teacher?):
            switch teacher.source {
            case .snapshot(let reference): blobs += try shelf.missing(for: reference)
            case .model(let blob): if !self.blobs.contains(blob.digest) { blobs.append(blob) }
            }
        case .evaluate(_, let compact?):
            if !self.blobs.contains(compact.calibration.digest) { blobs.append(compact.calibration) }
        case .train(_, nil), .score, .calibrate, .evaluate(_, nil): break
        }
        return blobs
    }

    /// Puts the task's snapshots on disk and names those worth keeping: this one, its teacher, what comes later needs.
    func settle(_ offer: TaskOffer) throws -> [Digest] {
        if case .train(_, let teacher?) = offer.work, case .snapshot(let reference) = teacher.source {
            _ = try shelf.open(reference)
        }
        // Last, because the shelf keeps the last one open until the task runs.
        _ = try shelf.open(offer.snapshot)
        var held = shelf.held(among: offer.retain)
        if case .train(_, let teacher?) = offer.work, case .snapshot(let reference) = teacher.source {
            held.removeAll { $0 == reference.snapshot.digest }
            held.append(reference.snapshot.digest)
        }
        held.removeAll { $0 == offer.snapshot.snapshot.digest }
        return held + [offer.snapshot.snapshot.digest]
    }

    /// Does the work. `progress` gets fractions; `isCancelled` is asked between batches.
    func run(
        _ offer: TaskOffer, residual: Digest?, progress: @escaping (Double) -> Void, isCancelled: @escaping () -> Bool
    ) throws -> (submission: Submission, residual: Digest?) {
        let started = ContinuousClock.now
        let model = try shelf.open(offer.snapshot)
        defer { shelf.close() }
        let pace = Pace(progress: progress, isCancelled: isCancelled)
        var result: (blob: BlobReference?, residual: Digest?, metrics: TaskMetrics)
        switch offer.work {
        case _ where echoes: result = try echo(model, offer: offer, residual: residual)
        case .train(let recipe, let teacher):
            result = try train(model, recipe, teacher: teacher, offer: offer, residual: residual, pace: pace)
        case .score(let samples, let batch):
            result = try score(model, samples: samples, batch: batch, offer: offer, pace: pace)
        case .calibrate(let samples):
            result = try calibrate(model, samples: samples, seed: offer.seed, pace: pace)
        case .evaluate(let samples, let compact):
            result = try evaluate(model, samples: samples, compact: compact, pace: pace)
        }
        result.metrics.seconds = (ContinuousClock.now - started) / .seconds(1)
        result.metrics.peakBytes = ProcessMemory.peakBytes
        return (Submission(round: offer.round, blob: result.blob, metrics: result.metrics), result.residual)
    }

    // MARK: Train

    private func train(
        _ model: LoadedModel, _ recipe: TrainingRecipe, teacher: TeacherReference?, offer: TaskOffer, residual: Digest?,
        pace: Pace
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
            TrainerResult(trainer.parameters()), model, metrics: metrics, offer: offer, residual: residual)
    }

    /// For benchmarks: what a training task does, but noise is added instead of training.
    private func echo(
        _ model: LoadedModel, offer: TaskOffer, residual: Digest?
    ) throws -> (BlobReference?, Digest?, TaskMetrics) {
        var metrics = TaskMetrics(samples: data.training.count)
        guard offer.work.yieldsBlob else {
            metrics.measured = min(data.training.count, data.test.count)
            return (nil, nil, metrics)
        }
        return try encode(
            EchoResult(seed: offer.seed), model, metrics: metrics, offer: offer, residual: residual)
    }

    private func encode(
        _ trained: consuming some TrainedParameters, _ model: LoadedModel, metrics: TaskMetrics, offer: TaskOffer,
        residual: Digest?
    ) throws -> (BlobReference?, Digest?, TaskMetrics) {
        let encoder = ChangeEncoder(blobs: blobs, scheme: offer.scheme, seed: offer.seed, threads: threads)
        let encoded = try encoder.encode(trained, since: model.snapshot, digest: model.digest, owed: residual)
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

    // MARK: Score, calibrate, evaluate

    private func score(
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

    private func calibrate(
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

    private func evaluate(
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

    private func store(_ bytes: [UInt8]) throws -> BlobReference {
        BlobReference(digest: try blobs.put(bytes), byteCount: bytes.count)
    }
}

/// Reports progress and notices cancellation between batches.
struct Pace {
    let progress: (Double) -> Void
    let isCancelled: () -> Bool

    func step(_ fraction: Double) throws {
        if isCancelled() { throw CancellationError() }
        progress(fraction)
    }
}

/// The batches of one training task: whole shuffled passes and, for a fractional number of epochs, part of one more.
struct BatchPlan {
    let count: Int
    let batch: Int
    let epochs: Double
    let seed: UInt64

    /// Calls `body` with the sample indices of each batch and the fraction of the task done before it.
    func visit(_ body: (ArraySlice<Int>, Double) throws -> Void) throws {
        let total = max(1, Int((epochs * Double(count)).rounded()))
        var done = 0
        var pass = 0
        while done < total {
            var passSeed = SeededGenerator(seed: seed, labels: "pass", String(pass))
            let order = Dataset.shuffledOrder(count: count, seed: passSeed.next())
            var start = 0
            while start < count, done < total {
                let end = min(start + batch, count, start + total - done)
                // One sample alone has no batch statistics: leave it to the next pass.
                if end - start > 1 || count == 1 { try body(order[start..<end], Double(done) / Double(total)) }
                done += end - start
                start = end
            }
            pass += 1
        }
    }
}
