import Compression
import Federation
import Ledger
import ModelGraph
import Tensors
import UpdateCodec

/// Brings what a worker keeps of its weights (residual, momentum, control variates) up to date with what has left the model
/// since it was written. A residual's file says how many of the run's changes it has seen; so adapting it needs no state of
/// its own, and a task that is run again adapts the same file to the same bytes.
struct ResidualAdaptation {
    /// Says in a residual's metadata how many of the run's changes it has seen; left out when none.
    static let metadataKey = "pleach.changes"

    private let blobs: BlobStore
    private let residual: Digest?
    /// What it has not seen, the oldest first.
    private let unseen: ArraySlice<KeptChange>

    init(_ residual: Digest?, changes: [KeptChange], blobs: BlobStore) throws {
        self.blobs = blobs
        guard let residual, !changes.isEmpty, blobs.contains(residual) else {
            self.residual = residual
            unseen = []
            return
        }
        let file = try SafetensorsFile(blobs.map(residual), path: "residual \(residual)")
        let seen = file.metadata[Self.metadataKey].flatMap { Int($0) } ?? 0
        unseen = seen >= 0 && seen <= changes.count ? changes[seen...] : changes[...]
        self.residual = residual
    }

    /// The metadata of a file that has seen all of these.
    static func metadata(seen changes: Int) -> [String: String] {
        changes == 0 ? [:] : [metadataKey: String(changes)]
    }

    /// What adapting reads: the changes, and the graph that the first of them applies to.
    var needed: [BlobReference] {
        guard !unseen.contains(.rewound) else { return [] }
        var references: [BlobReference] = []
        for case .structure(let change, let graph) in unseen {
            if references.isEmpty { references.append(graph) }
            references.append(change)
        }
        return references
    }

    /// The residual as it is now: itself, a smaller one, or none.
    func adapted(changes: [KeptChange]) throws -> Digest? {
        guard let residual, !unseen.isEmpty else { return residual }
        // What was owed to weights that were put back is owed no more.
        guard !unseen.contains(.rewound) else { return nil }
        var slices = ParameterSlices()
        var graph: Graph?
        for case .structure(let change, let reference) in unseen {
            let before = try graph ?? Self.skeleton(reference, blobs)
            let pruned = try StructureChange(parsing: blobs.get(change.digest)).apply(to: before)
            slices = slices.followed(by: pruned.slices)
            graph = pruned.graph
        }
        let file = try SafetensorsFile(blobs.map(residual), path: "residual \(residual)")
        let writer = try blobs.makeWriter(.cache)
        try KeptTensors.adapt(
            file, to: slices, prefixes: [ResidualFiles.momentumPrefix, DriftControl.prefix],
            metadata: Self.metadata(seen: changes.count)
        ) { try writer.append($0) }
        return try writer.finish().digest
    }

    private static func skeleton(_ reference: BlobReference, _ blobs: BlobStore) throws -> Graph {
        try Graph.load(
            PackedBlob.unpack(blobs.get(reference.digest), byteLimit: ModelLimits.graphByteCount),
            path: "graph \(reference.digest.short)")
    }
}
