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
    /// Of ensembles: the samples that all workers have,
    var publicSet: PublicSet?
    /// and a model of the worker's own.
    var student: OwnStudent?
}

/// Runs one task on the engine. Everything that decides the result is in the offer, the shard and the residual, so a
/// task that is run again gives the same bytes. Owned by the worker's task thread.
final class TaskRunner {
    let blobs: BlobStore
    var shelf: SnapshotShelf
    let data: WorkerData
    /// For benchmarks: tasks do no training.
    let echoes: Bool
    /// Threads that compress and decompress.
    let threads: Int
    /// Brought by this worker, for plans that ask for it.
    let ownTeacher: OwnTeacher?
    var knownTeacher: (key: [String], teacher: Teacher)?

    /// What the last task found damaged in its data.
    var damage = DamageReport()
    /// What the last task makes of the worker's part in an ensemble, if it counts; nil where it stays as it is.
    var nextMember: MemberMemory?

    init(
        blobs: BlobStore, data: WorkerData, ownTeacher: OwnTeacher? = nil, echoes: Bool = false, threads: Int = 1
    ) {
        self.blobs = blobs
        self.data = data
        self.ownTeacher = ownTeacher
        self.echoes = echoes
        self.threads = threads
        shelf = SnapshotShelf(blobs: blobs, threads: threads)
    }

    /// What must be fetched before the task can run.
    /// - Parameter residual: what the worker keeps.
    func missing(for offer: TaskOffer, residual: Digest? = nil) throws -> [BlobReference] {
        var missing = try shelf.missing(for: offer.snapshot)
        for reference in offer.work.snapshots { missing += try shelf.missing(for: reference) }
        missing += offer.work.blobs.filter { !blobs.contains($0.digest) }
        if case .train = offer.work {
            let adaptation = ResidualAdaptation(
                residual, changes: offer.changes, width: offer.work.width, blobs: blobs)
            missing += adaptation.needed.filter { !blobs.contains($0.digest) }
        }
        // A graph, say, that several snapshots share.
        var seen = Set<Digest>()
        return missing.filter { seen.insert($0.digest).inserted }
    }

    /// Puts the task's snapshots on disk and names those worth keeping: this one, those it reads besides, what comes later
    /// needs.
    func settle(_ offer: TaskOffer) throws -> [Digest] {
        var needed: [Digest] = []
        for reference in offer.work.snapshots {
            _ = try shelf.open(reference)
            needed.append(reference.snapshot.digest)
        }
        // A damaged one is moved aside, and then missing.
        if let width = offer.work.width { _ = try blobs.get(width.change.digest) }
        if case .train(let recipe, _, _, _) = offer.work, let consensus = recipe.ensemble?.consensus {
            try blobs.verify(consensus.digest)
        }
        // Last, because the shelf keeps the last one open until the task runs.
        _ = try shelf.open(offer.snapshot)
        needed.append(offer.snapshot.snapshot.digest)
        return shelf.held(among: offer.retain).filter { !needed.contains($0) } + needed
    }

    /// Does the work. `progress` gets fractions; `isCancelled` is asked between batches.
    func run(
        _ offer: TaskOffer, residual: Digest?, member: MemberMemory? = nil, progress: @escaping (Double) -> Void,
        isCancelled: @escaping () -> Bool
    ) throws -> (submission: Submission, residual: Digest?) {
        let started = ContinuousClock.now
        damage = DamageReport()
        nextMember = nil
        var model = try shelf.open(offer.snapshot)
        defer { shelf.close() }
        if let width = offer.work.width {
            // So that the whole model goes as soon as the part is made.
            shelf.close()
            model = try model.narrowed(to: width, from: blobs)
        }
        let pace = Pace(progress: progress, isCancelled: isCancelled)
        var residual = residual
        if case .train = offer.work {
            residual = try ResidualAdaptation(
                residual, changes: offer.changes, width: offer.work.width, blobs: blobs
            ).adapted(changes: offer.changes)
        }
        var result: (blob: BlobReference?, residual: Digest?, metrics: TaskMetrics)
        switch offer.work {
        case _ where echoes: result = try echo(model, offer: offer, residual: residual)
        case .train(let recipe, _, _, _) where recipe.statistics == .reestimated:
            result = try reestimate(model, recipe, offer: offer, pace: pace)
        case .train(let recipe, let teacher, let control, _):
            result = try train(
                trainee(model, recipe, member: member, seed: offer.seed), recipe, teacher: teacher, control: control,
                offer: offer, residual: residual, member: member, pace: pace)
        case .logits(let request):
            result = try logits(model, request, member: member, offer: offer, pace: pace)
        case .score(let request, let decision):
            result = try score(model, request, decision, offer: offer, pace: pace)
        case .moments(let samples, let selection):
            result = try moments(model, samples: samples, selection, offer: offer, pace: pace)
        case .calibrate(let samples, let scope):
            result = try calibrate(model, samples: samples, scope, seed: offer.seed, pace: pace)
        case .inputMoments(let samples, let scope):
            result = try inputMoments(model, samples: samples, scope, seed: offer.seed, pace: pace)
        case .sensitivity(let request):
            result = try sensitivity(model, request, offer: offer, pace: pace)
        case .compare(let samples, let scope, let compact):
            result = try compare(model, samples: samples, scope, compact: compact, seed: offer.seed, pace: pace)
        case .evaluate(let samples, let compact, let loss):
            result = try evaluate(model, samples: samples, compact: compact, loss: loss, pace: pace)
        }
        result.metrics.seconds = (ContinuousClock.now - started) / .seconds(1)
        result.metrics.peakBytes = ProcessMemory.peakBytes
        let submission = Submission(
            round: offer.round, blob: result.blob, metrics: result.metrics, width: offer.work.width?.share)
        return (submission, result.residual)
    }

    func store(_ bytes: [UInt8]) throws -> BlobReference {
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
