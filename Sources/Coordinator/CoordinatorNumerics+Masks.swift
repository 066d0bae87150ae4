import Compression
import Federation
import Ledger
import ModelGraph
import Shell
import Tensors
import UpdateCodec

// Mask decisions: which weights die, and what leaves the model.

extension CoordinatorNumerics {
    /// The tensors that workers are to send for a decision.
    func scoreLayout(_ decision: MaskDecision) throws -> TensorLayout {
        let graph = try skeleton()
        let decider = try MaskDecider(
            graph: graph, masks: current.masks, settings: PruningSettings(decision.rules),
            checksNames: false)
        return TensorLayout(
            decision.rules.rule == .scores
                ? decider.statisticLayout(regrows: decision.regrow > 0) : try decider.voteLayout())
    }

    /// Decides a mask and makes the snapshot that follows from it.
    func decide(_ decision: MaskDecision, evidence: PruningEvidence, base: SnapshotFacts) throws -> ComputedStep {
        let graph = try currentGraph()
        let decider = try MaskDecider(
            graph: graph, masks: current.masks, settings: PruningSettings(decision.rules),
            checksNames: false)
        let amount = try decider.amount(decision.amount, evidence, time: timer.milliseconds)
        guard decision.rules.granularity.isStructural else {
            let masks = try decider.mask(evidence, amount: amount, regrow: decision.regrow)
            var step = try publish(mask: masks, base: base)
            step.outcome.signalToNoise = try decider.signalToNoise(evidence)
            return step
        }
        let change = try decider.change(evidence, amount: amount)
        var step = try publish(change, of: graph, base: base)
        step.outcome.signalToNoise = try decider.signalToNoise(evidence)
        step.outcome.units = PrunedUnits(
            before: decider.units, removed: change.removedUnits,
            prunable: try MaskDecider.units(
                of: decider.settings.borders == .keep ? currentGraph() : skeleton(), masks: current.masks,
                settings: decider.settings))
        return step
    }

    /// Refuses votes that are none: their mean decides what stays, and must be a share.
    func checkVotes(_ blob: BlobReference, _ layout: TensorLayout, _ masks: MaskSet) throws {
        let reader = try UpdateReader(blobs.map(blob.digest), layout: layout, masks: masks, threads: threads)
        for (name, tensor) in try reader.decode().ordered {
            guard tensor.withElements(as: Float.self, { $0.allSatisfy { $0 == 0 || $0 == 1 } }) else {
                throw Refusal(reason: "its votes on '\(name)' are not 0 and 1")
            }
        }
    }

    /// The smaller model. What leaves takes along what was owed to it and its moments.
    private func publish(
        _ change: StructureChange, of graph: Graph, base: SnapshotFacts
    ) throws -> ComputedStep {
        foldMemory = nil
        let pruned = try change.apply(to: graph, masks: current.masks)
        let bytes = change.serialized()
        let blob = BlobReference(digest: try blobs.put(bytes), byteCount: bytes.count)
        let reference = try adopt(pruned.graph, parameters: pruned.parameters, masks: pruned.masks)
        let facts = SnapshotFacts(
            version: base.version + 1, snapshot: reference, graph: current.graph, maskEpoch: current.masks.epoch,
            sparsity: sparsity, size: current.size,
            delta: DeltaReference(.structure, blob: blob, from: base.snapshot.digest, to: reference.digest),
            residual: try base.residual.map { try adapt($0, "downlink residual", to: pruned.slices) },
            moments: try base.moments.map { moments in
                ServerMoments(
                    first: try adapt(moments.first, "first moments", to: pruned.slices),
                    second: try moments.second.map { try adapt($0, "second moments", to: pruned.slices) })
            })
        return ComputedStep(outcome: StepOutcome(sparsity: sparsity), snapshot: facts)
    }

    /// Stores a model of another structure and makes it current.
    /// - Parameter graph: with its values, which are also the parameters.
    func adopt(_ graph: Graph, parameters: NamedTensors, masks: MaskSet) throws -> BlobReference {
        let skeleton = try blobs.put(PackedBlob.pack(graph.serializedSkeleton()))
        let snapshot = Snapshot(graph: skeleton, parameters: parameters, masks: masks)
        let reference = try blobs.write(.durable) { writer in try snapshot.serialize { try writer.append($0) } }
        current = CurrentSnapshot(
            graph: BlobReference(digest: skeleton, byteCount: try blobs.size(of: skeleton)),
            size: ModelSize(of: graph), digest: reference.digest, layout: snapshot.layout,
            prunable: snapshot.layout.subset(of: graph.prunableNames),
            statistics: ModelStatistics(names: graph.statisticNames, pairs: graph.batchStatistics),
            masks: masks, norm: snapshot.norm)
        return reference
    }

    private func adapt(
        _ kept: BlobReference, _ what: String, to slices: ParameterSlices
    ) throws -> BlobReference {
        let file = try SafetensorsFile(blobs.map(kept.digest), path: what)
        let writer = try blobs.makeWriter(.durable)
        try KeptTensors.adapt(file, to: slices, prefixes: [], metadata: file.metadata) { try writer.append($0) }
        return try writer.finish()
    }

    /// Survivors take the values of an earlier snapshot (lottery ticket rewinding: Frankle et al. 2020, section 3.1), whose
    /// structure may be larger; running statistics too.
    func rewind(to source: StepSource, base: SnapshotFacts) throws -> ComputedStep {
        foldMemory = nil
        let digest = source.snapshot.snapshot.digest
        let file = try SnapshotFile(blobs.map(digest), path: "snapshot \(digest)")
        var snapshot = Snapshot(graph: current.graph.digest, parameters: NamedTensors(), masks: current.masks)
        snapshot.masks.epoch = current.masks.epoch &+ 1
        let slices = try slices(since: source)
        let kept = try snapshotFile()
        for entry in current.layout.entries {
            // A bias that absorbed what left has no earlier value.
            guard file.layout.entries.contains(where: { $0.name == entry.name }) else {
                snapshot.parameters[entry.name] = try kept.parameter(entry.name)
                continue
            }
            let earlier = slices.apply(to: try file.parameter(entry.name), named: entry.name)
            guard earlier.shape == entry.shape else {
                throw CoordinatorError.state("snapshot \(digest) does not fit the model it is to go back to")
            }
            snapshot.parameters[entry.name] = earlier
        }
        snapshot.zeroDeadWeights()
        let reference = try blobs.write(.durable) { writer in try snapshot.serialize { try writer.append($0) } }
        current.digest = reference.digest
        current.masks = snapshot.masks
        current.norm = snapshot.norm
        return ComputedStep(outcome: StepOutcome(sparsity: sparsity), snapshot: freshFacts(reference, base: base))
    }
}

extension CoordinatorNumerics {
    /// How parameters of an earlier snapshot become those of today's model.
    private func slices(since source: StepSource) throws -> ParameterSlices {
        var slices = ParameterSlices()
        guard !source.changes.isEmpty else { return slices }
        var graph = try blobs.skeleton(source.snapshot.graph.digest)
        for blob in source.changes {
            let pruned = try StructureChange(parsing: blobs.get(blob.digest)).applyToSkeleton(graph)
            slices = slices.followed(by: pruned.slices)
            graph = pruned.graph
        }
        return slices
    }
}

extension ModelSize {
    /// Of a graph with values.
    init(of graph: Graph) {
        self.init(
            parameters: graph.trainableElementCount, macs: try? graph.multiplyAccumulates(),
            bytes: graph.serializedByteCount)
    }
}
