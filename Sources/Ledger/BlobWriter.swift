import Crypto
import Federation
import Foundation
import Tensors

/// Writes a blob whose name is known only at its end. Owned by one caller.
public final class BlobWriter {
    private let store: BlobStore
    private let temporary: String
    private let durability: Durability
    private var descriptor: Int32
    private var hash = SHA256()
    private var writeback = Writeback()
    public private(set) var byteCount = 0

    init(store: BlobStore, temporary: String, durability: Durability) throws(LedgerError) {
        self.store = store
        self.temporary = temporary
        self.durability = durability
        descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw .writing(temporary, errno: errno) }
    }

    deinit { if descriptor >= 0 { discard() } }

    /// Appends bytes.
    /// - Throws: `LedgerError.diskFull`, `.file`; the writer is of no use any more.
    public func append(_ bytes: UnsafeRawBufferPointer) throws(LedgerError) {
        let failure = AtomicReplacement.writeAll(bytes, to: descriptor)
        guard failure == 0 else {
            discard()
            throw .writing(temporary, errno: failure)
        }
        hash.update(bufferPointer: bytes)
        byteCount += bytes.count
        if durability == .durable { writeback.start(descriptor, upTo: byteCount) }
    }

    public func append(_ bytes: [UInt8]) throws(LedgerError) {
        try bytes.withUnsafeBufferPointer { (bytes) throws(LedgerError) in try append(UnsafeRawBufferPointer(bytes)) }
    }

    /// Syncs as promised and gives the blob its name.
    public func finish() throws(LedgerError) -> BlobReference {
        let digest = Federation.Digest(hash.finalize())
        if durability == .durable, fsync(descriptor) != 0 {
            let code = errno
            discard()
            throw .writing(temporary, errno: code)
        }
        close(descriptor)
        descriptor = -1
        try store.adopt(temporary, as: digest, durability)
        return BlobReference(digest: digest, byteCount: byteCount)
    }

    /// Forgets what was written.
    public func discard() {
        if descriptor >= 0 { close(descriptor) }
        descriptor = -1
        unlink(temporary)
    }
}

/// Starts writing to the disk while more is still coming, so that the `fsync` at the end is short.
struct Writeback {
    private static let step = 8 << 20
    private var started = 0

    mutating func start(_ descriptor: Int32, upTo end: Int) {
        guard end - started >= Self.step else { return }
        // On Linux this starts writing the dirty pages of the range and waits for none; those that are on their way stay
        // in the page cache. Only asks: `fsync` finds out about failures.
        posix_fadvise(descriptor, off_t(started), off_t(end - started), POSIX_FADV_DONTNEED)
        started = end
    }
}
