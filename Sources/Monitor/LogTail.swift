import Foundation

/// Reads the lines of one log as they come, across rotations, each exactly once.
///
/// Holds the file open, so lines that were written between the last look and a rotation are not lost. Not thread-safe:
/// one reader, one tail.
final class LogTail {
    enum Line: Equatable {
        case complete([UInt8])
        /// Longer than `longestLine`, without an end when its file was rotated away, or a file that is none.
        case unreadable(reason: String)
    }

    private static let longestLine = 1 << 20
    private static let oldestGeneration = 64

    private let path: String
    private var descriptor: Int32 = -1
    private var identity: Identity?
    private var offset = 0
    private var partial: [UInt8] = []
    private var isSkipping = false

    private struct Identity: Equatable {
        var device: UInt64
        var inode: UInt64
        /// A pipe's number may become a file's when the pipe is gone: nothing holds it open.
        var isRegular: Bool
    }

    init(path: String) { self.path = path }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// What came since the last look, oldest first.
    func poll() -> [Line] {
        var lines: [Line] = []
        // Everything that is newer than the file in hand, from the newest back: a rotation meanwhile can only show a
        // file twice, which the identity check undoes, and never hide one.
        let files = newerFiles()
        if descriptor >= 0 { drain(into: &lines) }
        for file in files.reversed() {
            if descriptor >= 0 {
                endOfFile(into: &lines)
                close(descriptor)
            }
            (descriptor, identity, offset) = (file.descriptor, file.identity, 0)
            guard descriptor >= 0 else {
                lines.append(.unreadable(reason: "this is no regular file"))
                continue
            }
            drain(into: &lines)
        }
        return lines
    }

    /// What stands after the last newline: a line that is being written, or was cut by a crash.
    var unfinished: [UInt8] { partial }

    /// A descriptor of -1 stands for what cannot be read to an end: a pipe, a device.
    private func newerFiles() -> [(descriptor: Int32, identity: Identity)] {
        var files: [(descriptor: Int32, identity: Identity)] = []
        var gaps = 0
        for generation in 0...Self.oldestGeneration {
            // A pipe of that name, in a folder that came from elsewhere, would wait for a writer for ever.
            let opened = open(LogFileName.path(path, generation: generation), O_RDONLY | O_CLOEXEC | O_NONBLOCK)
            if opened < 0 {
                // While the writer rotates, one generation is missing for an instant.
                gaps += 1
                if gaps > 1 { break } else { continue }
            }
            var facts = stat()
            guard fstat(opened, &facts) == 0 else {
                close(opened)
                break
            }
            let found = Identity(
                device: UInt64(facts.st_dev), inode: UInt64(facts.st_ino),
                isRegular: facts.st_mode & S_IFMT == S_IFREG)
            if found == identity {
                close(opened)
                break
            }
            if files.last?.identity == found {
                close(opened)
            } else if found.isRegular {
                files.append((opened, found))
            } else {
                close(opened)
                files.append((-1, found))
            }
        }
        return files
    }

    /// Reads to the end of the file in hand.
    private func drain(into lines: inout [Line]) {
        var facts = stat()
        if fstat(descriptor, &facts) == 0, facts.st_size < offset {
            // Somebody emptied the file: start over.
            (offset, partial, isSkipping) = (0, [], false)
        }
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = pread(descriptor, &buffer, buffer.count, off_t(offset))
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return }
            offset += count
            split(buffer[..<count], into: &lines)
        }
    }

    private func split(_ bytes: ArraySlice<UInt8>, into lines: inout [Line]) {
        var rest = bytes
        while let end = Self.lineEnd(in: rest) {
            if isSkipping {
                isSkipping = false
            } else {
                partial += rest[..<end]
                if !partial.isEmpty { lines.append(.complete(partial)) }
            }
            partial = []
            rest = rest[(end + 1)...]
        }
        if !isSkipping { partial += rest }
        if partial.count > Self.longestLine {
            lines.append(.unreadable(reason: "a line is longer than \(Self.longestLine) bytes"))
            partial = []
            isSkipping = true
        }
    }

    /// A line may be as long as the disk: looked for by the C library, many bytes at a time.
    private static func lineEnd(in bytes: ArraySlice<UInt8>) -> Int? {
        bytes.withUnsafeBytes { buffer in
            guard let start = buffer.baseAddress, let found = memchr(start, 0x0A, buffer.count) else { return nil }
            return bytes.startIndex + (UnsafeRawPointer(found) - start)
        }
    }

    private func endOfFile(into lines: inout [Line]) {
        if !partial.isEmpty { lines.append(.unreadable(reason: "the last line of a file is cut")) }
        partial = []
        isSkipping = false
    }
}
