import Foundation

/// Whole-file writes that survive a crash at any instant: the old file or the new one, never a mixture.
enum DurableFile {
    /// Writes a temporary file beside `path`, syncs it, renames it over `path`, syncs the folder. A device or a pipe is written to
    /// as it is: /dev/stdout is to take the bytes, not to become a file.
    static func write(_ bytes: [UInt8], to path: String) throws(MonitorError) {
        var facts = stat()
        if stat(path, &facts) == 0, ![S_IFREG, S_IFDIR].contains(facts.st_mode & S_IFMT) {
            return try writeThrough(bytes, to: path)
        }
        let temporary = "\(path).\(getpid()).tmp"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw .file(path: path, operation: "write", errno: errno) }
        var failure = writeAll(bytes, to: descriptor)
        if failure == 0, fsync(descriptor) != 0 { failure = errno }
        if close(descriptor) != 0, failure == 0 { failure = errno }
        if failure == 0, rename(temporary, path) != 0 { failure = errno }
        guard failure == 0 else {
            unlink(temporary)
            throw .file(path: path, operation: "write", errno: failure)
        }
        // The rename itself must survive a power cut. A file system that cannot sync folders is no reason to fail.
        let parent = path.contains("/") ? (path as NSString).deletingLastPathComponent : "."
        let folder = open(parent.isEmpty ? "/" : parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else { return }
        fsync(folder)
        close(folder)
    }

    private static func writeThrough(_ bytes: [UInt8], to path: String) throws(MonitorError) {
        let descriptor = open(path, O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .file(path: path, operation: "write", errno: errno) }
        var failure = writeAll(bytes, to: descriptor)
        if close(descriptor) != 0, failure == 0 { failure = errno }
        guard failure == 0 else { throw .file(path: path, operation: "write", errno: failure) }
    }

    /// Writes everything; returns 0 or the errno.
    static func writeAll(_ bytes: [UInt8], to descriptor: Int32) -> Int32 {
        var offset = 0
        while offset < bytes.count {
            let written = bytes.withUnsafeBytes { buffer in
                Foundation.write(descriptor, buffer.baseAddress.map { $0 + offset }, buffer.count - offset)
            }
            if written < 0 {
                if errno == EINTR { continue }
                return errno
            }
            offset += written
        }
        return 0
    }
}
