import Foundation

/// A ledger's files in a temporary folder, for whoever may read them but cannot or must not write beside them: SQLite keeps an
/// index of the write-ahead log there, even for readers. Goes away with its last user.
final class LedgerCopy: Sendable {
    private let folder: URL
    let path: String

    /// Nil when the ledger can be read where it is: the folder can be written, or the index is there already.
    convenience init?(ifNeededFor original: String) throws(LedgerError) {
        let directory = (original as NSString).deletingLastPathComponent
        let isWritable = faccessat(AT_FDCWD, directory.isEmpty ? "." : directory, W_OK, AT_EACCESS) == 0
        guard !isWritable, access(original + "-shm", F_OK) != 0 else { return nil }
        try self.init(of: original)
    }

    init(of original: String) throws(LedgerError) {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("pleach-ledger-\(UUID().uuidString)")
        path = folder.appendingPathComponent("ledger.sqlite").path
        do {
            try FileManager.default.createDirectory(
                at: folder, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
            try FileManager.default.copyItem(atPath: original, toPath: path)
            if access(original + "-wal", F_OK) == 0 {
                try FileManager.default.copyItem(atPath: original + "-wal", toPath: path + "-wal")
            }
        } catch {
            try? FileManager.default.removeItem(at: folder)
            throw .file(
                path: original,
                reason: "it cannot be read where it is, and no copy of it can be made in \(folder.path): check who may "
                    + "read it, and that there is space")
        }
    }

    deinit { try? FileManager.default.removeItem(at: folder) }
}
