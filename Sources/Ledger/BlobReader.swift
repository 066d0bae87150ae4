import Crypto
import Federation
import Foundation
import Tensors

/// Which file a path names, and which state of it: what a process has verified stays so until one of these changes.
struct FileIdentity: Sendable, Equatable {
    let byteCount: Int
    let inode: UInt64
    let seconds: Int
    let nanoseconds: Int

    init(_ facts: stat) {
        byteCount = Int(facts.st_size)
        inode = UInt64(facts.st_ino)
        seconds = facts.st_mtim.tv_sec
        nanoseconds = facts.st_mtim.tv_nsec
    }

    init?(path: String) {
        var facts = stat()
        guard stat(path, &facts) == 0 else { return nil }
        self.init(facts)
    }
}

/// Reads parts of one blob.
public final class BlobReader: Sendable {
    private static let hashedAtOnce = 1 << 20

    public let byteCount: Int
    let identity: FileIdentity
    private let descriptor: Int32
    private let path: String

    init(path: String, digest: Federation.Digest, mend: String) throws(LedgerError) {
        self.path = path
        descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw errno == ENOENT
                ? .missingBlob(digest: digest.hex, path: path, mend: mend) : .writing(path, errno: errno)
        }
        var facts = stat()
        guard fstat(descriptor, &facts) == 0 else {
            let code = errno
            close(descriptor)
            throw .writing(path, errno: code)
        }
        identity = FileIdentity(facts)
        byteCount = identity.byteCount
    }

    deinit { close(descriptor) }

    /// Up to `count` bytes at `offset`; fewer only at the end, none outside the blob.
    public func read(offset: Int, count: Int) throws(LedgerError) -> [UInt8] {
        guard offset >= 0, offset < byteCount, count > 0 else { return [] }
        let wanted = min(count, byteCount - offset)
        var failure: LedgerError?
        let bytes = [UInt8](unsafeUninitializedCapacity: wanted) { buffer, filled in
            do throws(LedgerError) {
                try read(offset: offset, into: UnsafeMutableRawBufferPointer(buffer))
                filled = wanted
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return bytes
    }

    /// Fills a buffer with the bytes from `offset` on.
    /// - Throws: `LedgerError.file` when the blob ends before the buffer does.
    public func read(offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(LedgerError) {
        guard offset >= 0, buffer.count <= byteCount, offset <= byteCount - buffer.count else {
            throw .file(path: path, reason: "has no \(buffer.count) bytes at offset \(offset)")
        }
        var filled = 0
        while filled < buffer.count, let base = buffer.baseAddress {
            let got = pread(descriptor, base + filled, buffer.count - filled, off_t(offset + filled))
            if got < 0, errno == EINTR { continue }
            guard got > 0 else { throw .writing(path, errno: got < 0 ? errno : EIO) }
            filled += got
        }
    }

    /// All bytes, mapped; not verified.
    func map() throws(LedgerError) -> MappedFile {
        do {
            return try MappedFile(descriptor: descriptor, byteCount: byteCount, path: path)
        } catch {
            throw .writing(path, errno: error.number)
        }
    }

    /// The digest of what is there, read piece by piece.
    func hash() throws(LedgerError) -> Federation.Digest {
        var hash = SHA256()
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.hashedAtOnce, alignment: 16)
        defer { buffer.deallocate() }
        var offset = 0
        while offset < byteCount {
            let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<min(buffer.count, byteCount - offset)])
            try read(offset: offset, into: part)
            hash.update(bufferPointer: UnsafeRawBufferPointer(part))
            offset += part.count
        }
        return Federation.Digest(hash.finalize())
    }
}
