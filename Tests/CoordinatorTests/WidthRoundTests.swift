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

/// Rounds of workers that train different widths of one model, with the coordinator's arithmetic and real training.
struct WidthRoundTests {
    /// A coordinator and four shards on one store.
    private final class Fleet {
        private let store: OpeningStore
        let plan: Plan
        let numerics: CoordinatorNumerics
        let widths: [ModelWidth]
        var blobs: BlobStore { store.blobs }
        var base: SnapshotFacts { store.base }
        var folder: String { store.folder }

        init() throws {
            plan = try Plan.parse(
                """
                model: {architecture: resnet20, input: [1, 28, 28], classes: 10, width: 4}
                fleet: {workers: 4, widths: [1, 0.5, 0.25]}
                wire: {up: {values: int8}, down: {values: float32}}
                stages: [train]
                """, path: "plan", environment: [:])
            let graph = try ModelBuilder.build(
                architecture: "resnet20", inputShape: [1, 28, 28], classes: 10, width: 4, seed: 3)
            store = try OpeningStore(graph)
            try ChannelNesting.check(plan, graph: graph)
            numerics = try CoordinatorNumerics(
                plan: plan, blobs: store.blobs, directory: store.folder, facts: store.base)
            let nested = try numerics.compute(.transform(.nest(widths: [0.5, 0.25]), base: store.base))
            #expect(nested.snapshot == nil)
            widths = try #require(nested.outcome.widths)
        }

        /// A worker's result for a snapshot; width 0 is the whole model.
        func contribution(_ worker: Int, width: Int, to facts: SnapshotFacts) throws -> ContributionFacts {
            let runner = TaskRunner(
                blobs: blobs,
                data: try WorkerData(
                    spec: DataSpec(parsing: "synthetic:digits?samples=80&shard=\(worker + 1)/4", environment: [:])))
            let offer = TaskOffer(
                round: facts.version, leaseSeconds: 10, seed: UInt64(worker),
                snapshot: SnapshotReference(
                    version: facts.version, snapshot: facts.snapshot, graph: facts.graph, maskEpoch: 0),
                scheme: plan.wire.up, acceptedRounds: 0,
                work: .train(
                    TrainingRecipe(batch: 10, learningRate: 0.1), teacher: nil,
                    width: width == 0 ? nil : widths[width - 1]))
            let result = try runner.run(offer, residual: nil, progress: { _ in }, isCancelled: { false })
            return ContributionFacts(
                round: facts.version, worker: "w\(worker)", submission: result.submission, base: facts.snapshot.digest,
                weight: UInt32(10 + worker))
        }

        func open(on facts: SnapshotFacts, restoring: [ContributionFacts] = []) throws {
            try numerics.openFold(.average(), base: facts, restoring: restoring, widths: widths)
        }

        func close(
            _ contributions: [ContributionFacts], on facts: SnapshotFacts, _ server: ServerStep = ServerStep()
        ) throws -> SnapshotFacts {
            let step = try numerics.compute(
                .fold(.average(server), round: facts.version, contributions: contributions, base: facts))
            return try #require(step.snapshot)
        }

        func parameters(_ facts: SnapshotFacts) throws -> NamedTensors {
            try SnapshotFile(blobs.map(facts.snapshot.digest), path: "snapshot").snapshot().parameters
        }
    }

    /// The mean of each element over those who trained it, one by one; nil where nobody did.
    private static func reference(
        _ fleet: Fleet, _ contributions: [ContributionFacts]
    ) throws -> (means: [String: [Float?]], whole: NamedTensors) {
        let whole = try fleet.parameters(fleet.base)
        let layouts = try #require(try fleet.numerics.foldWidths(fleet.widths)).layouts
        var sums: [String: [(sum: Int64, weight: Int64)]] = [:]
        for (name, tensor) in whole.ordered { sums[name] = Array(repeating: (0, 0), count: tensor.elementCount) }
        for facts in contributions {
            let width = facts.width == 1 ? 0 : facts.width == 0.5 ? 1 : 2
            let narrow = width == 0 ? nil : layouts.narrow[width - 1]
            let reader = try UpdateReader(
                fleet.blobs.get(try #require(facts.submission.blob).digest), layout: narrow?.layout ?? layouts.whole)
            for (name, tensor) in try reader.decode().ordered {
                let extents = try whole.require(name).shape.dimensions
                for (element, value) in tensor.floats.enumerated() {
                    var (rest, place, stride) = (element, 0, 1)
                    for axis in extents.indices.reversed() {
                        let index = rest % tensor.shape[axis]
                        rest /= tensor.shape[axis]
                        place += (narrow?.kept[name]?[axis]?[index] ?? index) * stride
                        stride *= extents[axis]
                    }
                    sums[name]?[place].sum +=
                        Int64(facts.weight) * Int64((Double(value) * 0x1p30).rounded(.toNearestOrEven))
                    sums[name]?[place].weight += Int64(facts.weight)
                }
            }
        }
        let means = sums.mapValues { $0.map { $1 == 0 ? nil : Float(Double($0) / (Double($1) * 0x1p30)) } }
        return (means, whole)
    }

    @Test func everyWeightMovesByTheMeanOfThoseWhoTrainedIt() throws {
        let fleet = try Fleet()
        let contributions = try [0, 1, 1, 2].enumerated().map {
            try fleet.contribution($0.offset, width: $0.element, to: fleet.base)
        }
        #expect(contributions.map(\.width) == [1, 0.5, 0.5, 0.25])
        let bytes = contributions.compactMap { $0.submission.blob?.byteCount }
        #expect(bytes[1] * 2 < bytes[0] && bytes[3] * 2 < bytes[1])
        try fleet.open(on: fleet.base)
        for facts in contributions.reversed() { #expect(try fleet.numerics.examine(facts) == .folded) }
        let next = try fleet.close(contributions, on: fleet.base)
        let (means, whole) = try Self.reference(fleet, contributions)
        let statistics = Set(try fleet.blobs.skeleton(fleet.base.graph.digest).statisticNames)
        #expect(!statistics.isEmpty)
        for (name, tensor) in try fleet.parameters(next).ordered where !statistics.contains(name) {
            let (before, mean) = (try whole.require(name).floats, try #require(means[name]))
            #expect(tensor.floats == zip(before, mean).map { $0 + ($1 ?? 0) }, "\(name)")
            #expect(!mean.contains(nil))
        }
        // Statistics are those of the whole model, from the worker that trained it, means at least.
        var moved = 0
        for (name, tensor) in try fleet.parameters(next).ordered where statistics.contains(name) {
            let (before, mean) = (try whole.require(name).floats, try #require(means[name]))
            if tensor.floats == zip(before, mean).map({ $0 + ($1 ?? 0) }), tensor.floats != before { moved += 1 }
        }
        #expect(moved * 2 >= statistics.count)
        // What a restarted coordinator folds again, in another order, gives the same bytes.
        let restarted = try CoordinatorNumerics(
            plan: fleet.plan, blobs: fleet.blobs, directory: fleet.folder, facts: fleet.base)
        try restarted.openFold(
            .average(), base: fleet.base, restoring: contributions, widths: fleet.widths)
        let again = try restarted.compute(
            .fold(.average(), round: 0, contributions: contributions, base: fleet.base))
        #expect(again.snapshot?.snapshot == next.snapshot)
    }

    @Test(arguments: [
        ServerOptimizer(), ServerOptimizer(kind: .momentum), ServerOptimizer(kind: .adam, learningRate: 0.01),
    ])
    func whatNobodyTrainedStaysAsItIs(server: ServerOptimizer) throws {
        let fleet = try Fleet()
        let whole = try fleet.contribution(0, width: 0, to: fleet.base)
        try fleet.open(on: fleet.base)
        #expect(try fleet.numerics.examine(whole) == .folded)
        let first = try fleet.close([whole], on: fleet.base, ServerStep(optimizer: server))
        let part = try fleet.contribution(1, width: 1, to: first)
        try fleet.open(on: first)
        #expect(try fleet.numerics.examine(part) == .folded)
        let second = try fleet.close([part], on: first, ServerStep(optimizer: server, continues: true))
        let (before, after) = (try fleet.parameters(first), try fleet.parameters(second))
        let skeleton = try fleet.blobs.skeleton(fleet.base.graph.digest)
        let change = try StructureChange(parsing: fleet.blobs.get(fleet.widths[0].change.digest))
        let narrow = try NarrowModel(change, of: skeleton)
        var counts = (moved: 0, kept: 0)
        for (name, tensor) in before.ordered {
            let isStatistic = skeleton.statisticNames.contains(name)
            // Where the part has a weight, told by slicing the places themselves.
            let places = Tensor((0..<tensor.elementCount).map { Float($0) }, shape: tensor.shape)
            let had = Set(narrow.slices.apply(to: places, named: name).floats.map { Int($0) })
            for (place, (old, new)) in zip(tensor.floats, try after.require(name).floats).enumerated() {
                guard isStatistic || !had.contains(place) else {
                    counts.moved += old == new ? 0 : 1
                    continue
                }
                counts.kept += 1
                #expect(old.bitPattern == new.bitPattern, "\(name)[\(place)]")
            }
        }
        #expect(counts.moved > 500 && counts.kept > 500)
        guard server.kind != .average else { return }
        let moments = try [first, second].map {
            try Safetensors.parse(fleet.blobs.get(try #require($0.moments).first.digest), path: "moments").tensors
        }
        for (name, tensor) in moments[0].ordered {
            let places = Tensor((0..<tensor.elementCount).map { Float($0) }, shape: tensor.shape)
            let had = Set(narrow.slices.apply(to: places, named: name).floats.map { Int($0) })
            let later = try moments[1].require(name).floats
            for (place, old) in tensor.floats.enumerated() where !had.contains(place) { #expect(later[place] == old) }
        }
    }

    @Test func whatSaysAnotherWidthThanItHasIsRefused() throws {
        let fleet = try Fleet()
        let honest = try fleet.contribution(0, width: 1, to: fleet.base)
        try fleet.open(on: fleet.base)
        for width in [nil, 0.25, 0.3] as [Double?] {
            var lie = honest
            lie.submission.width = width
            guard case .refused = try fleet.numerics.examine(lie) else {
                Issue.record("an update of width 0.5 counts as \(String(describing: width))")
                continue
            }
        }
        #expect(try fleet.numerics.examine(honest) == .folded)
    }

    @Test func aModelWithoutGroupsIsRefusedBeforeTheRun() throws {
        let plan = try Plan.parse(
            "model: {architecture: mlp}\nstages: [train]\nfleet: {widths: [1, 0.5]}", path: "p", environment: [:])
        let layers = try ModelBuilder.build(
            architecture: "mlp", inputShape: [6], classes: 3, width: 1, seed: 1)
        #expect {
            try ChannelNesting.check(plan, graph: layers)
        } throws: { "\($0)".contains("fleet.widths") }
    }
}
