#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

/// Whole-file writes that survive a crash at any instant: the old file or the new one, never a mixture.
public enum AtomicReplacement {
    /// Writes to a temporary file beside `path`, syncs it, renames it over `path` and syncs the folder.
    /// - Throws: `FileFault` naming `path`; the temporary file is removed.
    public static func write(_ bytes: [UInt8], to path: String) throws(FileFault) {
        try write(to: path) { $0(bytes) }
    }

    /// The same for bytes that come in pieces: `body` passes each to what it is given. Once one could not be written, the
    /// others are dropped.
    public static func write(to path: String, _ body: (_ append: ([UInt8]) -> Void) -> Void) throws(FileFault) {
        var status = stat()
        // A rename would put a plain file in the place of a device or a pipe.
        guard stat(path, &status) != 0 || status.st_mode & S_IFMT == S_IFREG else {
            throw FileFault(path: path, number: status.st_mode & S_IFMT == S_IFDIR ? EISDIR : ENOTSUP)
        }
        let temporary = "\(path).\(getpid()).tmp"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw FileFault(path: path, number: errno) }
        var failure: Int32 = 0
        body { piece in
            if failure == 0 { failure = piece.withUnsafeBytes { writeAll($0, to: descriptor) } }
        }
        if failure == 0, fsync(descriptor) != 0 { failure = errno }
        if close(descriptor) != 0, failure == 0 { failure = errno }
        if failure == 0, rename(temporary, path) != 0 { failure = errno }
        guard failure == 0 else {
            unlink(temporary)
            throw FileFault(path: path, number: failure)
        }
        syncFolder(of: path)
    }

    /// Writes all of a buffer at the descriptor's place, whatever the system does in one call.
    /// - Returns: 0, or the error number.
    public static func writeAll(_ buffer: UnsafeRawBufferPointer, to descriptor: Int32) -> Int32 {
        var offset = 0
        while offset < buffer.count, let base = buffer.baseAddress {
            let count = systemWrite(descriptor, base + offset, buffer.count - offset)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return count < 0 ? errno : EIO }
            offset += count
        }
        return 0
    }

    /// Makes a rename durable. A folder that cannot be opened is not an error: the data itself is on disk.
    public static func syncFolder(of path: String) {
        let cut = path.lastIndex(of: "/")
        let folder = cut.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        fsync(descriptor)
        close(descriptor)
    }
}

// The static method above hides the system call of the same name.
private func systemWrite(_ descriptor: Int32, _ source: UnsafeRawPointer, _ count: Int) -> Int {
    write(descriptor, source, count)
}
