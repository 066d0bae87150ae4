import Compression
import Engine
import Federation
import Foundation
import Ledger
import ModelGraph
import Shell
import Tensors
import Testing
import UpdateCodec

@testable import Coordinator
@testable import Worker

/// A factorization by a fleet's moments, from the workers' samples to the model that they train next.
struct FactorizeStepTests {
    /// A coordinator and shards on one store.
    private final class Fleet {
        private let store: OpeningStore
        let plan: Plan
        let numerics: CoordinatorNumerics
        let graph: Graph
        var base: SnapshotFacts
        var blobs: BlobStore { store.blobs }

        init(masks: MaskSet = MaskSet()) throws {
            plan = try Plan.parse(
                """
                model: {architecture: cnn, width: 4}
                wire: {up: {values: int8}, down: {values: int8}}
                stages: [train]
                """, path: "plan", environment: [:])
            graph = try ModelBuilder.build(
                architecture: "cnn", inputShape: [1, 28, 28], classes: 10, width: 4, seed: 3)
            store = try OpeningStore(graph)
            base = store.base
            if masks.epoch > 0 {
                var snapshot = Snapshot(
                    graph: base.graph.digest, parameters: graph.parameterTensors(), masks: masks)
                snapshot.zeroDeadWeights()
                let bytes = snapshot.serialized()
                base.snapshot = BlobReference(digest: try store.blobs.put(bytes), byteCount: bytes.count)
                base.maskEpoch = masks.epoch
            }
            numerics = try CoordinatorNumerics(plan: plan, blobs: store.blobs, directory: store.folder, facts: base)
        }

        /// One worker's result, with its part of the data as a SPEC.
        func contribution(_ name: String, _ work: TaskWork, _ spec: String, weight: UInt32? = nil) throws
            -> ContributionFacts
        {
            let runner = TaskRunner(
                blobs: blobs, data: try WorkerData(spec: DataSpec(parsing: spec, environment: [:])))
            let offer = TaskOffer(
                round: base.version, leaseSeconds: 10, seed: 5,
                snapshot: SnapshotReference(
                    version: base.version, snapshot: base.snapshot, graph: base.graph, maskEpoch: base.maskEpoch),
                scheme: plan.wire.up, acceptedRounds: 0, work: work)
            let result = try runner.run(offer, residual: nil, progress: { _ in }, isCancelled: { false })
            return ContributionFacts(
                round: base.version, worker: name, submission: result.submission, base: base.snapshot.digest,
                weight: weight ?? UInt32(result.submission.metrics.samples))
        }

        /// Folds in the order of arrival and closes as the machine does, in the order of names.
        func factorize(_ rules: FactorizeRules, _ arrived: [ContributionFacts]) throws -> ComputedStep {
            try numerics.openFold(.moments(rules), base: base, restoring: [])
            for facts in arrived { #expect(try numerics.examine(facts) == .folded) }
            return try numerics.compute(
                .fold(
                    .moments(rules), round: 0, contributions: arrived.sorted { $0.worker < $1.worker }, base: base))
        }

        func model(_ facts: SnapshotFacts) throws -> Graph {
            try blobs.graph(facts.graph.digest, parameters: snapshot(facts).parameters)
        }

        func snapshot(_ facts: SnapshotFacts) throws -> Snapshot {
            try SnapshotFile(blobs.map(facts.snapshot.digest), path: "snapshot").snapshot()
        }
    }

    private static let rules = FactorizeRules(
        amount: .parameters(0.5), multiple: 4, selection: FactorizableSelection(excluded: ["conv1"]))
    private static let work = TaskWork.moments(samples: 1000, rules.selection)

    private static func shard(_ number: Int, of count: Int) -> String {
        "synthetic:digits?samples=120&shard=\(number)/\(count)"
    }

    @Test func workersTogetherAreOneThatHoldsAllData() throws {
        let fleet = try Fleet()
        let layout = try fleet.numerics.momentLayout(Self.rules)
        let parts = try (1...3).map { try fleet.contribution("w\($0)", Self.work, Self.shard($0, of: 3)) }
        let whole = try fleet.contribution("all", Self.work, "synthetic:digits?samples=120")
        let folded = try fleet.numerics.mean(of: parts, layout)
        let alone = try fleet.numerics.mean(of: [whole], layout)
        #expect(!alone.names.isEmpty && folded.names == alone.names)
        for (name, tensor) in alone.ordered {
            let largest = tensor.floats.map(abs).max() ?? 0
            for (a, b) in zip(tensor.floats, try folded.require(name).floats) {
                #expect(abs(a - b) <= 1e-4 * largest, "\(name)")
            }
        }
        // A first dense layer of more inputs than outputs is measured by these.
        #expect(alone["fc1.weight"]?.shape.dimensions.first == fleet.graph.initializers["fc1.weight"]?.shape[0])
    }

    @Test func theSnapshotIsTheFactorizedModel() throws {
        let fleet = try Fleet()
        let parts = try (1...3).map { try fleet.contribution("w\($0)", Self.work, Self.shard($0, of: 3)) }
        let mean = try fleet.numerics.mean(of: parts, try fleet.numerics.momentLayout(Self.rules))
        let expected = try Factorizer(graph: fleet.graph, settings: FactorizationSettings(Self.rules)).factorize(
            moments: mean)
        let step = try fleet.factorize(Self.rules, [parts[2], parts[0], parts[1]])
        let facts = try #require(step.snapshot)
        #expect(facts.isFresh && facts.delta == nil && facts.residual == nil && facts.moments == nil)
        #expect(facts.version == 1 && facts.maskEpoch == 1 && facts.graph != fleet.base.graph)
        #expect(facts.size.parameters * 2 <= fleet.base.size.parameters)
        #expect(facts.size == ModelSize(of: expected.graph))
        #expect(try fleet.model(facts).parameterTensors() == expected.graph.parameterTensors())
        let outcome = try #require(step.outcome.factorization)
        #expect(outcome.layers == expected.layers.count && outcome.dataAware == outcome.layers)
        #expect(outcome.before == fleet.base.size && outcome.after == facts.size && !outcome.ranks.isEmpty)
        // A coordinator that was restarted reads the same contributions again and comes to the same bytes.
        let again = try CoordinatorNumerics(
            plan: fleet.plan, blobs: fleet.blobs, directory: "/nowhere", facts: fleet.base)
        try again.openFold(.moments(Self.rules), base: fleet.base, restoring: parts)
        let repeated = try again.compute(
            .fold(.moments(Self.rules), round: 0, contributions: parts, base: fleet.base))
        #expect(repeated.snapshot == facts)
    }

    @Test func withoutDataTheWeightsDecide() throws {
        let fleet = try Fleet()
        let step = try fleet.numerics.compute(.transform(.factorize(Self.rules), base: fleet.base))
        let facts = try #require(step.snapshot)
        let expected = try Factorizer(graph: fleet.graph, settings: FactorizationSettings(Self.rules)).factorize()
        #expect(try fleet.model(facts).parameterTensors() == expected.graph.parameterTensors())
        #expect(step.outcome.factorization?.dataAware == 0)
    }

    /// The next round begins: workers fetch the model whole, what they keep is dropped, and their updates fit.
    @Test func workersPickItUpAndTrainIt() throws {
        let fleet = try Fleet()
        let before = fleet.base
        let step = try fleet.numerics.compute(.transform(.factorize(Self.rules), base: before))
        fleet.base = try #require(step.snapshot)
        let shelf = SnapshotShelf(
            blobs: try BlobStore(directory: FileManager.default.temporaryDirectory.path + "/\(UUID().uuidString)"))
        let reference = SnapshotReference(
            version: 1, snapshot: fleet.base.snapshot, graph: fleet.base.graph, maskEpoch: fleet.base.maskEpoch)
        #expect(try Set(shelf.missing(for: reference)) == [fleet.base.snapshot, fleet.base.graph])
        // Something is owed to each weight of the model before.
        let owed = try fleet.blobs.put(Safetensors.serialize(fleet.graph.parameterTensors()))
        let changes: [KeptChange] = [.fresh]
        let adaptation = ResidualAdaptation(owed, changes: changes, blobs: fleet.blobs)
        #expect(try adaptation.needed.isEmpty && adaptation.adapted(changes: changes) == nil)
        let work = TaskWork.train(TrainingRecipe(batch: 10, learningRate: 0.05), teacher: nil)
        let updates = try (1...2).map { try fleet.contribution("w\($0)", work, Self.shard($0, of: 2)) }
        try fleet.numerics.openFold(.average(), base: fleet.base, restoring: [])
        for update in updates { #expect(try fleet.numerics.examine(update) == .folded) }
        let trained = try #require(
            try fleet.numerics.compute(.fold(.average(), round: 1, contributions: updates, base: fleet.base)).snapshot)
        #expect(!trained.isFresh && trained.graph == fleet.base.graph && trained.delta != nil && trained.version == 2)
        let names = try fleet.snapshot(trained).parameters.names
        #expect(names.contains("fc1.weight.u") && !names.contains("fc1.weight"))
    }

    @Test func masksOfLayersThatStayAreKept() throws {
        let graph = try ModelBuilder.build(
            architecture: "cnn", inputShape: [1, 28, 28], classes: 10, width: 4, seed: 3)
        var masks = MaskSet(epoch: 4)
        for name in ["conv2.weight", "fc1.weight"] {
            masks.bitmaps[name] = Bitmap(repeating: true, count: try graph.initializers.require(name).elementCount)
        }
        masks.bitmaps["conv2.weight"]?[1] = false
        let fleet = try Fleet(masks: masks)
        let rules = FactorizeRules(amount: .parameters(0.5), scope: .layers, multiple: 4)
        let step = try fleet.numerics.compute(.transform(.factorize(rules), base: fleet.base))
        let facts = try #require(step.snapshot)
        let snapshot = try fleet.snapshot(facts)
        #expect(facts.maskEpoch == 5 && snapshot.masks.epoch == 5)
        #expect(snapshot.masks.bitmaps == ["conv2.weight": try #require(masks["conv2.weight"])])
        #expect(step.outcome.factorization?.masked == ["conv2.weight"])
        #expect(snapshot.parameters["conv2.weight"]?.floats[1] == 0 && snapshot.parameters["fc1.weight"] == nil)
        #expect(facts.sparsity > 0)
    }

    @Test func hostileMomentsAreRefusedAndTheRoundGoesOn() throws {
        let fleet = try Fleet()
        let honest = try fleet.contribution("w1", Self.work, Self.shard(1, of: 2))
        var bytes = try fleet.blobs.get(try #require(honest.submission.blob).digest)
        try fleet.numerics.openFold(.moments(Self.rules), base: fleet.base, restoring: [])
        for forgery in [[], Array(bytes.dropLast()), bytes + [0], CalibrationSet.magic] {
            var facts = honest
            facts.submission.blob = BlobReference(digest: try fleet.blobs.put(forgery), byteCount: forgery.count)
            guard case .refused(let reason) = try fleet.numerics.examine(facts) else {
                Issue.record("\(forgery.count) bytes were taken")
                continue
            }
            #expect(reason.contains("second moments"))
        }
        for (place, byte) in withUnsafeBytes(of: Float.nan.bitPattern.littleEndian, Array.init).enumerated() {
            bytes[bytes.count - 4 + place] = byte
        }
        var facts = honest
        facts.submission.blob = BlobReference(digest: try fleet.blobs.put(bytes), byteCount: bytes.count)
        guard case .refused = try fleet.numerics.examine(facts) else { return #expect(Bool(false), "a NaN was taken") }
        #expect(try fleet.numerics.examine(honest) == .folded)
        // A result of another kind of task is none.
        let scores = try fleet.contribution(
            "w2", .train(TrainingRecipe(batch: 20), teacher: nil), Self.shard(2, of: 2))
        guard case .refused = try fleet.numerics.examine(scores) else {
            return #expect(Bool(false), "an update was taken")
        }
    }

    /// A run does not end because no rank saves: the model stays as it is, and that is told.
    @Test func whereNothingSavesTheModelStays() throws {
        let fleet = try Fleet()
        let rules = FactorizeRules(amount: .energy(1), multiple: 1)
        let step = try fleet.numerics.compute(.transform(.factorize(rules), base: fleet.base))
        #expect(step.snapshot == nil && step.outcome.factorization?.layers == 0)
        #expect(step.outcome.factorization?.after == fleet.base.size)
    }

    @Test func theBoundsOfBothSidesAgree() { #expect(MomentSet.byteLimit <= MessageLimits.momentsBytes) }
}
