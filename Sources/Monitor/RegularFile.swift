import Foundation

/// Reads files that somebody else may have put there: a pipe would wait for its writer for ever, and a device never ends.
enum RegularFile {
    /// The file's bytes.
    /// - Returns: nil for what is no regular file or holds more than `limit` bytes.
    /// - Throws: `MonitorError.file` for what cannot be opened or read.
    static func read(_ path: String, limit: Int) throws(MonitorError) -> Data? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw .file(path: path, operation: "read", errno: errno) }
        defer { close(descriptor) }
        var facts = stat()
        guard fstat(descriptor, &facts) == 0 else { throw .file(path: path, operation: "read", errno: errno) }
        guard facts.st_mode & S_IFMT == S_IFREG, facts.st_size <= limit else { return nil }
        var data = Data()
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = Foundation.read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw .file(path: path, operation: "read", errno: errno) }
            guard count > 0 else { return data }
            data.append(contentsOf: buffer[..<count])
            // It may have grown meanwhile.
            guard data.count <= limit else { return nil }
        }
    }
}
