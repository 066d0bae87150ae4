#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

/// Large pages for large buffers: the system clears 2 MiB at once instead of 512 times 4 KiB, which costs a codec more than
/// all its arithmetic. Only advice: where the system does not take it, nothing changes.
public enum LargePages {
    private static let pageByteCount = 2 << 20
    /// Smaller buffers are not worth a page's rest.
    private static let leastByteCount = 8 << 20

    /// Advises for the whole pages inside a buffer that was just allocated and not yet touched.
    public static func advise(_ start: UnsafeMutableRawPointer?, byteCount: Int) {
        guard let start, byteCount >= leastByteCount else { return }
        let first = (UInt(bitPattern: start) + UInt(pageByteCount - 1)) & ~UInt(pageByteCount - 1)
        let end = (UInt(bitPattern: start) + UInt(byteCount)) & ~UInt(pageByteCount - 1)
        guard first < end else { return }
        madvise(UnsafeMutableRawPointer(bitPattern: first), Int(end - first), MADV_HUGEPAGE)
    }
}
