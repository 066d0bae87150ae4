import Engine
import Federation
import Ledger
import ModelGraph
import Shell
import Tensors
import Testing
import UpdateCodec

@testable import Coordinator
@testable import Worker

/// Rounds of an ensemble with the coordinator's arithmetic and real training: two workers share the run's model, one has its own.
struct EnsembleRoundTests {
    static let samples = 60
    static let rules = EnsemblePlan(temperature: 2, epochs: 1, isMutual: true)

    /// A coordinator and three workers on one store.
    private final class Fleet {
        private let store: OpeningStore
        let plan: Plan
        let numerics: CoordinatorNumerics
        var blobs: BlobStore { store.blobs }
        var base: SnapshotFacts { store.base }
        let request = LogitsRequest(samples: EnsembleRoundTests.samples, classes: 10, trainedRound: 0)

        init() throws {
            plan = try Plan.parse(
                """
                model: {architecture: cnn, width: 4}
                fleet: {workers: 3, students: [shared, shared, mlp]}
                wire: {up: {values: int4, density: 0.5}, down: {values: float32}}
                stages: [{distill: {ensemble: {mutual: true}}}]
                """, path: "plan", environment: [:])
            let graph = try ModelBuilder.build(architecture: "cnn", width: 4, seed: 3)
            try plan.checkEnsembles(graph)
            store = try OpeningStore(graph)
            numerics = try EnsembleRoundTests.fresh(store, plan)
        }

        func restarted() throws -> CoordinatorNumerics { try EnsembleRoundTests.fresh(store, plan) }

        func contribution(
            _ worker: Int, _ work: TaskWork, round: Int, member: MemberMemory?, to facts: SnapshotFacts
        ) throws -> (facts: ContributionFacts, member: MemberMemory?) {
            var data = try WorkerData(
                spec: DataSpec(
                    parsing: "synthetic:digits?samples=200&holdout=\(EnsembleRoundTests.samples)&shard=\(worker + 1)/3",
                    environment: [:]))
            data.publicSet = try PublicSet(
                spec: DataSpec(
                    parsing: "synthetic:digits?samples=200&holdout=\(EnsembleRoundTests.samples)&part=public",
                    environment: [:])
            )
            data.student = try OwnStudent(plan.fleet.student(ofWorker: worker), data: data)
            let runner = TaskRunner(blobs: blobs, data: data)
            let offer = TaskOffer(
                round: round, leaseSeconds: 10, seed: UInt64(worker),
                snapshot: SnapshotReference(
                    version: facts.version, snapshot: facts.snapshot, graph: facts.graph, maskEpoch: 0),
                scheme: plan.wire.up, acceptedRounds: 0, work: work)
            let result = try runner.run(
                offer, residual: nil, member: member, progress: { _ in }, isCancelled: { false })
            return (
                ContributionFacts(
                    round: round, worker: "w\(worker)", submission: result.submission, base: facts.snapshot.digest,
                    weight: UInt32(10 + worker)), runner.nextMember
            )
        }

        func logits(_ blob: BlobReference) throws -> [Float] {
            try UpdateReader(blobs.get(blob.digest), layout: LogitsTable.layout(request)).decode().require("logits")
                .floats
        }
    }

    fileprivate static func fresh(_ store: OpeningStore, _ plan: Plan) throws -> CoordinatorNumerics {
        try CoordinatorNumerics(plan: plan, blobs: store.blobs, directory: store.folder, facts: store.base)
    }

    private static func training(_ lesson: EnsembleLesson) -> TaskWork {
        .train(TrainingRecipe(batch: 10, learningRate: 0.05, ensemble: lesson), teacher: nil)
    }

    @Test func aRoundAveragesWeightsOfTheSharedModelAndLogitsOfAll() throws {
        let fleet = try Fleet()
        let trained = try (0..<3).map {
            try fleet.contribution(
                $0, Self.training(EnsembleLesson(Self.rules)), round: 0, member: nil, to: fleet.base)
        }
        #expect(trained.map { $0.facts.submission.blob != nil } == [true, true, false])
        #expect(trained.allSatisfy { $0.member?.trainedRound == 0 })
        // The mean of two is the same whether the third is there or not.
        func publish(_ contributions: [ContributionFacts]) throws -> SnapshotFacts? {
            let numerics = try fleet.restarted()
            try numerics.openFold(.average(), base: fleet.base, restoring: [])
            for facts in contributions { #expect(try numerics.examine(facts) == .folded) }
            let step = try numerics.compute(
                .fold(.average(), round: 0, contributions: contributions, base: fleet.base))
            return step.snapshot
        }
        let next = try #require(try publish(trained.map(\.facts)))
        #expect(try publish([trained[1].facts, trained[0].facts])?.snapshot == next.snapshot)
        #expect(next.snapshot != fleet.base.snapshot)
        // Where nobody trains it the run's model stays as it is, whatever the server's optimizer would do.
        #expect(try publish([trained[2].facts]) == nil)

        let said = try trained.enumerated().map { worker, trained in
            try fleet.contribution(
                worker, .logits(fleet.request), round: 1, member: trained.member, to: fleet.base)
        }
        try fleet.numerics.openFold(.logits(fleet.request), base: fleet.base, restoring: [])
        for (facts, _) in said.reversed() { #expect(try fleet.numerics.examine(facts) == .folded) }
        let step = try fleet.numerics.compute(
            .fold(.logits(fleet.request), round: 1, contributions: said.map(\.facts), base: fleet.base))
        let consensus = try #require(step.outcome.consensus)
        #expect(step.snapshot == nil && step.outcome.accuracy != nil)
        // By hand: the weighted mean of what was sent, in half precision.
        let rows = try said.map { try fleet.logits(#require($0.facts.submission.blob)) }
        let mean = try fleet.logits(consensus)
        #expect(mean.count == Self.samples * 10 && rows.allSatisfy { $0.contains { $0 != 0 } })
        for place in mean.indices {
            let exact = (10 * rows[0][place] + 11 * rows[1][place] + 12 * rows[2][place]) / 33
            #expect(abs(mean[place] - exact) <= 1e-3 * max(0.01, abs(exact)), "element \(place)")
        }
        // A restart folds the same from what was accepted, in another order.
        let again = try fleet.restarted()
        try again.openFold(.logits(fleet.request), base: fleet.base, restoring: said.map(\.facts))
        let repeated = try again.compute(
            .fold(.logits(fleet.request), round: 1, contributions: said.map(\.facts), base: fleet.base))
        #expect(repeated.outcome.consensus == consensus)
    }

    @Test func whatAreNoLogitsIsRefused() throws {
        let fleet = try Fleet()
        let trained = try fleet.contribution(
            0, Self.training(EnsembleLesson(Self.rules)), round: 0, member: nil, to: fleet.base
        ).facts
        let said = try fleet.contribution(0, .logits(fleet.request), round: 0, member: nil, to: fleet.base).facts
        try fleet.numerics.openFold(.logits(fleet.request), base: fleet.base, restoring: [])
        guard case .refused = try fleet.numerics.examine(trained) else { return #expect(Bool(false), "weights") }
        func refusal(_ count: Int, _ kind: UpdateKind, value: Float = 1) throws -> String? {
            let tensor = Tensor(Array(repeating: value, count: count * 10), shape: try Shape([count, 10]))
            let bytes = try UpdateEncoder.encode(
                NamedTensors([("logits", tensor)]),
                header: UpdateHeader(kind: kind, base: fleet.base.snapshot.digest.bytes, maskEpoch: 0),
                scheme: WireScheme(values: .float32, smallTensorElements: 0)
            ).bytes
            var facts = said
            facts.submission.blob = BlobReference(digest: try fleet.blobs.put(bytes), byteCount: bytes.count)
            guard case .refused(let reason) = try fleet.numerics.examine(facts) else { return nil }
            return reason
        }
        #expect(try refusal(Self.samples, .logits) == nil)
        #expect(try refusal(Self.samples, .scores)?.contains("is not logits") == true)
        #expect(try refusal(Self.samples - 1, .logits) != nil)
        #expect(try refusal(Self.samples, .logits, value: 257)?.contains("256") == true)
        // And logits are no update.
        try fleet.numerics.openFold(.average(), base: fleet.base, restoring: [])
        guard case .refused = try fleet.numerics.examine(said) else { return #expect(Bool(false), "logits") }
    }

    @Test func aModelWithoutRowsOfLogitsCannotBeInAnEnsemble() throws {
        let plan = try Plan.parse(
            "model: {architecture: cnn}\nstages: [{distill: {ensemble: {}}}]", path: "p", environment: [:])
        let tokens = try ModelBuilder.build(architecture: "transformer", inputShape: [8, 16], width: 8, seed: 1)
        let shape = try tokens.inferShapes(batch: 1)[tokens.outputs[0].name]
        if shape?.rank != 2 {
            #expect(throws: CoordinatorError.self) { try plan.checkEnsembles(tokens) }
        }
        let images = try ModelBuilder.build(architecture: "cnn", seed: 1)
        #expect(throws: Never.self) { try plan.checkEnsembles(images) }
    }
}
