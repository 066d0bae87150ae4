// Immutable bytes named by their SHA-256, one file each: blobs/ab/abcdef…; incoming ones grow in blobs/partial/ and move
// when they are whole and verified. What stands under a digest was synced before it got there.

import Crypto
import Federation
import Foundation
import Synchronization

/// The blobs of one state folder. One process writes (it holds the `StateLock`), others may read.
public final class BlobStore: Sendable {
    private let directory: String
    private let counter = Mutex<UInt64>(0)

    /// Opens or creates the folder; temporary files of a crashed writer are removed.
    /// - Parameter readOnly: for whoever looks while another process writes: nothing is created or removed.
    public init(directory: String, readOnly: Bool = false) throws(LedgerError) {
        self.directory = directory
        guard !readOnly else { return }
        for folder in [directory, directory + "/partial", directory + "/temporary"] { try Self.makeFolder(folder) }
        for name in (try? FileManager.default.contentsOfDirectory(atPath: directory + "/temporary")) ?? [] {
            unlink("\(directory)/temporary/\(name)")
        }
    }

    private static func makeFolder(_ path: String) throws(LedgerError) {
        do {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch let error as CocoaError where error.code == .fileWriteOutOfSpace {
            throw .diskFull(path: path)
        } catch {
            throw .file(path: path, reason: "the folder cannot be made: check its owner and permissions")
        }
    }

    func path(_ digest: Federation.Digest) -> String { "\(directory)/\(digest.hex.prefix(2))/\(digest.hex)" }

    /// Stores bytes under their digest; storing the same bytes again is cheap.
    public func put(_ bytes: [UInt8]) throws(LedgerError) -> Federation.Digest {
        let digest = Federation.Digest(hashing: bytes)
        if contains(digest) { return digest }
        let number = counter.withLock { value in
            value += 1
            return value
        }
        let temporary = "\(directory)/temporary/\(number)"
        try AtomicFile.write(bytes, to: temporary)
        try adopt(temporary, as: digest)
        return digest
    }

    /// Moves a finished, synced file to its name.
    func adopt(_ file: String, as digest: Federation.Digest) throws(LedgerError) {
        let target = path(digest)
        let folder = (target as NSString).deletingLastPathComponent
        if access(folder, F_OK) != 0 {
            try Self.makeFolder(folder)
            // A new folder is itself an entry that must survive.
            AtomicFile.syncFolder(of: folder)
        }
        guard rename(file, target) == 0 else { throw .writing(target, errno: errno) }
        AtomicFile.syncFolder(of: target)
    }

    public func contains(_ digest: Federation.Digest) -> Bool { access(path(digest), F_OK) == 0 }

    /// Bytes of a stored blob.
    public func size(of digest: Federation.Digest) throws(LedgerError) -> Int {
        var facts = stat()
        guard stat(path(digest), &facts) == 0 else { throw .missingBlob(digest: digest.hex, path: path(digest)) }
        return Int(facts.st_size)
    }

    /// The bytes, verified. A blob that does not match its name is moved aside and named.
    public func get(_ digest: Federation.Digest) throws(LedgerError) -> [UInt8] {
        let path = path(digest)
        let reader = try openForReading(digest)
        let bytes = try reader.read(offset: 0, count: reader.byteCount)
        guard Federation.Digest(hashing: bytes) == digest else {
            rename(path, path + ".corrupt")
            throw .corruptBlob(path: path)
        }
        return bytes
    }

    /// A handle for reading parts. The receiver verifies the whole.
    public func openForReading(_ digest: Federation.Digest) throws(LedgerError) -> BlobReader {
        try BlobReader(path: path(digest), digest: digest)
    }

    /// Begins to receive a blob, or goes on where an earlier attempt stopped.
    public func receive(_ digest: Federation.Digest, byteCount: Int) throws(LedgerError) -> IncomingBlob {
        try IncomingBlob(
            store: self, partial: "\(directory)/partial/\(digest.hex)", digest: digest, byteCount: byteCount)
    }

    /// Removes a blob; one that is not there is no error.
    public func remove(_ digest: Federation.Digest) throws(LedgerError) {
        guard unlink(path(digest)) == 0 || errno == ENOENT else { throw .writing(path(digest), errno: errno) }
    }

    /// Removes a blob and what has arrived of it, unless it is arriving now.
    public func discard(_ digest: Federation.Digest) throws(LedgerError) {
        try remove(digest)
        removeUnused("\(directory)/partial/\(digest.hex)")
    }

    /// Every stored digest, in order.
    public func list() -> [Federation.Digest] {
        let folders = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        return folders.filter { $0.count == 2 }.flatMap { folder in
            ((try? FileManager.default.contentsOfDirectory(atPath: "\(directory)/\(folder)")) ?? []).compactMap {
                Federation.Digest(hex: $0)
            }
        }.sorted()
    }

    /// Removes every blob that is not named, and what abandoned transfers of such blobs left.
    public func garbageCollect(keeping kept: Set<Federation.Digest>) throws(LedgerError) {
        for digest in list() where !kept.contains(digest) { try remove(digest) }
        for name in (try? FileManager.default.contentsOfDirectory(atPath: directory + "/partial")) ?? [] {
            if let digest = Federation.Digest(hex: name), kept.contains(digest) { continue }
            removeUnused("\(directory)/partial/\(name)")
        }
    }

    /// Removes a partial file unless it is arriving now.
    private func removeUnused(_ partial: String) {
        let descriptor = open(partial, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { unlink(partial) }
        close(descriptor)
    }
}

/// Reads parts of one blob.
public final class BlobReader: Sendable {
    public let byteCount: Int
    private let descriptor: Int32
    private let path: String

    init(path: String, digest: Federation.Digest) throws(LedgerError) {
        self.path = path
        descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw errno == ENOENT ? .missingBlob(digest: digest.hex, path: path) : .writing(path, errno: errno)
        }
        var facts = stat()
        guard fstat(descriptor, &facts) == 0 else {
            let code = errno
            close(descriptor)
            throw .writing(path, errno: code)
        }
        byteCount = Int(facts.st_size)
    }

    deinit { close(descriptor) }

    /// Up to `count` bytes at `offset`; fewer only at the end, none outside the blob.
    public func read(offset: Int, count: Int) throws(LedgerError) -> [UInt8] {
        guard offset >= 0, offset < byteCount, count > 0 else { return [] }
        let wanted = min(count, byteCount - offset)
        var failure: Int32 = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: wanted) { buffer, filled in
            while filled < wanted, let base = buffer.baseAddress {
                let got = pread(descriptor, base + filled, wanted - filled, off_t(offset + filled))
                if got < 0, errno == EINTR { continue }
                if got <= 0 {
                    failure = got < 0 ? errno : EIO
                    return
                }
                filled += got
            }
        }
        if failure != 0 { throw .writing(path, errno: failure) }
        return bytes
    }
}
