import Foundation

/// What can go wrong with a run's state on disk.
public enum LedgerError: Error, Equatable, Sendable, CustomStringConvertible {
    case diskFull(path: String)
    case file(path: String, reason: String)
    case stateInUse(path: String, pid: Int32?)
    case noRun(path: String)
    case notALedger(path: String, reason: String)
    case newerSchema(path: String, found: Int, known: Int)
    case unreadableRecord(id: Int64, kind: String)
    case missingBlob(digest: String, path: String)
    case corruptBlob(path: String)
    case blobTooLong(digest: String, declared: Int)
    case wrongBlob(expected: String, found: String)

    /// Whether space on disk ran out: exit code 8.
    public var isDiskFull: Bool { if case .diskFull = self { true } else { false } }

    /// The error of a failed system call on a path.
    static func writing(_ path: String, errno code: Int32) -> LedgerError {
        if code == ENOSPC || code == EDQUOT { return .diskFull(path: path) }
        return .file(path: path, reason: String(cString: strerror(code)))
    }

    public var description: String {
        switch self {
        case .diskFull(let path): "no space left on the disk of \(path): free some and run again; nothing is lost"
        case .file(let path, let reason): "\(path): \(reason)"
        case .stateInUse(let path, let pid):
            "state folder \(path) is in use\(pid.map { " by process \($0)" } ?? ""): stop it, or use another --state"
        case .noRun(let path): "\(path) holds no run: name the folder given to --state, or start a run first"
        case .notALedger(let path, let reason):
            "\(path) is damaged or no ledger (\(reason)): restore it or start over with --fresh"
        case .newerSchema(let path, let found, let known):
            "\(path) has schema \(found), this version knows up to \(known): install a newer pleach"
        case .unreadableRecord(let id, let kind):
            "ledger record \(id) ('\(kind)') cannot be read: restore the ledger or start over with --fresh"
        case .missingBlob(let digest, let path): "blob \(digest) is missing (\(path))"
        case .corruptBlob(let path): "\(path) does not match its digest; it was moved aside to \(path).corrupt"
        case .blobTooLong(let digest, let declared): "blob \(digest) is longer than the \(declared) bytes declared"
        case .wrongBlob(let expected, let found): "bytes declared as blob \(expected) are blob \(found)"
        }
    }
}
