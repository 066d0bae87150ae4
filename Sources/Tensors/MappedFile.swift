#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

/// A file's bytes, mapped read-only: read like an array, but they cost memory only while they are in use.
///
/// Whoever walks through a large file releases what lies behind, so that its pages leave the process (they stay in the
/// system's page cache). The file must not be cut short while it is mapped: the kernel ends a process that reads beyond a
/// mapped file's end. Files of a state folder are never shortened, only replaced or removed, which a mapping survives.
public final class MappedFile: Sendable {
    public let byteCount: Int
    // Read-only memory that lives as long as this object.
    private nonisolated(unsafe) let base: UnsafeMutableRawPointer?

    /// Maps the whole of an open file; the descriptor may be closed afterwards.
    /// - Throws: `FileFault`.
    public init(descriptor: Int32, byteCount: Int, path: String) throws(FileFault) {
        self.byteCount = byteCount
        guard byteCount > 0 else {
            base = nil
            return
        }
        guard let memory = mmap(nil, byteCount, PROT_READ, MAP_SHARED, descriptor, 0), memory != MAP_FAILED else {
            throw FileFault(path: path, number: errno)
        }
        madvise(memory, byteCount, MADV_SEQUENTIAL)
        base = memory
    }

    /// Maps a file by its path.
    public convenience init(path: String) throws(FileFault) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw FileFault(path: path, number: errno) }
        defer { close(descriptor) }
        var facts = stat()
        guard fstat(descriptor, &facts) == 0 else { throw FileFault(path: path, number: errno) }
        try self.init(descriptor: descriptor, byteCount: Int(facts.st_size), path: path)
    }

    deinit { if let base { munmap(base, byteCount) } }

    /// All bytes; valid only during `body`.
    public func withBytes<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(UnsafeRawBufferPointer(start: base, count: byteCount))
    }

    /// Lets go of the memory of the whole pages within a range; reading them again is no error, only slower.
    public func release(_ range: Range<Int>) {
        let page = 4096
        let first = (max(range.lowerBound, 0) + page - 1) / page * page
        let end = range.upperBound >= byteCount ? byteCount : range.upperBound / page * page
        guard let base, first < end else { return }
        madvise(base + first, end - first, MADV_DONTNEED)
    }

    /// Lets go of everything.
    public func release() { release(0..<byteCount) }
}

/// A system call on a file that failed.
public struct FileFault: Error, Sendable, Equatable {
    public var path: String
    public var number: Int32

    public init(path: String, number: Int32) {
        self.path = path
        self.number = number
    }

    public var reason: String { String(cString: strerror(number)) }
}
