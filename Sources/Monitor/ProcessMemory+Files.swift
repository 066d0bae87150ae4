import Foundation

extension ProcessMemory {
    /// Lets go of the pages of program and libraries that were needed only to start (initialisers, relocations). What is
    /// used again is mapped again from the system's page cache, at the price of a page fault.
    ///
    /// Harmless by construction: only mappings of files that nobody can write and of which no page was ever changed (the
    /// kernel counts such pages as `Anonymous`; relocated tables are among them) are dropped, so each holds exactly its
    /// file's bytes.
    public static func releaseUnusedFilePages() {
        guard let text = read("/proc/self/smaps") else { return }
        var mapping: (start: UInt, end: UInt)?
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ", omittingEmptySubsequences: true)
            if words.count >= 5, words[0].contains("-"), words[1].count == 4 {
                let ends = words[0].split(separator: "-").compactMap { UInt($0, radix: 16) }
                let isFile = words.count > 5 && words[5].hasPrefix("/") && words[4] != "0"
                mapping = isFile && ends.count == 2 && !words[1].contains("w") ? (ends[0], ends[1]) : nil
            } else if words.first == "Anonymous:", let found = mapping {
                mapping = nil
                guard words.count > 1, words[1] == "0", let start = UnsafeMutableRawPointer(bitPattern: found.start)
                else { continue }
                madvise(start, Int(found.end - found.start), MADV_DONTNEED)
            }
        }
    }

    /// A file of /proc, whose size nobody knows before its end.
    private static func read(_ path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var part = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = Foundation.read(descriptor, &part, part.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return count == 0 ? String(decoding: bytes, as: UTF8.self) : nil }
            bytes += part[..<count]
        }
    }
}
