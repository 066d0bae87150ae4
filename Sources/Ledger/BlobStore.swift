// Immutable bytes named by their SHA-256, one file each: blobs/ab/abcdef…; incoming ones grow in blobs/partial/ and move
// when they are whole and verified. What stands under a digest was hashed before it got there; whether it was also synced
// is its writer's choice (`Durability`). Each process hashes a blob at most once: what it wrote or verified itself is
// remembered for as long as the file stays the same one (size, inode, time of change).

import Crypto
import Federation
import Foundation
import Synchronization
import Tensors

/// How well a blob must survive a power cut. (A kill of the process loses neither.)
public enum Durability: Sendable {
    /// Synced, file and folder, before it gets its name: for what a ledger or a worker's memory will name.
    case durable
    /// Not synced: for what can be fetched or made again. It is verified when a new process first uses it.
    case cache
}

/// The blobs of one state folder. One process writes (it holds the `StateLock`), others may read.
public final class BlobStore: Sendable {
    let directory: String
    /// What to do about a damaged blob, for its error.
    private let mend: String
    private let counter = Mutex<UInt64>(0)
    private let verified = Mutex<[Federation.Digest: FileIdentity]>([:])
    /// Transfers that stopped in this process: their hashes so far, so that going on reads nothing again.
    let interrupted = Mutex<[Federation.Digest: InterruptedTransfer]>([:])

    /// Opens or creates the folder; temporary files of a crashed writer are removed.
    /// - Parameters:
    ///   - readOnly: for whoever looks while another process writes: nothing is created, removed or moved.
    ///   - mend: how a damaged blob is replaced, for its error.
    public init(
        directory: String, readOnly: Bool = false,
        mend: String = "restore the state folder, or start over with --fresh"
    ) throws(LedgerError) {
        self.directory = directory
        self.mend = mend
        isReadOnly = readOnly
        guard !readOnly else { return }
        for folder in [directory, directory + "/partial", directory + "/temporary"] { try Self.makeFolder(folder) }
        for name in (try? FileManager.default.contentsOfDirectory(atPath: directory + "/temporary")) ?? [] {
            unlink("\(directory)/temporary/\(name)")
        }
    }

    private let isReadOnly: Bool

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

    /// Stores bytes under their digest; storing the same few bytes again is cheap.
    public func put(_ bytes: [UInt8], _ durability: Durability = .durable) throws(LedgerError) -> Federation.Digest {
        // Many bytes are hashed once, while they are written, even if they should turn out to be there.
        if bytes.count <= 1 << 20, case let digest = Federation.Digest(hashing: bytes), try isVerified(digest) {
            return digest
        }
        return try write(durability) { (writer) throws(LedgerError) in
            try writer.append(bytes)
        }.digest
    }

    /// Stores what `body` appends, without ever holding it: hashed while it is written.
    /// - Returns: the blob's name and size. When `body` throws, nothing is left behind.
    public func write<Failure: Error>(
        _ durability: Durability, _ body: (BlobWriter) throws(Failure) -> Void
    ) throws -> BlobReference {
        let writer = try makeWriter(durability)
        do {
            try body(writer)
        } catch {
            writer.discard()
            throw error
        }
        return try writer.finish()
    }

    func write(
        _ durability: Durability, _ body: (BlobWriter) throws(LedgerError) -> Void
    ) throws(LedgerError) -> BlobReference {
        let writer = try makeWriter(durability)
        do throws(LedgerError) {
            try body(writer)
        } catch {
            writer.discard()
            throw error
        }
        return try writer.finish()
    }

    /// A writer whose end its owner calls: `finish` or `discard`.
    public func makeWriter(_ durability: Durability) throws(LedgerError) -> BlobWriter {
        let number = counter.withLock { value in
            value += 1
            return value
        }
        return try BlobWriter(store: self, temporary: "\(directory)/temporary/\(number)", durability: durability)
    }

    /// Moves a finished file, hashed by us, to its name.
    func adopt(_ file: String, as digest: Federation.Digest, _ durability: Durability) throws(LedgerError) {
        let target = path(digest)
        let folder = (target as NSString).deletingLastPathComponent
        if access(folder, F_OK) != 0 {
            try Self.makeFolder(folder)
            // A new folder is itself an entry that must survive.
            AtomicReplacement.syncFolder(of: folder)
        }
        guard rename(file, target) == 0 else { throw .writing(target, errno: errno) }
        if durability == .durable { AtomicReplacement.syncFolder(of: target) }
        if let identity = FileIdentity(path: target) { verified.withLock { $0[digest] = identity } }
    }

    public func contains(_ digest: Federation.Digest) -> Bool { access(path(digest), F_OK) == 0 }

    /// Bytes of a stored blob.
    public func size(of digest: Federation.Digest) throws(LedgerError) -> Int {
        var facts = stat()
        guard stat(path(digest), &facts) == 0 else {
            throw .missingBlob(digest: digest.hex, path: path(digest), mend: mend)
        }
        return Int(facts.st_size)
    }

    /// The bytes, verified. A blob that does not match its name is moved aside and named.
    public func get(_ digest: Federation.Digest) throws(LedgerError) -> [UInt8] {
        let reader = try openForReading(digest)
        let bytes = try reader.read(offset: 0, count: reader.byteCount)
        if !isKnown(digest, reader.identity) {
            guard Federation.Digest(hashing: bytes) == digest else { throw setAside(digest) }
            verified.withLock { $0[digest] = reader.identity }
        }
        return bytes
    }

    /// The bytes as a mapping, verified: for blobs that are walked through and need not be held.
    public func map(_ digest: Federation.Digest) throws(LedgerError) -> MappedFile {
        let reader = try openForReading(digest)
        try verify(reader, digest)
        return try reader.map()
    }

    /// Hashes a blob unless this process has done so before.
    /// - Throws: `LedgerError.missingBlob`, `.corruptBlob` (it is moved aside).
    public func verify(_ digest: Federation.Digest) throws(LedgerError) {
        try verify(openForReading(digest), digest)
    }

    private func verify(_ reader: BlobReader, _ digest: Federation.Digest) throws(LedgerError) {
        if isKnown(digest, reader.identity) { return }
        guard try reader.hash() == digest else { throw setAside(digest) }
        verified.withLock { $0[digest] = reader.identity }
    }

    private func isKnown(_ digest: Federation.Digest, _ identity: FileIdentity) -> Bool {
        verified.withLock { $0[digest] == identity }
    }

    /// Whether the blob is here and whole; a damaged one is moved aside, so that it can be stored anew.
    private func isVerified(_ digest: Federation.Digest) throws(LedgerError) -> Bool {
        do throws(LedgerError) {
            try verify(digest)
            return true
        } catch {
            switch error {
            case .missingBlob, .corruptBlob: return false
            default: throw error
            }
        }
    }

    private func setAside(_ digest: Federation.Digest) -> LedgerError {
        let path = path(digest)
        if !isReadOnly { rename(path, path + ".corrupt") }
        return .corruptBlob(path: path, mend: mend)
    }

    /// A handle for reading parts. The receiver verifies the whole.
    public func openForReading(_ digest: Federation.Digest) throws(LedgerError) -> BlobReader {
        try BlobReader(path: path(digest), digest: digest, mend: mend)
    }

    /// Begins to receive a blob, or goes on where an earlier attempt stopped.
    public func receive(
        _ digest: Federation.Digest, byteCount: Int, _ durability: Durability = .durable
    ) throws(LedgerError) -> IncomingBlob {
        try IncomingBlob(
            store: self, partial: "\(directory)/partial/\(digest.hex)", digest: digest, byteCount: byteCount,
            durability: durability)
    }

    /// Removes a blob; one that is not there is no error.
    public func remove(_ digest: Federation.Digest) throws(LedgerError) {
        guard unlink(path(digest)) == 0 || errno == ENOENT else { throw .writing(path(digest), errno: errno) }
        verified.withLock { $0[digest] = nil }
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
