import Compression
import Federation
import Foundation
import Ledger
import ModelGraph
import Tensors
import Testing
import UpdateCodec

@testable import Worker

/// A model that becomes smaller while workers hold it: the change is all that travels, and what they keep follows.
struct StructureTests {
    private let bench: TaskBench
    private let snapshots: [BlobReference]
    private let graph: BlobReference
    private let deltas: [DeltaReference]
    private let smaller: SnapshotReference
    private let change: BlobReference

    init() throws {
        bench = try TaskBench()
        (snapshots, graph, deltas) = try bench.publish()
        let whole = try SnapshotFile(bench.coordinator.map(snapshots[2].digest), path: "whole").snapshot()
        let model = try Graph.load(
            skeleton: PackedBlob.unpack(bench.coordinator.get(graph.digest), byteLimit: ModelLimits.graphByteCount),
            path: "graph", parameters: whole.parameters)
        let groups = try model.channelGroups().groups
        let change = StructureChange(
            channels: groups.map { .init(group: $0.name, width: $0.channels, kept: [0, 2]) })
        let pruned = try change.apply(to: model, masks: whole.masks)
        let store = bench.coordinator
        func put(_ bytes: [UInt8]) throws -> BlobReference {
            BlobReference(digest: try store.put(bytes), byteCount: bytes.count)
        }
        self.change = try put(change.serialized())
        let skeleton = try put(PackedBlob.pack(pruned.graph.serializedSkeleton()))
        let snapshot = try put(
            Snapshot(graph: skeleton.digest, parameters: pruned.parameters, masks: pruned.masks).serialized())
        smaller = SnapshotReference(
            version: 3, snapshot: snapshot, graph: skeleton, maskEpoch: pruned.masks.epoch,
            route: [
                DeltaReference(.structure, blob: self.change, from: snapshots[2].digest, to: snapshot.digest)
            ])
    }

    private func hold(_ blobs: BlobReference...) throws {
        for blob in blobs { _ = try bench.worker.put(bench.coordinator.get(blob.digest), .cache) }
    }

    private func offer(_ route: [DeltaReference]? = nil) -> TaskOffer {
        var reference = smaller
        if let route { reference.route = route }
        var offer = TaskBench.offer(reference)
        offer.changes = [.structure(change, graph: graph)]
        return offer
    }

    @Test func theChangeIsAllThatIsFetched() async throws {
        try hold(snapshots[2], graph)
        #expect(try await bench.prepare(offer()) == nil)
        #expect(bench.fetched == [change.digest])
        #expect(bench.worker.contains(smaller.graph.digest))
        #expect(await bench.run(offer()) == nil)
    }

    @Test func deltasAndAChangeFollowEachOther() async throws {
        try hold(snapshots[0], graph)
        let route = deltas + smaller.route
        #expect(try await bench.prepare(offer(route)) == nil)
        #expect(bench.fetched == route.map(\.blob.digest))
        #expect(await bench.run(offer(route)) == nil)
    }

    @Test func withoutTheGraphBeforeTheWholeSnapshotIsFetched() async throws {
        try hold(snapshots[2])
        #expect(try await bench.prepare(offer()) == nil)
        #expect(Set(bench.fetched) == [smaller.snapshot.digest, smaller.graph.digest])
        #expect(await bench.run(offer()) == nil)
    }

    @Test func aChangeThatLeadsElsewhereCostsTheWholeSnapshot() async throws {
        try hold(snapshots[2], graph)
        let other = StructureChange(channels: [.init(group: "nobody", width: 4, kept: [1])]).serialized()
        let blob = BlobReference(digest: try bench.coordinator.put(other), byteCount: other.count)
        let route = [DeltaReference(.structure, blob: blob, from: snapshots[2].digest, to: smaller.snapshot.digest)]
        #expect(try await bench.prepare(offer(route)) == nil)
        #expect(bench.fetched.last.map { [smaller.snapshot.digest, smaller.graph.digest].contains($0) } == true)
        #expect(await bench.run(offer(route)) == nil)
    }

    // MARK: What workers keep

    private func residual() throws -> Federation.Digest {
        let file = try SnapshotFile(bench.coordinator.map(snapshots[2].digest), path: "whole")
        return try bench.worker.put(Safetensors.serialize(file.snapshot().parameters), .durable)
    }

    private func shapes(of digest: Federation.Digest) throws -> [String: Shape] {
        let file = try SafetensorsFile(bench.worker.map(digest), path: "residual")
        return Dictionary(uniqueKeysWithValues: file.entries.map { ($0.name, $0.shape) })
    }

    @Test func aResidualLosesWhatTheModelLost() throws {
        try hold(graph, change)
        let residual = try residual()
        let changes = [KeptChange.structure(change, graph: graph)]
        let adaptation = ResidualAdaptation(residual, changes: changes, blobs: bench.worker)
        #expect(adaptation.needed == [graph, change])
        let adapted = try #require(try adaptation.adapted(changes: changes))
        let layout = try SnapshotFile(bench.coordinator.map(smaller.snapshot.digest), path: "smaller").layout
        let expected = Dictionary(uniqueKeysWithValues: layout.entries.map { ($0.name, $0.shape) })
        #expect(try shapes(of: adapted) == expected)
        // What has seen the change stays as it is.
        let again = ResidualAdaptation(adapted, changes: changes, blobs: bench.worker)
        #expect(again.needed.isEmpty)
        #expect(try again.adapted(changes: changes) == adapted)
    }

    @Test func nothingIsOwedToWeightsThatWerePutBack() throws {
        let residual = try residual()
        let changes = [KeptChange.structure(change, graph: graph), .fresh]
        let adaptation = ResidualAdaptation(residual, changes: changes, blobs: bench.worker)
        #expect(adaptation.needed.isEmpty)
        #expect(try adaptation.adapted(changes: changes) == nil)
    }

    @Test func withoutChangesAResidualIsNotTouched() throws {
        let residual = try residual()
        let adaptation = ResidualAdaptation(residual, changes: [], blobs: bench.worker)
        #expect(try adaptation.adapted(changes: []) == residual)
        #expect(
            try ResidualAdaptation(nil, changes: [.fresh], blobs: bench.worker).adapted(changes: [.fresh]) == nil)
    }
}
