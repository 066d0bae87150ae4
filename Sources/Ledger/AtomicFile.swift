import Tensors

/// Whole-file writes that survive a crash at any instant, with this target's errors (`AtomicReplacement`).
public enum AtomicFile {
    /// - Throws: `LedgerError` naming the path; nothing is left behind.
    public static func write(_ bytes: [UInt8], to path: String) throws(LedgerError) {
        do {
            try AtomicReplacement.write(bytes, to: path)
        } catch {
            throw .writing(error.path, errno: error.number)
        }
    }
}
