import Compression
import Federation
import Ledger
import ModelGraph
import Shell
import Tensors
import UpdateCodec

// From what the fleet has measured to a training graph with its rounding simulated, and to the compact file.

extension CoordinatorNumerics {
    /// A training graph that rounds as the file will. What is owed to weights is owed no more: workers fetch it whole. Masks
    /// are kept.
    func simulate(_ decision: QuantizeDecision, base: SnapshotFacts) throws -> ComputedStep {
        let graph = try currentGraph()
        let quantizer = try quantizer(of: graph, decision.rules)
        let evidence = try evidence(decision, quantizer)
        let simulated = try quantizer.simulating(graph, evidence)
        let masks = MaskSet(epoch: current.masks.epoch &+ 1, bitmaps: current.masks.bitmaps)
        let reference = try adopt(simulated, parameters: simulated.parameterTensors(), masks: masks)
        return ComputedStep(outcome: StepOutcome(sparsity: sparsity), snapshot: freshFacts(reference, base: base))
    }

    /// The compact file: what was written is read back and run before it counts.
    /// - Parameter source: of a model whose rounding was simulated, the snapshot before: what is left when everything is given up.
    func quantize(
        _ decision: QuantizeDecision, source: StepSource?, base: SnapshotFacts
    ) throws -> ComputedStep {
        let graph = try currentGraph()
        var quantizer = try quantizer(of: graph, decision.rules)
        var evidence = try evidence(decision, quantizer)
        var model = try quantizer.quantize(evidence, retreat: decision.retreats)
        if let source, decision.isSimulated, !model.canRetreat {
            // Weights that learned to be rounded are not the float32 model that the stage began with.
            quantizer = try self.quantizer(of: Graph.load(source.snapshot, from: blobs), decision.rules)
            evidence = try self.evidence(decision, quantizer)
            model = try quantizer.quantize(evidence, retreat: decision.retreats)
        }
        let file = try CompactFile(model, by: quantizer, evidence, isStrict: plan.export.strict)
        var outcome = StepOutcome(sparsity: base.sparsity, compact: try store(file.bytes))
        outcome.quantization = file.explanation.facts
        outcome.quantization?.explanation = try store(file.explanation.serialized())
        return ComputedStep(outcome: outcome)
    }

    private func quantizer(of graph: Graph, _ rules: QuantizeRules) throws -> ModelQuantizer {
        try ModelQuantizer(graph, settings: QuantizationSettings(rules).fitting(graph))
    }

    /// What was measured, read back.
    private func evidence(_ decision: QuantizeDecision, _ quantizer: ModelQuantizer) throws -> QuantizationEvidence {
        var evidence = QuantizationEvidence()
        if let blob = decision.evidence.calibration {
            evidence.calibration = try CalibrationSet(parsing: blobs.get(blob.digest), expecting: quantizer.points)
        }
        if let blob = decision.evidence.moments {
            let layout = quantizer.momentLayout
            var fold = MomentFold(layout.moments)
            fold.add(try MomentSet(parsing: blobs.get(blob.digest), expecting: layout.moments), weight: 1)
            evidence.moments = layout.inputMoments(fold)
        }
        if let blob = decision.evidence.sensitivities {
            evidence.sensitivities = try SensitivityBlob.parse(
                blobs.get(blob.digest), path: "sensitivities \(blob.digest.short)")
        }
        if case .milliseconds = decision.rules.amount {
            evidence.times = try times(quantizer, evidence)
        }
        return evidence
    }

    /// Measured once for all attempts at a file.
    private func times(_ quantizer: ModelQuantizer, _ evidence: QuantizationEvidence) throws -> LayerTimes {
        if let known = knownTimes, known.snapshot == current.digest { return known.times }
        let times = try LayerTimes(quantizer, evidence, time: timer.milliseconds)
        knownTimes = (current.digest, times)
        return times
    }

    /// Of a new model for which nothing holds that anybody keeps of the one before.
    func freshFacts(_ reference: BlobReference, base: SnapshotFacts) -> SnapshotFacts {
        SnapshotFacts(
            version: base.version + 1, snapshot: reference, graph: current.graph, maskEpoch: current.masks.epoch,
            sparsity: sparsity, size: current.size, isFresh: true)
    }
}
