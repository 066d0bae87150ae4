/// A blob that can be read at any offset. Closures are called on the socket thread: they must not wait for anything
/// but the disk.
public struct BlobSource: Sendable {
    public let byteCount: Int
    /// Fills all of `target` with the bytes from `offset`; both are within the blob. The target holds nothing yet and is
    /// valid during the call only; it is sent as it is left, so a source that cannot fill it must throw.
    public let read: @Sendable (_ offset: Int, _ target: UnsafeMutableRawBufferPointer) throws -> Void

    public init(
        byteCount: Int,
        read: @escaping @Sendable (_ offset: Int, _ target: UnsafeMutableRawBufferPointer) throws -> Void
    ) {
        self.byteCount = byteCount
        self.read = read
    }

    /// A blob in memory.
    public init(bytes: [UInt8]) {
        self.init(byteCount: bytes.count) { offset, target in
            bytes.withUnsafeBytes { target.copyMemory(from: .init(rebasing: $0[offset..<offset + target.count])) }
        }
    }
}

/// Where an arriving blob goes. Closures are called on the socket thread, one at a time, `append` in order of offset;
/// exactly one of `finish` and `abandon` ends the sink.
public struct BlobSink: Sendable {
    /// Bytes already there, at most the blob's size: the transfer starts here.
    public let offset: Int
    /// The bytes are valid during the call only.
    public let append: @Sendable (UnsafeRawBufferPointer) throws(BlobFailure) -> Void
    /// Verifies the digest and makes the blob visible. Throws `.wrong` when the bytes are not those of the digest, and
    /// has removed them then; `.storage` when our own disk fails.
    public let finish: @Sendable () throws(BlobFailure) -> Void
    /// The transfer has stopped: closes the partial blob and keeps it, to be resumed by a later `receive`.
    public let abandon: @Sendable () -> Void

    public init(
        offset: Int, append: @escaping @Sendable (UnsafeRawBufferPointer) throws(BlobFailure) -> Void,
        finish: @escaping @Sendable () throws(BlobFailure) -> Void, abandon: @escaping @Sendable () -> Void
    ) {
        self.offset = offset
        self.append = append
        self.finish = finish
        self.abandon = abandon
    }
}

/// A node's blobs, as the transport sees them. Digests have 32 bytes.
public struct BlobAccess: Sendable {
    /// nil when there is no such blob.
    public let open: @Sendable (_ digest: [UInt8]) -> BlobSource?
    /// Asked once per transfer; resumes a partial blob by returning a sink with an offset. Never called for a digest
    /// that is arriving already.
    public let receive: @Sendable (_ digest: [UInt8], _ byteCount: Int) throws(BlobFailure) -> BlobSink
    /// Whether a peer may have a blob; one that may not is told that it does not exist.
    public let mayRead: @Sendable (PeerID, _ digest: [UInt8]) -> Bool

    public init(
        open: @escaping @Sendable (_ digest: [UInt8]) -> BlobSource?,
        receive: @escaping @Sendable (_ digest: [UInt8], _ byteCount: Int) throws(BlobFailure) -> BlobSink,
        mayRead: @escaping @Sendable (PeerID, _ digest: [UInt8]) -> Bool = { _, _ in true }
    ) {
        self.open = open
        self.receive = receive
        self.mayRead = mayRead
    }
}
