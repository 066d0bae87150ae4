import Foundation

/// Writes text to a descriptor and gives up where it takes none: a full disk behind standard error, or a reader that is gone,
/// ends no run. (Foundation's `FileHandle.write` traps there.)
public func writeText(_ text: String, to descriptor: Int32) {
    _ = DurableFile.writeAll(Array(text.utf8), to: descriptor)
}

/// One line on stderr.
@Sendable public func printWarning(_ text: String) {
    let prefix = JournalStream.isBehind(STDERR_FILENO) ? JournalStream.prefix(.warning) : ""
    writeText("\(prefix)warning: \(text)\n", to: STDERR_FILENO)
}
