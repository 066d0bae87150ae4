import Crypto
import Federation
import Foundation
import Tensors

/// Writes a blob whose name is known only at its end. Owned by one caller, who makes the next piece while the last is
/// written and hashed on a queue of the writer's.
public final class BlobWriter {
    /// Pieces that may wait, each held until it is written.
    private static let pendingPieces = 2
    private static let sliceByteCount = 256 << 10

    private let store: BlobStore
    private let temporary: String
    private let durability: Durability
    private let queue = DispatchQueue(label: "pleach.blob-writer")
    private let room = DispatchSemaphore(value: pendingPieces)
    // Touched on `queue` only.
    private var descriptor: Int32
    private var hash = SHA256()
    private var writeback = Writeback()
    private var writtenByteCount = 0
    private var failure: LedgerError?

    init(store: BlobStore, temporary: String, durability: Durability) throws(LedgerError) {
        self.store = store
        self.temporary = temporary
        self.durability = durability
        descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw .writing(temporary, errno: errno) }
    }

    // Every piece on the queue holds the writer, so here the queue is empty.
    deinit { close(andRemove: true) }

    /// Appends bytes before it returns.
    /// - Throws: `LedgerError.diskFull`, `.file`; the writer is of no use any more.
    public func append(_ bytes: UnsafeRawBufferPointer) throws(LedgerError) {
        let failure = queue.sync {
            write(bytes)
            return self.failure
        }
        if let failure { throw failure }
    }

    /// Takes bytes to be appended; a failure is told by a later call.
    /// - Throws: `LedgerError.diskFull`, `.file`; the writer is of no use any more.
    public func append(_ bytes: [UInt8]) throws(LedgerError) {
        room.wait()
        // Only one caller, so nothing is appended between this and the next look.
        nonisolated(unsafe) let writer = self
        queue.async {
            bytes.withUnsafeBytes { writer.write($0) }
            writer.room.signal()
        }
    }

    /// Syncs as promised and gives the blob its name.
    /// - Throws: `LedgerError.diskFull`, `.file`, also for what could not be appended.
    public func finish() throws(LedgerError) -> BlobReference {
        if let failure = queue.sync(execute: { sync() }) { throw failure }
        let digest = Federation.Digest(hash.finalize())
        try store.adopt(temporary, as: digest, durability)
        return BlobReference(digest: digest, byteCount: writtenByteCount)
    }

    /// Forgets what was written.
    public func discard() { queue.sync { close(andRemove: true) } }

    private func write(_ bytes: UnsafeRawBufferPointer) {
        guard failure == nil else { return }
        // In slices that are still in the cache when they are hashed.
        for start in stride(from: 0, to: bytes.count, by: Self.sliceByteCount) {
            let slice = UnsafeRawBufferPointer(rebasing: bytes[start..<min(bytes.count, start + Self.sliceByteCount)])
            let code = AtomicReplacement.writeAll(slice, to: descriptor)
            guard code == 0 else { return fail(code) }
            hash.update(bufferPointer: slice)
        }
        writtenByteCount += bytes.count
        if durability == .durable { writeback.start(descriptor, upTo: writtenByteCount) }
    }

    private func sync() -> LedgerError? {
        if failure == nil, durability == .durable, fsync(descriptor) != 0 { fail(errno) }
        close(andRemove: failure != nil)
        return failure
    }

    private func fail(_ code: Int32) {
        failure = .writing(temporary, errno: code)
        close(andRemove: true)
    }

    /// Once only: afterwards the file belongs to the store, or is gone.
    private func close(andRemove removes: Bool) {
        guard descriptor >= 0 else { return }
        Foundation.close(descriptor)
        descriptor = -1
        if removes { unlink(temporary) }
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
