import Crypto
import Federation
import Foundation
import Synchronization

/// A blob that is arriving: appended to a partial file that survives a restart, verified before it gets its name.
public final class IncomingBlob: Sendable {
    /// Bytes that were there already: where the sender should go on.
    public let offset: Int
    private let store: BlobStore
    private let partial: String
    private let digest: Federation.Digest
    private let byteCount: Int
    private let durability: Durability
    private let state: Mutex<State>

    private struct State {
        var descriptor: Int32
        var received: Int
        var hash = SHA256()
        var writeback = Writeback()
    }

    init(store: BlobStore, partial: String, digest: Federation.Digest, byteCount: Int, durability: Durability)
        throws(LedgerError)
    {
        self.store = store
        self.partial = partial
        self.digest = digest
        self.byteCount = byteCount
        self.durability = durability
        let descriptor = open(partial, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .writing(partial, errno: errno) }
        // Marks the file as in use, so that garbage collection leaves it alone.
        flock(descriptor, LOCK_SH | LOCK_NB)
        do throws(LedgerError) {
            let memory = store.interrupted.withLock { $0.removeValue(forKey: digest) }
            let state = try Self.resume(descriptor, partial: partial, byteCount: byteCount, memory: memory)
            offset = state.received
            self.state = Mutex(state)
        } catch {
            close(descriptor)
            throw error
        }
    }

    /// Takes up what an earlier attempt left: by its hash if this process still has it, else by reading it; more than was
    /// declared is not ours and is cut off.
    private static func resume(
        _ descriptor: Int32, partial: String, byteCount: Int, memory: InterruptedTransfer?
    ) throws(LedgerError) -> State {
        var state = State(descriptor: descriptor, received: 0)
        var facts = stat()
        guard fstat(descriptor, &facts) == 0 else { throw .writing(partial, errno: errno) }
        guard facts.st_size <= off_t(byteCount) else {
            guard ftruncate(descriptor, 0) == 0 else { throw .writing(partial, errno: errno) }
            return state
        }
        if let memory, memory.identity == FileIdentity(facts), lseek(descriptor, 0, SEEK_END) == facts.st_size {
            state.hash = memory.hash
            state.received = memory.identity.byteCount
            return state
        }
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        // Bounded by the size found, so that a file without an end cannot hold us.
        while state.received < Int(facts.st_size) {
            let got = read(descriptor, &buffer, min(buffer.count, Int(facts.st_size) - state.received))
            if got < 0, errno == EINTR { continue }
            guard got > 0 else { throw .writing(partial, errno: got < 0 ? errno : EIO) }
            state.hash.update(data: buffer.prefix(got))
            state.received += got
        }
        return state
    }

    deinit { state.withLock { if $0.descriptor >= 0 { close($0.descriptor) } } }

    /// Appends the next bytes.
    /// - Throws: `LedgerError.blobTooLong` beyond the declared size; `.diskFull`.
    public func append(_ bytes: UnsafeRawBufferPointer) throws(LedgerError) {
        try state.withLock { state throws(LedgerError) in
            guard state.received + bytes.count <= byteCount else {
                throw .blobTooLong(digest: digest.hex, declared: byteCount)
            }
            var written = 0
            while written < bytes.count, let base = bytes.baseAddress {
                let count = write(state.descriptor, base + written, bytes.count - written)
                if count < 0, errno == EINTR { continue }
                guard count > 0 else {
                    let code = errno
                    // A partial write must not be hashed: cut it off so that a resume starts at a known offset.
                    ftruncate(state.descriptor, off_t(state.received))
                    throw .writing(partial, errno: code)
                }
                written += count
            }
            state.hash.update(bufferPointer: bytes)
            state.received += bytes.count
            if durability == .durable { state.writeback.start(state.descriptor, upTo: state.received) }
        }
    }

    /// Verifies size and digest, syncs, and gives the blob its name. A wrong blob is deleted.
    public func finish() throws(LedgerError) {
        try state.withLock { state throws(LedgerError) in
            let found = Federation.Digest(state.hash.finalize())
            guard state.received == byteCount, found == digest else {
                unlink(partial)
                throw .wrongBlob(expected: digest.hex, found: found.hex)
            }
            guard durability == .cache || fsync(state.descriptor) == 0 else { throw .writing(partial, errno: errno) }
            close(state.descriptor)
            state.descriptor = -1
            try store.adopt(partial, as: digest, durability)
        }
    }

    /// Stops receiving; what has arrived stays for a later attempt.
    public func abandon() {
        state.withLock { state in
            guard state.descriptor >= 0 else { return }
            var facts = stat()
            if fstat(state.descriptor, &facts) == 0, Int(facts.st_size) == state.received {
                let memory = InterruptedTransfer(identity: FileIdentity(facts), hash: state.hash)
                store.interrupted.withLock { transfers in
                    // Hostile peers may break off as often as they like.
                    if transfers.count >= InterruptedTransfer.most { transfers = [:] }
                    transfers[digest] = memory
                }
            }
            close(state.descriptor)
            state.descriptor = -1
        }
    }
}

/// How far a transfer came in this process.
struct InterruptedTransfer: Sendable {
    /// Forgetting them costs only time.
    static let most = 64

    let identity: FileIdentity
    let hash: SHA256
}
