import Federation
import Foundation
import Ledger
import Shell
import Tensors
import Transport

/// The worker's state folder: keys, blobs, and what it must remember. One process owns it at a time.
public struct WorkerStore: Sendable {
    let directory: String
    let blobs: BlobStore
    let keys: KeyPair
    private let lock: StateLock

    /// Creates or opens the folder; makes a key pair on first use.
    init(directory: String) throws {
        self.directory = directory
        try FileManager.default.createDirectory(
            atPath: directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        lock = try StateLock(directory: directory)
        blobs = try BlobStore(directory: directory + "/blobs", mend: "it is fetched or computed again")
        keys = try Self.loadKeys(directory + "/keys")
    }

    /// Forgets runs (blobs, residual, logs) but keeps the keys, so that the worker stays allowed.
    public static func erase(directory: String) throws {
        guard FileManager.default.fileExists(atPath: directory) else { return }
        let lock = try StateLock(directory: directory)
        for name in ["blobs", "memory.json", "snapshots", "logs", "output.log"] {
            let path = directory + "/" + name
            if FileManager.default.fileExists(atPath: path) { try FileManager.default.removeItem(atPath: path) }
        }
        withExtendedLifetime(lock) {}
    }

    private static func loadKeys(_ folder: String) throws -> KeyPair {
        let secretPath = folder + "/worker.secret"
        if FileManager.default.fileExists(atPath: secretPath) {
            return try KeyFile.readSecret(secretPath)
        }
        let pair = try KeyPair.generate()
        try KeyFile.write(pair, directory: folder, name: "worker")
        return pair
    }

    private var memoryPath: String { directory + "/memory.json" }

    func loadMemory() throws -> WorkerMemory {
        guard let data = FileManager.default.contents(atPath: memoryPath) else { return WorkerMemory() }
        do {
            return try JSONDecoder().decode(WorkerMemory.self, from: data)
        } catch {
            throw WorkerError.state("\(memoryPath) is damaged: move it away to start afresh (the residual is lost)")
        }
    }

    /// What of a memory still stands, and in one line each what is lost or damaged.
    func recover(_ memory: WorkerMemory) throws -> RecoveredMemory {
        var recovered = RecoveredMemory(memory: memory)
        if let residual = memory.residual, try blobs.isLost(residual) {
            recovered.memory.residual = nil
            recovered.losses.append(Self.lossOf(residual: residual))
        }
        try recoverMember(&recovered)
        guard let pending = memory.pending else { return recovered }
        if let blob = pending.submission.blob, try blobs.isLost(blob.digest) {
            recovered.canSubmit = false
            recovered.losses.append(
                "the finished result of round \(pending.submission.round) is lost or damaged (blob \(blob.digest)): the "
                    + "task is done again if it is still wanted")
        }
        if let residual = pending.residual, try blobs.isLost(residual) {
            // If the result has counted, the residual of before must not be added a second time: nothing is owed instead.
            recovered.memory.pending?.residual = try blobs.put(Safetensors.serialize(NamedTensors()))
            recovered.losses.append(Self.lossOf(residual: residual))
        }
        return recovered
    }

    /// What of a member's models and logits is still there.
    private func recoverMember(_ recovered: inout RecoveredMemory) throws {
        var losses: [String] = []
        func isLost(_ digest: Digest) throws -> Bool {
            guard try blobs.isLost(digest) else { return false }
            losses.append(Self.lossOf(member: digest))
            return true
        }
        let settled = try recovered.memory.member?.without(isLost)
        recovered.memory.member = settled
        if let member = recovered.memory.pending?.member {
            recovered.memory.pending?.member = try member.without(isLost, earlier: settled)
        }
        recovered.losses += losses
    }

    /// What is said of it.
    static func lossOf(member: Digest) -> String {
        "what was kept of an ensemble (blob \(member)) is lost or damaged: an earlier model or the first one takes its place; the "
            + "run goes on"
    }

    /// What is said of it.
    static func lossOf(residual: Digest) -> String {
        "the residual \(residual) is lost or damaged: what compression had left out of earlier updates is lost with it; "
            + "the run goes on"
    }

    /// Atomic: the old memory or the new one survives a crash, never a mixture.
    func save(_ memory: WorkerMemory) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        try AtomicFile.write(Array(encoder.encode(memory)), to: memoryPath)
    }

    /// Snapshots that a task has been given and that are still on disk, oldest first.
    func heldSnapshots() -> [Digest] {
        let text = (try? String(contentsOfFile: directory + "/snapshots", encoding: .utf8)) ?? ""
        return text.split(separator: "\n").compactMap { Digest(hex: String($0)) }.filter { blobs.contains($0) }
    }

    static func saveHeld(_ digests: [Digest], directory: String) throws {
        let text = digests.map { $0.hex + "\n" }.joined()
        try AtomicFile.write(Array(text.utf8), to: directory + "/snapshots")
    }

    /// Lets the transport serve any blob of ours that is asked for by name, and store what arrives.
    var access: BlobAccess {
        let blobs = blobs
        return BlobAccess(
            open: { digest in
                guard let digest = Digest(bytes: digest) else { return nil }
                return try? blobs.openForReading(digest).source
            },
            receive: { digest, byteCount throws(BlobFailure) in
                guard let digest = Digest(bytes: digest) else { throw .wrong(reason: "a digest has 32 bytes") }
                do throws(LedgerError) {
                    return try blobs.receive(digest, byteCount: byteCount, .cache).sink
                } catch {
                    throw BlobFailure(error)
                }
            })
    }
}

/// A worker's memory as far as its disk bears it out.
struct RecoveredMemory {
    var memory: WorkerMemory
    /// Whether the pending result is there to be submitted; if not, it still waits for the ledger's word.
    var canSubmit = true
    var losses: [String] = []
}

extension BlobStore {
    /// Whether a blob that should be here is missing, or damaged (and now moved aside).
    func isLost(_ digest: Digest) throws -> Bool {
        do throws(LedgerError) {
            try verify(digest)
            return false
        } catch {
            switch error {
            case .missingBlob, .corruptBlob: return true
            default: throw error
            }
        }
    }
}
