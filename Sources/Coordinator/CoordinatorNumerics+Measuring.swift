import Compression
import Federation
import Ledger
import ModelGraph
import Shell

// What the fleet measures for a quantized file. Histograms are whole numbers and add up in any order; sums of doubles depend on
// their order, so contributions are checked as they come and added in the order of their workers when the round closes.

extension CoordinatorNumerics {
    /// What workers measure of the current model: it follows from its structure alone.
    func measured(_ scope: QuantizationScope) throws -> ModelQuantizer {
        var scope = scope
        // Ranges of weights, which a skeleton has not.
        scope.equalizes = false
        return try ModelQuantizer(skeleton(), scope)
    }

    private func bytes(_ facts: ContributionFacts) throws -> [UInt8] {
        guard let blob = facts.submission.blob else { preconditionFailure("measurements without a blob were taken") }
        return try blobs.get(blob.digest)
    }

    /// One worker's histograms, checked.
    /// - Throws: `CompressionError.malformedCalibration`.
    func histograms(_ facts: ContributionFacts, points: [String]) throws -> CalibrationSet {
        try CalibrationSet(parsing: bytes(facts), expecting: points)
    }

    /// One worker's sensitivities, checked.
    /// - Throws: `TensorError`, `CompressionError`.
    func sensitivities(
        _ facts: ContributionFacts, layers: [String], bits: [Int]
    ) throws -> SensitivityTable {
        let table = try SensitivityBlob.parse(bytes(facts), path: "sensitivities")
        guard table.layers == layers, table.bits == bits else {
            throw CompressionError.valueOutOfRange("the sensitivities are of other layers or numbers of bits")
        }
        return table
    }

    /// One worker's comparison, checked.
    /// - Throws: `CompressionError`.
    func comparison(_ facts: ContributionFacts, layers: [String]) throws -> ComparisonSums {
        try ComparisonSums(parsing: bytes(facts), expecting: layers)
    }

    // MARK: Closing

    /// - Parameter set: the fleet's.
    func close(histograms set: CalibrationSet, base: SnapshotFacts) throws -> ComputedStep {
        try evidence(base) { $0.calibration = try store(set.serialized()) }
    }

    /// - Parameter contributions: in the order of their workers.
    func close(
        inputMoments layout: QuantizationMomentLayout, _ contributions: [ContributionFacts], base: SnapshotFacts
    ) throws -> ComputedStep {
        var fold = MomentFold(layout.moments)
        for facts in contributions { fold.add(try moments(facts, layout.moments), weight: facts.weight) }
        return try evidence(base) { $0.moments = try store(fold.set().serialized()) }
    }

    /// - Parameter contributions: in the order of their workers.
    func close(
        sensitivitiesOf layers: [String], bits: [Int], _ contributions: [ContributionFacts], base: SnapshotFacts
    ) throws -> ComputedStep {
        var sums = layers.map { _ in [Double](repeating: 0, count: bits.count) }
        let total = contributions.reduce(0.0) { $0 + Double($1.weight) }
        for facts in contributions {
            let table = try sensitivities(facts, layers: layers, bits: bits)
            for row in sums.indices {
                for column in bits.indices {
                    sums[row][column] += Double(facts.weight) / total * table.costs[row][column]
                }
            }
        }
        let table = SensitivityTable(layers: layers, bits: bits, costs: sums)
        return try evidence(base) { $0.sensitivities = try store(SensitivityBlob.serialize(table)) }
    }

    /// - Parameters:
    ///   - explanation: of the file that was compared.
    ///   - contributions: in the order of their workers.
    func close(
        comparisonOf layers: [String], explanation: BlobReference, _ contributions: [ContributionFacts],
        base: SnapshotFacts
    ) throws -> ComputedStep {
        var sums = ComparisonSums(layers: layers)
        for facts in contributions { sums.merge(try comparison(facts, layers: layers)) }
        let compared = try FileExplanation(parsing: blobs.get(explanation.digest)).compared(with: sums)
        var outcome = StepOutcome(sparsity: base.sparsity)
        outcome.quantization = compared.facts
        outcome.quantization?.explanation = try store(compared.serialized())
        return ComputedStep(outcome: outcome)
    }

    private func evidence(
        _ base: SnapshotFacts, _ fill: (inout QuantizationEvidenceBlobs) throws -> Void
    ) rethrows -> ComputedStep {
        var found = QuantizationEvidenceBlobs()
        try fill(&found)
        var outcome = StepOutcome(sparsity: base.sparsity)
        outcome.evidence = found
        return ComputedStep(outcome: outcome)
    }

    /// Keeps bytes that a record will name.
    func store(_ bytes: [UInt8]) throws -> BlobReference {
        BlobReference(digest: try blobs.put(bytes), byteCount: bytes.count)
    }
}
