import Tensors

/// Whole-file writes that survive a crash at any instant, with this target's errors (`AtomicReplacement`).
public enum AtomicFile {
    /// - Throws: `LedgerError` naming the path; nothing is left behind.
    public static func write(_ bytes: [UInt8], to path: String) throws(LedgerError) {
        try write(to: path) { $0(bytes) }
    }

    /// The same for bytes that come in pieces (`AtomicReplacement.write`).
    public static func write(to path: String, _ body: (_ append: ([UInt8]) -> Void) -> Void) throws(LedgerError) {
        do {
            try AtomicReplacement.write(to: path, body)
        } catch {
            throw .writing(error.path, errno: error.number)
        }
    }
}
