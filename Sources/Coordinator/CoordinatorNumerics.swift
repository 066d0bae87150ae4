import Compression
import Engine
import Federation
import Foundation
import Ledger
import ModelGraph
import Tensors
import UpdateCodec

/// The coordinator's arithmetic: folds contributions and computes what follows from them. Runs on one thread, holds
/// O(model) memory: the snapshot, one accumulator, the downlink's residual. Deterministic: the same history and the
/// same set of contributions give the same bytes.
final class CoordinatorNumerics {
    /// What the open round is folded into.
    private enum Fold {
        case weights(FoldAccumulator)
        case scores(FoldAccumulator)
        case calibration(CalibrationSet?)
        case metrics
    }

    /// A problem with one contribution: it is refused and the round goes on.
    struct Refusal: Error {
        var reason: String
    }

    private let plan: Plan
    private let blobs: BlobStore
    private let skeleton: Graph
    private var current: (digest: Digest, snapshot: Snapshot)
    private var norm: Double
    private var fold = Fold.metrics
    private var foldSeconds = 0.0
    /// Names the calibration points of the BN-folded graph, once.
    private lazy var calibrationPoints = skeleton.foldingBatchNormalization().quantizationPoints()

    init(plan: Plan, blobs: BlobStore, facts: SnapshotFacts) throws {
        self.plan = plan
        self.blobs = blobs
        skeleton = try Graph.load(blobs.get(facts.graph.digest), path: "graph \(facts.graph.digest)")
        let snapshot = try Snapshot(
            parsing: blobs.get(facts.snapshot.digest), path: "snapshot \(facts.snapshot.digest)")
        current = (facts.snapshot.digest, snapshot)
        norm = snapshot.norm
    }

    /// The graph with the current snapshot's parameters.
    func currentGraph() throws -> Graph { try skeleton.replacingParameters(current.snapshot.parameters) }

    // MARK: Fold

    /// Starts a round's accumulator and folds what was accepted before a restart.
    func openFold(_ rule: FoldRule, base: SnapshotFacts, restoring: [ContributionFacts]) throws {
        precondition(base.snapshot.digest == current.digest, "the round's base is not the current snapshot")
        foldSeconds = 0
        switch rule {
        case .average: fold = .weights(FoldAccumulator(layout: current.snapshot.layout))
        case .maskByScores: fold = .scores(FoldAccumulator(layout: TensorLayout(prunable(current.snapshot.parameters))))
        case .calibration: fold = .calibration(nil)
        case .metrics: fold = .metrics
        }
        for facts in restoring {
            do {
                try add(facts)
            } catch let refusal as Refusal {
                throw CoordinatorError.state("an accepted contribution can no longer be folded: \(refusal.reason)")
            }
        }
    }

    /// Checks and folds one contribution; a refused one changes nothing.
    func examine(_ facts: ContributionFacts) throws -> Examination {
        do {
            try add(facts)
            return .folded
        } catch let refusal as Refusal {
            return .refused(reason: refusal.reason)
        }
    }

    private func add(_ facts: ContributionFacts) throws {
        let started = ContinuousClock.now
        defer { foldSeconds += (ContinuousClock.now - started) / .seconds(1) }
        guard let blob = facts.submission.blob else { return }
        let bytes = try blobs.get(blob.digest)
        switch fold {
        case .metrics: throw Refusal(reason: "the round takes metrics only")
        case .weights(var accumulator):
            fold = .metrics  // Keeps the accumulator uniquely owned while it is changed in place.
            defer { fold = .weights(accumulator) }
            try refusing { try fold(bytes, .update, facts, into: &accumulator) }
        case .scores(var accumulator):
            fold = .metrics
            defer { fold = .scores(accumulator) }
            try refusing { try fold(bytes, .scores, facts, into: &accumulator) }
        case .calibration(let sum):
            try refusing {
                let set = try CalibrationSet(parsing: bytes, expecting: calibrationPoints)
                fold = .calibration(try sum?.merging(set) ?? set)
            }
        }
    }

    /// Turns what a hostile or broken worker can cause into a refusal; everything else stays an error of ours.
    private func refusing(_ body: () throws -> Void) throws {
        do {
            try body()
        } catch let error as CodecError {
            throw Refusal(reason: "\(error)")
        } catch let error as CompressionError {
            throw Refusal(reason: "\(error)")
        }
    }

    private func fold(
        _ bytes: [UInt8], _ kind: UpdateKind, _ facts: ContributionFacts, into accumulator: inout FoldAccumulator
    ) throws {
        let snapshot = current.snapshot
        let layout = kind == .scores ? TensorLayout(prunable(snapshot.parameters)) : snapshot.layout
        let reader = try UpdateReader(bytes, layout: layout, masks: snapshot.masks)
        guard reader.header.kind == kind, reader.newMasks == nil else {
            throw Refusal(reason: "the blob is not \(kind == .scores ? "scores" : "an update")")
        }
        guard reader.header.base == facts.base.bytes else {
            throw Refusal(reason: "the update is based on another snapshot than \(facts.base), its task's")
        }
        guard reader.header.maskEpoch == snapshot.masks.epoch else {
            throw Refusal(
                reason: "the update has mask epoch \(reader.header.maskEpoch), the round \(snapshot.masks.epoch)")
        }
        if kind == .update {
            let size = reader.squaredNorm().squareRoot()
            let bound = plan.wire.maximumNormRatio * max(norm, 1)
            guard size <= bound else {
                throw Refusal(reason: "the update's norm \(size) exceeds the bound \(bound) (wire.maximumNormRatio)")
            }
        }
        try accumulator.add(reader, weight: facts.weight)
    }

    private func prunable(_ parameters: NamedTensors) -> NamedTensors {
        NamedTensors(skeleton.prunableNames.compactMap { name in parameters[name].map { (name, $0) } })
    }

    // MARK: Compute

    /// Closes a round or does a transform.
    func compute(_ computation: StepComputation) throws -> ComputedStep {
        switch computation {
        case .transform(.maskByMagnitude(let sparsity), let base):
            return try mask(scores: Criterion.magnitude(prunable(current.snapshot.parameters)), sparsity, base: base)
        case .transform(let step, _): preconditionFailure("step \(step) is not a transform")
        case .fold(let rule, _, let contributions, let base):
            var step = try close(rule, contributions, base: base)
            let measured = contributions.reduce(0) { $0 + $1.submission.metrics.measured }
            let lossSum = contributions.reduce(0.0) { $0 + $1.submission.metrics.lossSum }
            if measured > 0 { step.outcome.loss = lossSum / Double(measured) }
            step.outcome.foldSeconds = foldSeconds
            return step
        }
    }

    private func close(_ rule: FoldRule, _ contributions: [ContributionFacts], base: SnapshotFacts) throws
        -> ComputedStep
    {
        switch (rule, fold) {
        case (.average, .weights(let accumulator)):
            fold = .metrics
            var mean = accumulator.mean()
            mean.scale(by: Self.staleShare(of: contributions))
            return try publish(mean: mean, base: base)
        case (.maskByScores(let sparsity), .scores(let accumulator)):
            fold = .metrics
            return try mask(scores: Criterion.taylor(accumulator.mean()), sparsity, base: base)
        case (.calibration(let method, let percentile), .calibration(let set?)):
            return try quantize(set, method, percentile, base: base)
        case (.metrics, .metrics):
            let measured = contributions.reduce(0) { $0 + $1.submission.metrics.measured }
            let correct = contributions.reduce(0) { $0 + $1.submission.metrics.correct }
            let accuracy = measured > 0 ? Double(correct) / Double(measured) : nil
            return ComputedStep(outcome: StepOutcome(accuracy: accuracy, sparsity: base.sparsity))
        default: preconditionFailure("fold rule \(rule) closes another fold")
        }
    }

    /// What stale contributions count of what they would if they were fresh; 1 in synchronous rounds. FedBuff divides by
    /// the number of contributions, not by the sum of their staleness weights, so a stale buffer moves the model less.
    private static func staleShare(of contributions: [ContributionFacts]) -> Float {
        let weight = contributions.reduce(0) { $0 + Int($1.weight) }
        let full = contributions.reduce(0) { $0 + Int($1.fullWeight) }
        return full > 0 ? Float(Double(weight) / Double(full)) : 1
    }

    /// Adds the mean, compressed with error feedback, to the snapshot: workers will hold exactly these bytes.
    private func publish(mean: NamedTensors, base: SnapshotFacts) throws -> ComputedStep {
        var target = mean
        if let residual = base.residual {
            let owed = try Safetensors.parse(blobs.get(residual.digest), path: "downlink residual").tensors
            target.add(owed)
        }
        let encoded = try UpdateEncoder.encode(
            target, header: header(base), scheme: plan.wire.down, masks: current.snapshot.masks, seed: plan.seed)
        var step = try advance(encoded, base: base)
        step.outcome.residualNorm = encoded.residual.norm
        step.outcome.density = encoded.density
        step.outcome.bitsPerWeight = encoded.bitsPerWeight
        return step
    }

    private func header(_ base: SnapshotFacts) -> UpdateHeader {
        UpdateHeader(kind: .delta, base: base.snapshot.digest.bytes, maskEpoch: current.snapshot.masks.epoch)
    }

    /// A new mask is a delta without values: dead weights go, and with them what was still owed to them.
    private func mask(scores: NamedTensors, _ sparsity: Double, base: SnapshotFacts) throws -> ComputedStep {
        let old = current.snapshot.masks
        let new = try MaskRanking.globalMask(scores: scores, sparsity: sparsity, previous: old)
        var zeros = NamedTensors()
        for (name, tensor) in current.snapshot.parameters.ordered { zeros[name] = Tensor(zeros: tensor.shape) }
        var header = header(base)
        header.maskEpoch = new.epoch
        let encoded = try UpdateEncoder.encode(
            zeros, header: header, scheme: plan.wire.down, masks: old, newMasks: new, seed: plan.seed)
        var kept = encoded
        if let residual = base.residual {
            var owed = try Safetensors.parse(blobs.get(residual.digest), path: "downlink residual").tensors
            new.apply(to: &owed)
            kept.residual = owed
        }
        return try advance(kept, base: base)
    }

    /// Stores delta, snapshot and residual, and makes the new snapshot current.
    private func advance(_ encoded: EncodedUpdate, base: SnapshotFacts) throws -> ComputedStep {
        let reader = try UpdateReader(encoded.bytes, layout: current.snapshot.layout, masks: current.snapshot.masks)
        let next = try current.snapshot.applying(reader)
        let bytes = next.serialized()
        let digest = try blobs.put(bytes)
        let delta = try blobs.put(encoded.bytes)
        var residual: BlobReference?
        if plan.wire.down.errorFeedback {
            let rest = Safetensors.serialize(encoded.residual)
            residual = BlobReference(digest: try blobs.put(rest), byteCount: rest.count)
        }
        current = (digest, next)
        norm = next.norm
        let sparsity = next.masks.sparsity(over: prunable(next.parameters))
        let facts = SnapshotFacts(
            version: base.version + 1, snapshot: BlobReference(digest: digest, byteCount: bytes.count),
            graph: base.graph, maskEpoch: next.masks.epoch, sparsity: sparsity,
            delta: DeltaReference(
                blob: BlobReference(digest: delta, byteCount: encoded.bytes.count), from: base.snapshot.digest,
                to: digest),
            residual: residual)
        return ComputedStep(outcome: StepOutcome(sparsity: sparsity), snapshot: facts)
    }

    private func quantize(
        _ set: CalibrationSet, _ method: CalibrationMethodKind, _ percentile: Double, base: SnapshotFacts
    ) throws -> ComputedStep {
        let calibration = set.serialized()
        let reference = BlobReference(digest: try blobs.put(calibration), byteCount: calibration.count)
        var compact = CompactReference(
            calibration: reference, compact: reference, method: method.rawValue, percentile: percentile,
            opset: plan.export.opset)
        let bytes = try CompactModel.quantized(
            graph: currentGraph(), calibration: set,
            method: CalibrationMethod.named(method.rawValue, percentile: percentile), opset: Int64(compact.opset)
        ).serialized()
        compact.compact = BlobReference(digest: try blobs.put(bytes), byteCount: bytes.count)
        return ComputedStep(outcome: StepOutcome(sparsity: base.sparsity, compact: compact))
    }
}
