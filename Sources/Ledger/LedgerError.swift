import Foundation

/// What can go wrong with a run's state on disk.
public enum LedgerError: Error, Equatable, Sendable, CustomStringConvertible {
    case diskFull(path: String)
    case file(path: String, reason: String)
    case stateInUse(path: String, pid: Int32?)
    case noRun(path: String)
    case notALedger(path: String, reason: String)
    case newerSchema(path: String, found: Int, known: Int)
    case olderSchema(path: String, found: Int, known: Int)
    case unreadableRecord(id: Int64, kind: String)
    case missingBlob(digest: String, path: String, mend: String)
    case corruptBlob(path: String, mend: String)
    case blobTooLong(digest: String, declared: Int)
    case wrongBlob(expected: String, found: String)

    /// Whether space on disk ran out: exit code 8.
    public var isDiskFull: Bool { if case .diskFull = self { true } else { false } }

    /// The error of a failed system call on a path.
    static func writing(_ path: String, errno code: Int32) -> LedgerError {
        if code == ENOSPC || code == EDQUOT { return .diskFull(path: path) }
        return .file(path: path, reason: String(cString: strerror(code)))
    }

    /// SQLite's verdicts have line breaks.
    private static func oneLine(_ text: String) -> String {
        text.split(whereSeparator: \.isNewline).joined(separator: "; ")
    }

    public var description: String {
        switch self {
        case .diskFull(let path): "no space left on the disk of \(path): free some and run again; nothing is lost"
        case .file(let path, let reason): "\(path): \(reason)"
        case .stateInUse(let path, let pid):
            "state folder \(path) is in use\(pid.map { " by process \($0)" } ?? ""): stop it, or use another --state"
        case .noRun(let path): "\(path) holds no run: name the folder given to --state, or start a run first"
        case .notALedger(let path, let reason):
            "\(path) is damaged or no ledger (\(Self.oneLine(reason))): restore it or start over with --fresh"
        case .newerSchema(let path, let found, let known):
            "\(path) has schema \(found), this version knows up to \(known): install a newer pleach"
        case .olderSchema(let path, let found, let known):
            "\(path) has schema \(found), this version needs \(known): finish the run with the pleach that began it, "
                + "or start over with --fresh"
        case .unreadableRecord(let id, let kind):
            "ledger record \(id) ('\(kind)') cannot be read: restore the ledger or start over with --fresh"
        case .missingBlob(let digest, let path, let mend): "blob \(digest) is missing (\(path)): \(mend)"
        case .corruptBlob(let path, let mend):
            "\(path) is damaged (it does not match its digest) and was moved aside to \(path).corrupt: \(mend)"
        case .blobTooLong(let digest, let declared): "blob \(digest) is longer than the \(declared) bytes declared"
        case .wrongBlob(let expected, let found): "bytes declared as blob \(expected) are blob \(found)"
        }
    }
}
