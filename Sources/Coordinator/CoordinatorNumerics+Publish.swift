import Federation
import Ledger
import Tensors
import UpdateCodec

// What follows from a round's contributions: the next snapshot, the next mask.

extension CoordinatorNumerics {
    /// Adds the mean, compressed with error feedback, to the snapshot: workers will hold exactly these bytes.
    func publish(
        mean: consuming FoldAccumulator, share: Float, server: ServerStep, base: SnapshotFacts
    ) throws -> ComputedStep {
        let published = try publisher(base, masks: current.masks).publish(mean: mean, share: share, server: server)
        var step = advance(published, masks: current.masks, base: base)
        step.outcome.residualNorm = published.residualNorm
        step.outcome.density = published.density
        step.outcome.bitsPerWeight = published.bitsPerWeight
        foldMemory = published.foldMemory
        return step
    }

    /// A new mask is a delta without values: dead weights go, and with them what was still owed to them.
    func publish(mask new: MaskSet, base: SnapshotFacts) throws -> ComputedStep {
        foldMemory = nil
        var published = try publisher(base, masks: new).publish(maskFrom: current.masks)
        // Those of dead weights are dropped where they are taken up.
        published.moments = base.moments
        return advance(published, masks: new, base: base)
    }

    func publisher(_ base: SnapshotFacts, masks: MaskSet) throws -> SnapshotPublisher {
        SnapshotPublisher(
            blobs: blobs, scheme: plan.wire.down, seed: plan.seed, threads: threads, base: base,
            old: try snapshotFile(), masks: masks, statistics: current.statistics)
    }

    /// Makes the new snapshot current.
    private func advance(
        _ published: SnapshotPublisher.Published, masks: MaskSet, base: SnapshotFacts
    ) -> ComputedStep {
        current.digest = published.snapshot.digest
        current.masks = masks
        current.norm = published.norm
        let facts = SnapshotFacts(
            version: base.version + 1, snapshot: published.snapshot, graph: base.graph, maskEpoch: masks.epoch,
            sparsity: sparsity, size: current.size,
            delta: published.delta.map {
                DeltaReference(blob: $0, from: base.snapshot.digest, to: published.snapshot.digest)
            },
            residual: published.residual, moments: published.moments)
        return ComputedStep(outcome: StepOutcome(sparsity: sparsity), snapshot: facts)
    }

    /// Share of prunable weights that are masked.
    var sparsity: Double { current.masks.sparsity(of: current.prunable) }
}

extension MaskSet {
    /// Share of a layout's elements that is masked.
    func sparsity(of layout: TensorLayout) -> Double {
        let total = layout.elementCount
        let alive = layout.entries.reduce(0) { $0 + (self[$1.name]?.populationCount ?? $1.elementCount) }
        return total == 0 ? 0 : Double(total - alive) / Double(total)
    }
}
