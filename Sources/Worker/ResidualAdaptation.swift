import Compression
import Federation
import Ledger
import ModelGraph
import Shell
import Tensors
import UpdateCodec

/// Brings what a worker keeps of its weights (residual, momentum, control variates) up to date with what has left the model
/// since it was written. A residual's file says how many of the run's changes it has seen; so adapting it needs no state of
/// its own, and a task that is run again adapts the same file to the same bytes.
///
/// What is owed to a narrower model's weights is owed at its places: the file names the width's change, and a task of another
/// width, or of the same with other channels, begins without it.
struct ResidualAdaptation {
    /// Says in a residual's metadata how many of the run's changes it has seen; left out when none.
    static let metadataKey = "pleach.changes"
    /// Names the change that made the model narrower; left out for the whole model's.
    static let widthKey = "pleach.width"

    private let blobs: BlobStore
    private let residual: Digest?
    /// What it has not seen, the oldest first.
    private let unseen: ArraySlice<KeptChange>

    /// - Parameter width: of the model whose task it is adapted for; nil is the whole.
    init(_ residual: Digest?, changes: [KeptChange], width: ModelWidth? = nil, blobs: BlobStore) {
        self.blobs = blobs
        // One that cannot be read is told of, and left out, when the task runs.
        guard let residual, blobs.contains(residual),
            let file = try? SafetensorsFile(blobs.map(residual), path: "residual \(residual)")
        else {
            self.residual = residual
            unseen = []
            return
        }
        let seen = file.metadata[Self.metadataKey].flatMap { Int($0) } ?? 0
        let unseen = seen >= 0 && seen <= changes.count ? changes[seen...] : changes[...]
        let own = file.metadata[Self.widthKey]
        // A change of the whole model's structure says nothing of a part's places.
        guard own == width?.change.digest.hex, own == nil || unseen.isEmpty else {
            self.residual = nil
            self.unseen = []
            return
        }
        self.unseen = unseen
        self.residual = residual
    }

    /// The metadata of a file that has seen so many, of a model of that width.
    static func metadata(seen changes: Int, width: ModelWidth? = nil) -> [String: String] {
        var metadata = changes == 0 ? [:] : [metadataKey: String(changes)]
        if let width { metadata[widthKey] = width.change.digest.hex }
        return metadata
    }

    /// What adapting reads: the changes, and the graph that the first of them applies to.
    var needed: [BlobReference] {
        guard !unseen.contains(.fresh) else { return [] }
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
        // What was owed to weights that are no more, or were put back, is owed no more.
        guard !unseen.contains(.fresh) else { return nil }
        var slices = ParameterSlices()
        var graph: Graph?
        for case .structure(let change, let reference) in unseen {
            let before = try graph ?? blobs.skeleton(reference.digest)
            let pruned = try StructureChange(parsing: blobs.get(change.digest)).applyToSkeleton(before)
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
}
