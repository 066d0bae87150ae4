import Federation

// Files of numbers: what decides them is on the disk, and nothing else is.

extension SimulatedWorld {
    /// What a round has found out for a file, from the sum of its contributions.
    func measured(
        _ base: SnapshotFacts, as evidence: (BlobReference) -> QuantizationEvidenceBlobs
    ) -> ComputedStep {
        let blob = SimulatedNumerics.evidence(coordinator.foldSum)
        coordinator.disk.put(blob.digest)
        var outcome = StepOutcome(sparsity: base.sparsity)
        outcome.evidence = evidence(blob)
        return ComputedStep(outcome: outcome)
    }

    func read(_ evidence: QuantizationEvidenceBlobs) {
        for digest in evidence.digests where !coordinator.disk.get(digest) {
            violate("what the fleet has measured for a file is gone")
        }
    }

    func quantize(_ decision: QuantizeDecision, _ base: SnapshotFacts, _ source: StepSource?) -> ComputedStep {
        read(decision.evidence)
        if decision.isSimulated, !(source.map { coordinator.disk.get($0.snapshot.snapshot.digest) } ?? false) {
            violate("the model that a stage began with is gone")
        }
        let content = SimulatedNumerics.compact(decision, of: base.snapshot.digest.content)
        let file = SimulatedNumerics.reference(content, 250_000)
        let explanation = SimulatedNumerics.reference(mixed(content, 21), 2_000)
        for blob in [file, explanation] { coordinator.disk.put(blob.digest) }
        var outcome = StepOutcome(sparsity: base.sparsity, compact: file)
        outcome.quantization = QuantizationFacts(
            target: decision.rules.scope.target.rawValue, layers: 2,
            canRetreat: decision.retreats < SimulatedNumerics.retreats, explanation: explanation)
        return ComputedStep(outcome: outcome)
    }

    /// The explanation once more, with what workers have compared.
    func compared(_ explanation: BlobReference, _ base: SnapshotFacts) -> ComputedStep {
        if !coordinator.disk.get(explanation.digest) { violate("the explanation of a file is gone") }
        guard var facts = coordinator.machine.history.quantization else {
            violate("a file is compared that there is not")
            return ComputedStep(outcome: StepOutcome(sparsity: base.sparsity))
        }
        let compared = SimulatedNumerics.reference(mixed(explanation.digest.content, coordinator.foldSum), 2_000)
        coordinator.disk.put(compared.digest)
        facts.explanation = compared
        var outcome = StepOutcome(sparsity: base.sparsity)
        outcome.quantization = facts
        return ComputedStep(outcome: outcome)
    }
}
