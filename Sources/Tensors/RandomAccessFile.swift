#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

/// An open file that is read at any place, by any number of threads at once.
///
/// Data sets larger than memory are read this way and not mapped: when a mapped file shrinks the kernel kills whoever reads
/// it, here the read fails with an error that names the file. What was read before is in the system's page cache either way.
public final class RandomAccessFile: Sendable {
    public let path: String
    /// The size when it was opened.
    public let byteCount: Int
    private let descriptor: Int32

    /// Opens a regular file.
    /// - Throws: `TensorError.unreadableFile`.
    public init(path: String) throws(TensorError) {
        // Without waiting: a pipe would have us wait for somebody to write into it.
        descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            throw .unreadableFile(path: path, reason: String(cString: strerror(errno)))
        }
        self.path = path
        var facts = stat()
        guard fstat(descriptor, &facts) == 0, facts.st_mode & S_IFMT == S_IFREG else {
            close(descriptor)
            throw .unreadableFile(path: path, reason: "it is not a regular file")
        }
        byteCount = Int(facts.st_size)
    }

    deinit { close(descriptor) }

    /// Fills `target` with the bytes from `offset` on.
    /// - Throws: `TensorError.unreadableFile`, also when the file ends before `target` is full.
    public func read(at offset: Int, into target: UnsafeMutableRawBufferPointer) throws(TensorError) {
        var filled = 0
        while filled < target.count {
            guard let base = target.baseAddress else { return }
            let count = pread(descriptor, base + filled, target.count - filled, off_t(offset + filled))
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw .unreadableFile(path: path, reason: String(cString: strerror(errno))) }
            guard count > 0 else {
                throw .unreadableFile(
                    path: path, reason: "it was cut short: nothing stands at byte \(offset + filled) of \(byteCount)")
            }
            filled += count
        }
    }

    /// The bytes in `range`.
    public func bytes(_ range: Range<Int>) throws(TensorError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: range.count)
        var failure: TensorError?
        bytes.withUnsafeMutableBytes { target in
            do throws(TensorError) { try read(at: range.lowerBound, into: target) } catch { failure = error }
        }
        if let failure { throw failure }
        return bytes
    }
}
