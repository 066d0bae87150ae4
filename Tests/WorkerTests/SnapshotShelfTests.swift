import Federation
import Foundation
import Ledger
import ModelGraph
import Testing
import UpdateCodec

@testable import Worker

/// Whatever becomes of a worker's cache: the task asks for what is missing, at most for the whole snapshot, and runs.
struct SnapshotShelfTests {
    private let bench: TaskBench
    private let snapshots: [BlobReference]
    private let graph: BlobReference
    private let deltas: [DeltaReference]

    init() throws {
        bench = try TaskBench()
        (snapshots, graph, deltas) = try bench.publish()
    }

    private func hold(_ blobs: BlobReference...) throws {
        for blob in blobs { _ = try bench.worker.put(bench.coordinator.get(blob.digest), .cache) }
    }

    private func strike(_ digest: Digest, _ damage: Damage) throws {
        try damage.strike(TaskBench.path(digest, in: bench.folder + "/worker"))
    }

    /// Snapshot 2 by two deltas, from snapshot 0.
    private var offer: TaskOffer {
        TaskBench.offer(
            SnapshotReference(version: 2, snapshot: snapshots[2], graph: graph, maskEpoch: 0, route: deltas))
    }

    private func offer(route: [DeltaReference], version: Int) -> TaskOffer {
        TaskBench.offer(
            SnapshotReference(
                version: version, snapshot: snapshots[version], graph: graph, maskEpoch: 0, route: route,
                recipe: TaskBench.recipe))
    }

    @Test func deltasLeadFromWhatIsHeld() async throws {
        try hold(snapshots[0], graph)
        #expect(try await bench.prepare(offer) == nil)
        #expect(bench.fetched == deltas.map(\.blob.digest))
        #expect(await bench.run(offer) == nil)
    }

    @Test(arguments: Damage.allCases)
    func aBaseThatIsLostOrDamagedCostsTheWholeSnapshot(damage: Damage) async throws {
        try hold(snapshots[0], graph)
        try strike(snapshots[0].digest, damage)
        #expect(try await bench.prepare(offer) == nil)
        #expect(bench.fetched.last == snapshots[2].digest)
        #expect(await bench.run(offer) == nil)
    }

    @Test(arguments: Damage.allCases)
    func aSnapshotOnTheRouteThatIsLostOrDamagedCostsNoMoreThanTheWholeSnapshot(damage: Damage) async throws {
        try hold(snapshots[0], snapshots[1], graph)
        try strike(snapshots[1].digest, damage)
        #expect(try await bench.prepare(offer) == nil)
        #expect(damage == .lost ? bench.fetched.count == 2 : bench.fetched.last == snapshots[2].digest)
        #expect(await bench.run(offer) == nil)
    }

    @Test(arguments: Damage.allCases)
    func aDamagedDeltaIsNotTriedAgain(damage: Damage) async throws {
        try hold(snapshots[0], graph, deltas[0].blob, deltas[1].blob)
        try strike(deltas[1].blob.digest, damage)
        #expect(try await bench.prepare(offer) == nil)
        #expect(bench.fetched == [damage == .lost ? deltas[1].blob.digest : snapshots[2].digest])
        #expect(await bench.run(offer) == nil)
    }

    @Test(arguments: Damage.allCases)
    func aGraphThatIsLostOrDamagedIsFetched(damage: Damage) async throws {
        try hold(snapshots[2], graph)
        try strike(graph.digest, damage)
        #expect(try await bench.prepare(offer) == nil)
        #expect(bench.fetched == [graph.digest])
        #expect(await bench.run(offer) == nil)
    }

    @Test func aRecipeCostsNothing() async throws {
        #expect(try await bench.prepare(offer(route: [], version: 0)) == nil)
        #expect(bench.fetched.isEmpty)
        #expect(try await bench.prepare(offer(route: deltas, version: 2)) == nil)
        #expect(bench.fetched == deltas.map(\.blob.digest))
    }

    @Test(arguments: Damage.allCases, [0, 2])
    func theGraphOfARecipeIsMended(damage: Damage, version: Int) async throws {
        try hold(snapshots[0], graph)
        try strike(graph.digest, damage)
        let offer = offer(route: Array(deltas.prefix(version)), version: version)
        #expect(try await bench.prepare(offer) == nil)
        #expect(await bench.run(offer) == nil)
    }

    @Test(arguments: Damage.allCases)
    func theSnapshotOfARecipeIsMended(damage: Damage) async throws {
        try hold(snapshots[0], graph)
        try strike(snapshots[0].digest, damage)
        #expect(try await bench.prepare(offer(route: [], version: 0)) == nil)
        #expect(bench.fetched.isEmpty)
    }

    /// Zeros cost nothing in a file, so a few bytes could ask for gigabytes.
    @Test func aGraphThatAsksForMoreThanItsSnapshotIsRefused() async throws {
        let huge = try ModelBuilder.build(
            architecture: "mlp", inputShape: [1, 28, 28], classes: 10, width: 512, seed: 3)
        let skeleton = PackedBlob.pack(huge.skeleton().serialized())
        let graph = BlobReference(digest: try bench.coordinator.put(skeleton), byteCount: skeleton.count)
        let small = try Snapshot(
            parsing: bench.coordinator.get(snapshots[0].digest), path: "small")
        let bytes = Snapshot(graph: graph.digest, parameters: small.parameters).serialized()
        let snapshot = BlobReference(digest: try bench.coordinator.put(bytes), byteCount: bytes.count)
        let reason = try await bench.prepare(
            TaskBench.offer(SnapshotReference(version: 0, snapshot: snapshot, graph: graph, maskEpoch: 0)))
        #expect(reason?.contains("graph \(graph.digest.short)") == true, "\(reason ?? "prepared")")
    }
}
