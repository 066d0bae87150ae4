import Compression
import Federation
import Foundation
import Ledger
import ModelGraph
import Shell
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
    private let threads: Int
    /// Snapshots that could not be derived here (damaged base, another machine's arithmetic): they are fetched whole.
    private var fetchedWhole: Set<Digest> = []
    /// The model that was opened last: a task opens its snapshot to settle and again to run.
    private var opened: LoadedModel?

    init(blobs: BlobStore, threads: Int = 1) {
        self.blobs = blobs
        self.threads = threads
    }

    /// What must be fetched before `reference` can be opened; empty when nothing is missing.
    func missing(for reference: SnapshotReference) throws -> [BlobReference] {
        if try has(reference.snapshot), try has(reference.graph) { return [] }
        if fetchedWhole.contains(reference.snapshot.digest) { return try whole(reference) }
        if let recipe = reference.recipe {
            // A recipe costs no bytes. If this machine builds other bytes than the coordinator, fetch them whole.
            let start = reference.route.first?.from ?? reference.snapshot.digest
            guard try buildRecipe(recipe, expecting: start, graph: reference.graph.digest) else {
                return try whole(reference)
            }
        }
        guard let rest = remainingRoute(of: reference), try hasGraph(for: rest, to: reference) else {
            return try whole(reference)
        }
        return rest.map(\.blob).filter { !blobs.contains($0.digest) }
    }

    /// Whether the graph is here, or follows from one that is.
    private func hasGraph(for rest: ArraySlice<DeltaReference>, to reference: SnapshotReference) throws -> Bool {
        guard rest.contains(where: { $0.kind == .structure }), let start = rest.first?.from else {
            return try has(reference.graph)
        }
        let file = try SnapshotFile(blobs.map(start), path: "snapshot \(start.short)")
        return blobs.contains(file.graph)
    }

    /// The steps still to go: those after the newest snapshot of the route that is on disk; nil when none is.
    private func remainingRoute(of reference: SnapshotReference) -> ArraySlice<DeltaReference>? {
        let route = reference.route
        if let last = route.lastIndex(where: { blobs.contains($0.to) }) { return route[(last + 1)...] }
        guard let first = route.first, blobs.contains(first.from) else { return nil }
        return route[...]
    }

    private func has(_ reference: BlobReference) throws -> Bool { blobs.contains(reference.digest) }

    private func whole(_ reference: SnapshotReference) throws -> [BlobReference] {
        [reference.snapshot, reference.graph].filter { !blobs.contains($0.digest) }
    }

    /// Builds the recipe and keeps it when it is what the coordinator has.
    private func buildRecipe(_ recipe: Recipe, expecting digest: Digest, graph known: Digest) throws -> Bool {
        if blobs.contains(digest), blobs.contains(known) { return true }
        let graph = try ModelBuilder.build(
            architecture: recipe.architecture, inputShape: recipe.inputShape, classes: recipe.classes,
            width: recipe.width, seed: recipe.seed)
        let graphDigest = try blobs.put(PackedBlob.pack(graph.serializedSkeleton()), .cache)
        let snapshot = Snapshot(graph: graphDigest, parameters: graph.parameterTensors())
        return try store(snapshot).digest == digest
    }

    /// Opens a snapshot of which nothing is missing, applying deltas as needed.
    mutating func open(_ reference: SnapshotReference) throws -> LoadedModel {
        let digest = reference.snapshot.digest
        if let opened, opened.digest == digest, blobs.contains(digest) { return opened }
        opened = nil
        var derived: Snapshot?
        if !blobs.contains(digest) {
            // Whatever went wrong, the next attempt does not depend on what is on this disk.
            fetchedWhole.insert(digest)
            derived = try derive(reference)
            fetchedWhole.remove(digest)
        }
        let snapshot = try derived ?? load(digest)
        let graph = try blobs.graph(snapshot.graph, parameters: snapshot.parameters)
        let model = LoadedModel(digest: digest, snapshot: snapshot, graph: graph)
        opened = model
        return model
    }

    /// A snapshot that was opened before, mapped.
    func file(_ reference: SnapshotReference) throws -> SnapshotFile {
        let digest = reference.snapshot.digest
        return try SnapshotFile(blobs.map(digest), path: "snapshot \(digest.short)")
    }

    /// Forgets the model that was opened last, to free its memory.
    mutating func close() { opened = nil }

    private func load(_ digest: Digest) throws -> Snapshot {
        try SnapshotFile(blobs.map(digest), path: "snapshot \(digest.short)").snapshot()
    }

    private func store(_ snapshot: Snapshot) throws -> BlobReference {
        try blobs.write(.cache) { writer in try snapshot.serialize { try writer.append($0) } }
    }

    private func derive(_ reference: SnapshotReference) throws -> Snapshot {
        guard let route = remainingRoute(of: reference), let first = route.first else {
            throw TaskFailure("snapshot \(reference.snapshot.digest) is missing")
        }
        var snapshot = try load(first.from)
        var layout = snapshot.layout
        for step in route {
            guard step.kind == .values else {
                snapshot = try applying(step, to: snapshot)
                layout = snapshot.layout
                continue
            }
            let reader = try UpdateReader(
                blobs.map(step.blob.digest), layout: layout, masks: snapshot.masks, threads: threads)
            guard reader.header.kind == .delta, reader.header.base == step.from.bytes else {
                throw TaskFailure("delta \(step.blob.digest) does not start at snapshot \(step.from)")
            }
            try snapshot.apply(reader)
        }
        let derived = try store(snapshot).digest
        guard derived == reference.snapshot.digest else {
            try blobs.remove(derived)
            for step in reference.route { try blobs.remove(step.blob.digest) }
            throw TaskFailure("the deltas to snapshot \(reference.snapshot.digest) lead to \(derived) instead")
        }
        return snapshot
    }

    /// The smaller snapshot that a structure change makes, as the coordinator made it.
    private func applying(_ step: DeltaReference, to snapshot: Snapshot) throws -> Snapshot {
        let graph = try blobs.graph(snapshot.graph, parameters: snapshot.parameters)
        let change = try StructureChange(parsing: blobs.get(step.blob.digest))
        let pruned = try change.apply(to: graph, masks: snapshot.masks)
        let skeleton = try blobs.put(PackedBlob.pack(pruned.graph.serializedSkeleton()), .cache)
        return Snapshot(graph: skeleton, parameters: pruned.parameters, masks: pruned.masks)
    }

    /// Snapshots on disk whose names are among `candidates`.
    func held(among candidates: [Digest]) -> [Digest] { candidates.filter { blobs.contains($0) } }
}
