import Foundation

/// Reads what a log gained, for the names of its events.
struct LogWatch {
    private let path: String
    private var offset: off_t

    /// Starts at the end of the file as it is now.
    init(_ path: String) {
        self.path = path
        var facts = stat()
        offset = stat(path, &facts) == 0 ? facts.st_size : 0
    }

    /// Whether one of the events was written since the last look.
    mutating func saw(_ event: String) -> Bool {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 64 << 10)
        let got = pread(descriptor, &bytes, bytes.count, offset)
        guard got > 0, let end = bytes[..<got].lastIndex(of: UInt8(ascii: "\n")) else { return false }
        offset += off_t(end + 1)
        return String(decoding: bytes[...end], as: UTF8.self).contains("\"event\":\"\(event)\"")
    }
}
