/// A public set as a worker names it when a session begins.
public struct PublicSetName: Sendable, Equatable, Codable {
    /// SHA-256 over its inputs, in order (`protocols/session.md`, "Ensembles").
    public var digest: Digest
    public var samples: Int

    public init(digest: Digest, samples: Int) {
        self.digest = digest
        self.samples = samples
    }
}

/// The public set of a run, and who named it.
public struct PublicSetFacts: Sendable, Equatable, Codable {
    public var name: PublicSetName
    public var worker: String

    public init(name: PublicSetName, worker: String) {
        self.name = name
        self.worker = worker
    }
}
