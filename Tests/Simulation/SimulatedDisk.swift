import Federation

/// A blob store after the real one: whole blobs are written aside, synced and renamed; arriving ones grow in a partial
/// file, which a loss of power may tear.
struct SimulatedDisk {
    /// Whether the bytes still are what the name says.
    enum Condition { case whole, corrupt }

    struct Partial {
        var received: Int
        /// What is there is not what was sent: found by the digest, once the rest has come.
        var isTorn = false
    }

    private(set) var blobs: [Digest: Condition] = [:]
    private(set) var partials: [Digest: Partial] = [:]
    /// Nothing can be written before this time.
    var fullUntil = 0.0

    func isFull(at now: Double) -> Bool { now < fullUntil }
    func contains(_ digest: Digest) -> Bool { blobs[digest] != nil }

    mutating func put(_ digest: Digest) { blobs[digest] = .whole }
    mutating func remove(_ digest: Digest) { blobs[digest] = nil }

    /// Reads and verifies; what does not match its name is moved aside.
    mutating func get(_ digest: Digest) -> Bool {
        guard blobs[digest] == .whole else {
            blobs[digest] = nil
            return false
        }
        return true
    }

    mutating func keepOnly(_ kept: Set<Digest>) {
        blobs = blobs.filter { kept.contains($0.key) }
        partials = partials.filter { kept.contains($0.key) }
    }

    // MARK: Arriving blobs

    func received(_ digest: Digest) -> Int { partials[digest]?.received ?? 0 }

    mutating func receive(_ digest: Digest, upTo offset: Int) {
        partials[digest, default: Partial(received: 0)].received = offset
    }

    /// Ends a transfer. Bytes that do not match are deleted.
    mutating func finish(_ digest: Digest, bytesAreRight: Bool) -> Bool {
        let isTorn = partials.removeValue(forKey: digest)?.isTorn ?? false
        guard bytesAreRight, !isTorn else { return false }
        put(digest)
        return true
    }

    mutating func discard(_ digest: Digest) {
        blobs[digest] = nil
        partials[digest] = nil
    }

    // MARK: Loss of power

    /// In order of name, so that chance strikes the same blobs in every process.
    var blobNames: [Digest] { blobs.keys.sorted() }
    var partialNames: [Digest] { partials.keys.sorted() }

    mutating func corrupt(_ digest: Digest) { blobs[digest] = .corrupt }

    /// The file may end earlier and hold anything.
    mutating func tear(_ digest: Digest, at offset: Int) {
        partials[digest] = Partial(received: offset, isTorn: offset > 0)
    }
}
