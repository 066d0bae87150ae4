import Compression
import Engine
import Federation
import Foundation
import Ledger
import ModelGraph
import Shell
import Tensors
import UpdateCodec

/// The coordinator's arithmetic: folds contributions and computes what follows from them. Runs on one thread. Of the
/// snapshot it holds layout, masks and norm; while a round is open, one accumulator of 8 bytes a parameter; parameters,
/// contributions and residuals pass through in pieces (ARCHITECTURE.md, "Memory of the coordinator"). Deterministic: the
/// same history and the same set of contributions give the same bytes.
final class CoordinatorNumerics {
    /// What the open round is folded into.
    private enum Fold {
        case weights(FoldAccumulator)
        /// What workers found out, or their votes, and the masks their blobs are aligned to.
        case scores(FoldAccumulator, MaskSet, areVotes: Bool)
        /// Of contributions that were checked; they are added up when the round closes, in the order of their names.
        case moments(MomentLayout)
        case calibration(CalibrationSet?, points: [String])
        case inputMoments(QuantizationMomentLayout)
        case sensitivity(layers: [String], bits: [Int])
        case comparison(layers: [String])
        case metrics
        case logits(FoldAccumulator)
    }

    /// A problem with one contribution: it is refused and the round goes on.
    struct Refusal: Error {
        var reason: String
    }

    let plan: Plan
    let blobs: BlobStore
    var current: CurrentSnapshot
    let threads: Int
    /// For budgets of milliseconds.
    var timer: ModelTimer
    private var fold = Fold.metrics
    /// What the last round's accumulator left for the next one; nil where something else needs the memory more.
    var foldMemory: FoldMemory?
    private var foldSeconds = 0.0
    /// Of the open round, where workers may train narrower models, and of the last that had some.
    private var foldWidths: FoldWidths?
    var knownWidths: FoldWidths?
    /// Of the snapshot that was timed last, for budgets of milliseconds.
    var knownTimes: (snapshot: Digest, times: LayerTimes)?

    /// What is known of the snapshot that the next step starts from.
    struct CurrentSnapshot {
        /// The structure; its parameters' values are in the snapshot.
        var graph: BlobReference
        var size: ModelSize
        var digest: Digest
        var layout: TensorLayout
        /// The part of the layout that scores speak of.
        var prunable: TensorLayout
        var statistics: ModelStatistics
        var masks: MaskSet
        var norm: Double
    }

    init(plan: Plan, blobs: BlobStore, directory: String, facts: SnapshotFacts, threads: Int = 1) throws {
        self.threads = threads
        timer = ModelTimer(plan, directory: directory)
        self.plan = plan
        self.blobs = blobs
        let skeleton = try blobs.skeleton(facts.graph.digest)
        let file = try SnapshotFile(
            blobs.map(facts.snapshot.digest), path: "snapshot \(facts.snapshot.digest)")
        var squares = 0.0
        for entry in file.layout.entries {
            squares += try file.parameter(entry.name).withElements(as: Float.self) { $0.sumOfSquares }
        }
        current = CurrentSnapshot(
            graph: facts.graph, size: facts.size, digest: facts.snapshot.digest, layout: file.layout,
            prunable: file.layout.subset(of: skeleton.prunableNames),
            statistics: ModelStatistics(names: skeleton.statisticNames, pairs: skeleton.batchStatistics),
            masks: file.masks, norm: squares.squareRoot())
    }

    /// The current structure with zeros for parameters, read when it is needed.
    func skeleton() throws -> Graph { try blobs.skeleton(current.graph.digest) }

    /// The graph with the current snapshot's parameters: the whole model in memory, for as long as the caller keeps it.
    func currentGraph() throws -> Graph {
        foldMemory = nil
        return try blobs.graph(current.graph.digest, parameters: snapshotFile().snapshot().parameters)
    }

    func snapshotFile() throws -> SnapshotFile {
        try SnapshotFile(blobs.map(current.digest), path: "snapshot \(current.digest)")
    }

    // MARK: Fold

    /// Starts a round's accumulator and folds what was accepted before a restart.
    /// - Parameter widths: of the models that contributions may come from, beside the whole.
    func openFold(
        _ rule: FoldRule, base: SnapshotFacts, restoring: [ContributionFacts], widths: [ModelWidth] = []
    ) throws {
        precondition(base.snapshot.digest == current.digest, "the round's base is not the current snapshot")
        foldSeconds = 0
        if case .average = rule {} else { foldMemory = nil }
        foldWidths = try self.foldWidths(widths)
        switch rule {
        case .average:
            fold = .weights(
                FoldAccumulator(layout: current.layout, nested: foldWidths?.layouts, reusing: foldMemory.take()))
        case .scores(let decision):
            let layout = try scoreLayout(decision)
            fold = .scores(
                FoldAccumulator(layout: layout), decision.alignment(to: current.masks),
                areVotes: decision.rules.rule != .scores)
        case .moments(let rules): fold = .moments(try momentLayout(rules))
        case .calibration(let scope): fold = .calibration(nil, points: try measured(scope).points)
        case .inputMoments(let scope): fold = .inputMoments(try measured(scope).momentLayout)
        case .sensitivity(let request):
            fold = .sensitivity(layers: try measured(request.scope).layers.map(\.name), bits: request.bits)
        case .comparison(let scope, _): fold = .comparison(layers: try measured(scope).layers.map(\.name))
        case .metrics: fold = .metrics
        case .logits(let request): fold = .logits(FoldAccumulator(layout: try LogitsTable.layout(request)))
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
        switch fold {
        case .metrics: throw Refusal(reason: "the round takes metrics only")
        case .weights(var accumulator):
            fold = .metrics  // Keeps the accumulator uniquely owned while it is changed in place.
            defer { fold = .weights(accumulator) }
            try refusing { try fold(blob, .update, facts, masks: current.masks, into: &accumulator) }
        case .scores(var accumulator, let masks, let areVotes):
            fold = .metrics
            defer { fold = .scores(accumulator, masks, areVotes: areVotes) }
            try refusing {
                if areVotes { try checkVotes(blob, accumulator.layout, masks) }
                try fold(blob, .scores, facts, masks: masks, into: &accumulator)
            }
        case .moments(let layout): try refusing { _ = try moments(facts, layout) }
        case .logits(var accumulator):
            fold = .metrics
            defer { fold = .logits(accumulator) }
            try refusing { try fold(blob, .logits, facts, masks: LogitsTable.masks(current.masks), into: &accumulator) }
        case .calibration(let sum, let points):
            try refusing {
                let set = try histograms(facts, points: points)
                fold = .calibration(try sum?.merging(set) ?? set, points: points)
            }
        case .inputMoments(let layout): try refusing { _ = try moments(facts, layout.moments) }
        case .sensitivity(let layers, let bits):
            try refusing { _ = try sensitivities(facts, layers: layers, bits: bits) }
        case .comparison(let layers): try refusing { _ = try comparison(facts, layers: layers) }
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
        } catch let error as TensorError {
            throw Refusal(reason: "\(error)")
        }
    }

    private func fold(
        _ blob: BlobReference, _ kind: UpdateKind, _ facts: ContributionFacts, masks: MaskSet,
        into accumulator: inout FoldAccumulator
    ) throws {
        guard let width = facts.submission.width == nil ? 0 : foldWidths?.number(of: facts.submission.width) else {
            throw Refusal(reason: "the update is of a model of width \(facts.width), which the round has not")
        }
        let reader = try UpdateReader(
            blobs.map(blob.digest), layout: accumulator.layout(ofWidth: width),
            masks: width == 0 ? masks : foldWidths?.masks[width - 1] ?? masks, threads: threads)
        try check(reader, kind, facts)
        if kind == .update {
            let size = reader.squaredNorm().squareRoot()
            let bound = plan.wire.maximumNormRatio * max(current.norm, 1)
            guard size <= bound else {
                throw Refusal(reason: "the update's norm \(size) exceeds the bound \(bound) (wire.maximumNormRatio)")
            }
        }
        try accumulator.add(reader, weight: facts.weight, width: width, threads: threads)
    }

    // MARK: Compute

    /// Closes a round or does a transform.
    func compute(_ computation: StepComputation) throws -> ComputedStep {
        switch computation {
        case .transform(.decideMask(let decision), let base, _):
            return try decide(decision, evidence: .weights, base: base)
        case .transform(.factorize(let rules), let base, _): return try factorize(rules, base: base)
        case .transform(.nest(let shares), let base, _): return try nest(shares, base: base)
        case .transform(.rewind, let base, let source?): return try rewind(to: source, base: base)
        case .transform(.simulate(let decision), let base, _): return try simulate(decision, base: base)
        case .transform(.quantize(let decision), let base, let source):
            return try quantize(decision, source: source, base: base)
        case .transform(let step, _, _): preconditionFailure("step \(step) is not a transform")
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
        if case .average(let server) = rule {
            // Students of workers' own leave the run's model as it is, with what its server's optimizer knows.
            guard contributions.contains(where: { $0.submission.blob != nil }) else {
                _ = takeWeights()
                return ComputedStep(outcome: StepOutcome(sparsity: base.sparsity))
            }
            return try publish(
                mean: takeWeights(), share: Self.staleShare(of: contributions), server: server, base: base)
        }
        switch (rule, fold) {
        case (.scores(let decision), .scores(let accumulator, _, _)):
            fold = .metrics
            return try decide(decision, evidence: decision.evidence(accumulator.mean()), base: base)
        case (.moments(let rules), .moments(let layout)):
            fold = .metrics
            return try factorize(rules, moments: mean(of: contributions, layout), base: base)
        case (.calibration, .calibration(let set?, _)): return try close(histograms: set, base: base)
        case (.inputMoments, .inputMoments(let layout)):
            return try close(inputMoments: layout, contributions, base: base)
        case (.sensitivity, .sensitivity(let layers, let bits)):
            return try close(sensitivitiesOf: layers, bits: bits, contributions, base: base)
        case (.comparison(_, let explanation), .comparison(let layers)):
            return try close(comparisonOf: layers, explanation: explanation, contributions, base: base)
        case (.metrics, .metrics):
            return ComputedStep(
                outcome: StepOutcome(accuracy: Self.accuracy(of: contributions), sparsity: base.sparsity))
        case (.logits, .logits(let accumulator)):
            fold = .metrics
            let isMutual = plan.stages.contains { $0.ensemble?.isMutual ?? false }
            let blob = try consensus(accumulator.mean(), isExact: isMutual, base: base)
            return ComputedStep(
                outcome: StepOutcome(
                    accuracy: Self.accuracy(of: contributions), sparsity: base.sparsity, consensus: blob))
        default: preconditionFailure("fold rule \(rule) closes another fold")
        }
    }

    /// The round's accumulator, of which this object then holds nothing: publishing gives its memory back on the way.
    private func takeWeights() -> FoldAccumulator {
        guard case .weights(let accumulator) = fold else { preconditionFailure("no weights are being folded") }
        fold = .metrics
        return accumulator
    }
}
