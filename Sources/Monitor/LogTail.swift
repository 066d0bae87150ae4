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
    private static let pieceByteCount = 1 << 16

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

    /// Files newer than the one in hand, the newest first.
    private var newer: [(descriptor: Int32, identity: Identity)] = []
    /// What the last piece of the file held, and how many of these lines were handed out.
    private var lines: [Line] = []
    private var handedOut = 0

    init(path: String) { self.path = path }

    deinit {
        if descriptor >= 0 { close(descriptor) }
        closeNewer()
    }

    /// Finds out which files there are now; `next` reads them to their ends.
    func look() {
        closeNewer()
        // Everything that is newer than the file in hand, from the newest back: a rotation meanwhile can only show a
        // file twice, which the identity check undoes, and never hide one.
        newer = newerFiles()
        var facts = stat()
        if descriptor >= 0, fstat(descriptor, &facts) == 0, facts.st_size < offset {
            // Somebody emptied the file: start over.
            (offset, partial, isSkipping) = (0, [], false)
        }
    }

    /// The next line that came since, oldest first; nil when all were handed out. Holds one piece of one file, however
    /// long the log is.
    func next() -> Line? {
        while handedOut == lines.count {
            lines.removeAll(keepingCapacity: true)
            handedOut = 0
            guard readPiece() || takeNextFile() else { return nil }
        }
        defer { handedOut += 1 }
        return lines[handedOut]
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

    private func closeNewer() {
        for file in newer where file.descriptor >= 0 { close(file.descriptor) }
        newer = []
    }

    /// False when there is none.
    private func takeNextFile() -> Bool {
        guard let file = newer.popLast() else { return false }
        if descriptor >= 0 {
            endOfFile()
            close(descriptor)
        }
        (descriptor, identity, offset) = (file.descriptor, file.identity, 0)
        if descriptor < 0 { lines.append(.unreadable(reason: "this is no regular file")) }
        return true
    }

    /// False at the end of the file in hand.
    private func readPiece() -> Bool {
        guard descriptor >= 0 else { return false }
        let piece = [UInt8](unsafeUninitializedCapacity: Self.pieceByteCount) { buffer, count in
            var got: Int
            repeat {
                got = pread(descriptor, buffer.baseAddress, buffer.count, off_t(offset))
            } while got < 0 && errno == EINTR
            count = max(0, got)
        }
        offset += piece.count
        split(piece[...])
        return !piece.isEmpty
    }

    private func split(_ bytes: ArraySlice<UInt8>) {
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

    private func endOfFile() {
        if !partial.isEmpty { lines.append(.unreadable(reason: "the last line of a file is cut")) }
        partial = []
        isSkipping = false
    }
}
