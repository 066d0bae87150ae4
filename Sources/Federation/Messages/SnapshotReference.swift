/// A bundled architecture and its seed: builds a snapshot without a byte on the wire.
public struct Recipe: Sendable, Equatable, Codable {
    public var architecture: String
    public var inputShape: [Int]?
    public var classes: Int?
    public var width: Int?
    public var seed: UInt64

    public init(architecture: String, inputShape: [Int]? = nil, classes: Int? = nil, width: Int? = nil, seed: UInt64) {
        self.architecture = architecture
        self.inputShape = inputShape
        self.classes = classes
        self.width = width
        self.seed = seed
    }
}

/// A blob that leads from one snapshot to another.
public struct DeltaReference: Sendable, Equatable, Codable {
    /// What the blob holds.
    public enum Kind: UInt8, Sendable, Equatable, Codable {
        // Raw values are on the wire and in ledgers; never renumber them.
        /// An update container: what is added, or a new mask.
        case values = 0
        /// A `StructureChange`: what leaves the model.
        case structure = 1
    }

    public var kind: Kind
    public var blob: BlobReference
    public var from: Digest
    public var to: Digest

    public init(_ kind: Kind = .values, blob: BlobReference, from: Digest, to: Digest) {
        self.kind = kind
        self.blob = blob
        self.from = from
        self.to = to
    }
}

/// Something after which what a worker has kept of its weights (residual, momentum, control variates) no longer fits.
public enum KeptChange: Sendable, Equatable {
    /// Some of it left the model: the blob is a `StructureChange`, applied to the snapshot of that digest's graph.
    case structure(BlobReference, graph: BlobReference)
    /// The weights were put back to earlier values, or layers became others: nothing of it holds any more.
    case fresh
}

/// A snapshot and the cheapest way for one worker to get it.
public struct SnapshotReference: Sendable, Equatable {
    public var version: Int
    public var snapshot: BlobReference
    public var graph: BlobReference
    public var maskEpoch: UInt32
    /// Deltas from a snapshot the worker holds, in order; empty means the whole snapshot (or the recipe).
    public var route: [DeltaReference]
    public var recipe: Recipe?

    public init(
        version: Int, snapshot: BlobReference, graph: BlobReference, maskEpoch: UInt32, route: [DeltaReference] = [],
        recipe: Recipe? = nil
    ) {
        self.version = version
        self.snapshot = snapshot
        self.graph = graph
        self.maskEpoch = maskEpoch
        self.route = route
        self.recipe = recipe
    }
}
