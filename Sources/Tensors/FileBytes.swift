#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

/// Whole files as bytes, with errors that name the path and the system's reason.
public enum FileBytes {
    /// The largest file `read` accepts unless told otherwise: 64 GiB.
    public static let defaultByteLimit = 64 << 30

    /// All bytes of a regular file.
    /// - Throws: `TensorError.unreadableFile`, also for folders and for files above `byteLimit`.
    public static func read(path: String, byteLimit: Int = defaultByteLimit) throws(TensorError) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw failure(path) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw failure(path) }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw .unreadableFile(path: path, reason: "it is not a regular file")
        }
        let size = Int(status.st_size)
        guard size <= byteLimit else {
            throw .unreadableFile(path: path, reason: "it has \(size) bytes, more than the limit of \(byteLimit)")
        }
        var errorNumber: Int32 = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, filled in
            while filled < size {
                let count = systemRead(descriptor, buffer.baseAddress.unsafelyUnwrapped + filled, size - filled)
                if count < 0, errno == EINTR { continue }
                if count < 0 { errorNumber = errno }
                guard count > 0 else { return }
                filled += count
            }
        }
        guard errorNumber == 0 else { throw failure(path, errorNumber) }
        guard bytes.count == size else {
            throw .unreadableFile(path: path, reason: "it shrank to \(bytes.count) of \(size) bytes while being read")
        }
        return bytes
    }

    /// Replaces `path` in one step: readers and crashes see the old file or the new one, never a part.
    /// - Throws: `TensorError.unwritableFile`.
    public static func write(_ bytes: [UInt8], path: String) throws(TensorError) {
        do {
            try AtomicReplacement.write(bytes, to: path)
        } catch {
            throw .unwritableFile(path: path, reason: error.reason)
        }
    }

    /// Whether `path` names a regular file (through symbolic links).
    public static func exists(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
    }

    /// Whether `path` names a folder (through symbolic links).
    public static func isFolder(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    /// The names in a folder, without `.` and `..`, in the order of their bytes.
    /// - Throws: `TensorError.unreadableFile`.
    public static func names(inFolder path: String) throws(TensorError) -> [String] {
        guard let folder = opendir(path) else { throw failure(path) }
        defer { closedir(folder) }
        var names: [String] = []
        errno = 0
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
            errno = 0
        }
        guard errno == 0 else { throw failure(path) }
        return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    private static func failure(_ path: String, _ number: Int32 = errno) -> TensorError {
        .unreadableFile(path: path, reason: systemReason(number))
    }

    private static func systemReason(_ number: Int32) -> String { String(cString: strerror(number)) }
}

// The static method above hides the system call of the same name.
private func systemRead(_ descriptor: Int32, _ target: UnsafeMutableRawPointer, _ count: Int) -> Int {
    read(descriptor, target, count)
}
