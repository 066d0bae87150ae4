import Federation
import Foundation
import Ledger
import ModelGraph
import Tensors
import UpdateCodec

/// A snapshot with its graph, ready to run.
struct LoadedModel {
    var digest: Digest
    var snapshot: Snapshot
    /// The graph with the snapshot's parameters in it.
    var graph: Graph
}

/// The worker's snapshots on disk: finds, derives or asks for what a task needs, and verifies every step by digest.
struct SnapshotShelf {
    let blobs: BlobStore
    /// Snapshots that could not be derived here (damaged base, another machine's arithmetic): they are fetched whole.
    private var fetchedWhole: Set<Digest> = []

    init(blobs: BlobStore) { self.blobs = blobs }

    /// What must be fetched before `reference` can be opened; empty when nothing is missing.
    func missing(for reference: SnapshotReference) throws -> [BlobReference] {
        if try has(reference.snapshot), try has(reference.graph) { return [] }
        if fetchedWhole.contains(reference.snapshot.digest) { return try whole(reference) }
        if let recipe = reference.recipe {
            // A recipe costs no bytes. If this machine builds other bytes than the coordinator, fetch them whole.
            let start = reference.route.first?.from ?? reference.snapshot.digest
            guard try buildRecipe(recipe, expecting: start) else { return try whole(reference) }
        }
        guard let first = reference.route.first, blobs.contains(first.from), try has(reference.graph) else {
            if reference.recipe != nil, reference.route.isEmpty { return [] }
            return try whole(reference)
        }
        let deltas = reference.route.filter { !blobs.contains($0.to) && !blobs.contains($0.blob.digest) }
        return deltas.map(\.blob)
    }

    private func has(_ reference: BlobReference) throws -> Bool { blobs.contains(reference.digest) }

    private func whole(_ reference: SnapshotReference) throws -> [BlobReference] {
        [reference.snapshot, reference.graph].filter { !blobs.contains($0.digest) }
    }

    /// Builds the recipe and keeps it when it is what the coordinator has.
    private func buildRecipe(_ recipe: Recipe, expecting digest: Digest) throws -> Bool {
        if blobs.contains(digest) { return true }
        let graph = try ModelBuilder.build(
            architecture: recipe.architecture, inputShape: recipe.inputShape, classes: recipe.classes,
            width: recipe.width, seed: recipe.seed)
        let graphDigest = try blobs.put(graph.skeleton().serialized())
        let snapshot = Snapshot(graph: graphDigest, parameters: graph.parameterTensors())
        return try blobs.put(snapshot.serialized()) == digest
    }

    /// Opens a snapshot of which nothing is missing, applying deltas as needed.
    mutating func open(_ reference: SnapshotReference) throws -> LoadedModel {
        if !blobs.contains(reference.snapshot.digest) {
            // Whatever went wrong, the next attempt does not depend on what is on this disk.
            fetchedWhole.insert(reference.snapshot.digest)
            try derive(reference)
            fetchedWhole.remove(reference.snapshot.digest)
        }
        let digest = reference.snapshot.digest
        let snapshot = try Snapshot(parsing: blobs.get(digest), path: "snapshot \(digest.short)")
        let skeleton = try Graph.load(blobs.get(snapshot.graph), path: "graph \(snapshot.graph.short)")
        return LoadedModel(
            digest: digest, snapshot: snapshot, graph: try skeleton.replacingParameters(snapshot.parameters))
    }

    private func derive(_ reference: SnapshotReference) throws {
        guard let first = reference.route.first else {
            throw TaskFailure("snapshot \(reference.snapshot.digest) is missing")
        }
        var snapshot = try Snapshot(parsing: blobs.get(first.from), path: "snapshot \(first.from.short)")
        for step in reference.route {
            let reader = try UpdateReader(blobs.get(step.blob.digest), layout: snapshot.layout, masks: snapshot.masks)
            guard reader.header.kind == .delta, reader.header.base == step.from.bytes else {
                throw TaskFailure("delta \(step.blob.digest) does not start at snapshot \(step.from)")
            }
            snapshot = try snapshot.applying(reader)
        }
        let derived = try blobs.put(snapshot.serialized())
        guard derived == reference.snapshot.digest else {
            try blobs.remove(derived)
            for step in reference.route { try blobs.remove(step.blob.digest) }
            throw TaskFailure("the deltas to snapshot \(reference.snapshot.digest) lead to \(derived) instead")
        }
    }

    /// Snapshots on disk whose names are among `candidates`.
    func held(among candidates: [Digest]) -> [Digest] { candidates.filter { blobs.contains($0) } }
}
