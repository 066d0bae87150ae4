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

/// A delta blob that leads from one snapshot to another.
public struct DeltaReference: Sendable, Equatable, Codable {
    public var blob: BlobReference
    public var from: Digest
    public var to: Digest

    public init(blob: BlobReference, from: Digest, to: Digest) {
        self.blob = blob
        self.from = from
        self.to = to
    }
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
