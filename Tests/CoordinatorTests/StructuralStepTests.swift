import Compression
import Federation
import Ledger
import ModelGraph
import Tensors
import Testing
import UpdateCodec

@testable import Coordinator

/// Decisions that make the shared model smaller, and survivors that go back to earlier values, with real snapshots.
struct StructuralStepTests {
    private final class Run {
        private let store: OpeningStore
        let graph: Graph
        var base: SnapshotFacts
        let numerics: CoordinatorNumerics
        var blobs: BlobStore { store.blobs }

        init() throws {
            let plan = try Plan.parse(
                "model: {architecture: resnet20}\nstages: [train]", path: "plan", environment: [:])
            graph = try ModelBuilder.build(
                architecture: "resnet20", inputShape: [3, 8, 8], classes: 4, width: 8, seed: 3)
            store = try OpeningStore(graph)
            base = store.base
            numerics = try CoordinatorNumerics(plan: plan, blobs: store.blobs, directory: store.folder, facts: base)
        }

        /// Something of each parameter's shape, as safetensors.
        func owed(_ value: Float) throws -> BlobReference {
            var tensors = NamedTensors()
            for (name, tensor) in graph.parameterTensors().ordered {
                let numbers = tensor.shape.elementCount
                tensors[name] = Tensor((0..<numbers).map { value + Float($0) }, shape: tensor.shape)
            }
            let bytes = Safetensors.serialize(tensors)
            return BlobReference(digest: try blobs.put(bytes), byteCount: bytes.count)
        }

        func decide(_ rules: MaskRules, _ amount: MaskDecision.Amount) throws -> ComputedStep {
            let step = try numerics.compute(
                .transform(.decideMask(MaskDecision(rules: rules, amount: amount)), base: base))
            base = try #require(step.snapshot)
            return step
        }

        func snapshot(_ facts: SnapshotFacts) throws -> Snapshot {
            try SnapshotFile(blobs.map(facts.snapshot.digest), path: "snapshot").snapshot()
        }

        func tensors(_ blob: BlobReference?) throws -> NamedTensors {
            try Safetensors.parse(blobs.get(try #require(blob).digest), path: "blob").tensors
        }
    }

    private static let channels = MaskRules(granularity: .channel, criterion: .l2, multiple: 1)

    @Test func whatLeavesTakesAlongWhatWasOwedToIt() throws {
        let run = try Run()
        run.base.residual = try run.owed(0.5)
        run.base.moments = ServerMoments(first: try run.owed(1), second: try run.owed(2))
        let before = run.base
        let step = try run.decide(Self.channels, .macs(Int(0.5 * Double(try run.graph.multiplyAccumulates()))))
        // The change that travels makes the same model of the snapshot before.
        let delta = try #require(run.base.delta)
        let change = try StructureChange(parsing: run.blobs.get(delta.blob.digest))
        let pruned = try change.apply(to: run.graph, masks: MaskSet())
        let snapshot = try run.snapshot(run.base)
        #expect(snapshot.parameters == pruned.parameters)
        #expect(snapshot.graph == run.base.graph.digest)
        #expect(run.base.size == ModelSize(of: pruned.graph) && run.base.size.parameters < before.size.parameters)
        #expect(delta.from == before.snapshot.digest && delta.to == run.base.snapshot.digest)
        #expect(step.outcome.units?.removed == change.removedUnits)
        // Residual and moments are those numbers that belonged to what is left.
        for (after, value) in [
            (run.base.residual, Float(0.5)), (run.base.moments?.first, 1), (run.base.moments?.second, 2),
        ] {
            let kept = try run.tensors(after)
            #expect(
                kept.names == pruned.graph.parameterTensors().names.filter(run.graph.parameterTensors().names.contains))
            for (name, tensor) in try run.tensors(run.owed(value)).ordered where !pruned.slices.removed.contains(name) {
                #expect(kept[name] == pruned.slices.apply(to: tensor, named: name))
            }
        }
    }

    /// Groups of 8 channels cannot become narrower with a multiple of 8: however many steps there are, the others do not pay
    /// for them.
    @Test(arguments: [1, 2, 4, 6]) func asMuchLeavesInOneStepAsInMany(steps: Int) throws {
        let run = try Run()
        let rules = MaskRules(granularity: .channel, criterion: .l2, multiple: 8)
        var stage = PruneStage(
            PrunePlan(rules: rules, target: .sparsity(0.5), schedule: .linear, steps: steps),
            initialSparsity: 0, initialSize: run.base.size)
        var (opening, removed) = (0, 0)
        while let step = stage.next() {
            guard case .decideMask(let decision) = step else {
                stage.stepFinished(StepOutcome())
                continue
            }
            let outcome = try run.decide(rules, decision.amount).outcome
            let units = try #require(outcome.units)
            opening = max(opening, units.before)
            removed += units.removed
            stage.stepFinished(outcome)
        }
        let all = try run.graph.channelGroups().groups
        #expect(opening == all.filter { $0.channels > 8 }.reduce(0) { $0 + $1.channels })
        #expect(abs(removed - opening / 2) <= 8, "\(removed) of \(opening)")
    }

    /// Two decisions, then back: each survivor has the value that it began with, wherever it has moved to.
    @Test func survivorsGoBackToTheFirstValues() throws {
        let run = try Run()
        let first = run.base
        var changes: [BlobReference] = []
        for share in [0.7, 0.4] {
            _ = try run.decide(Self.channels, .macs(Int(share * Double(try run.graph.multiplyAccumulates()))))
            changes.append(try #require(run.base.delta).blob)
        }
        let step = try run.numerics.compute(
            .transform(.rewind(toStage: nil), base: run.base, source: StepSource(snapshot: first, changes: changes)))
        let facts = try #require(step.snapshot)
        #expect(facts.isFresh && facts.graph == run.base.graph)
        let (rewound, pruned) = (try run.snapshot(facts), try run.snapshot(run.base))
        let begun = try run.snapshot(first).parameters
        #expect(rewound.parameters.names == pruned.parameters.names)
        for (name, tensor) in rewound.parameters.ordered {
            guard let whole = begun[name] else { continue }
            #expect(Set(tensor.floats).isSubset(of: Set(whole.floats)), "\(name)")
        }
        // What was absorbed on the way is not in the earlier values.
        let statistics = Set(run.graph.statisticNames)
        let trained = rewound.parameters.ordered.filter { begun[$0.name] != nil && !statistics.contains($0.name) }
        #expect(trained.allSatisfy { $0.tensor == pruned.parameters[$0.name] })
    }

    @Test func aDecisionByStabilityTellsHowMuchTheFleetAgrees() throws {
        let run = try Run()
        let rules = MaskRules(granularity: .weight, criterion: .stability)
        let decision = MaskDecision(rules: rules, amount: .sparsity(0.5))
        try run.numerics.openFold(.scores(decision), base: run.base, restoring: [])
        let layout = try run.numerics.scoreLayout(decision)
        // E[g] = 3 and E[g²] = 25: a standard deviation of 4.
        let scores = NamedTensors(
            layout.entries.map { entry in
                let value: Float = entry.name.hasPrefix("square:") ? 25 * ScoreStatistic.squareScale / 4096 : 3 / 64.0
                return (
                    entry.name,
                    Tensor([Float](repeating: value, count: entry.shape.elementCount), shape: entry.shape)
                )
            })
        let bytes = try UpdateEncoder.encode(
            scores, header: UpdateHeader(kind: .scores, base: run.base.snapshot.digest.bytes, maskEpoch: 0),
            scheme: decision.scoreScheme
        ).bytes
        let blob = BlobReference(digest: try run.blobs.put(bytes), byteCount: bytes.count)
        let facts = ContributionFacts(
            round: 0, worker: "w", submission: Submission(round: 0, blob: blob, metrics: TaskMetrics(samples: 1)),
            base: run.base.snapshot.digest, weight: 1)
        #expect(try run.numerics.examine(facts) == .folded)
        let step = try run.numerics.compute(
            .fold(.scores(decision), round: 0, contributions: [facts], base: run.base))
        let ratio = try #require(step.outcome.signalToNoise)
        #expect(abs(ratio - 0.75) < 0.01)
        #expect(abs(step.outcome.sparsity - 0.5) < 0.01)
    }
}
