#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

/// An accumulator's integers in pages of their own: zero, and not there, until they are touched. They are either given back
/// to the system as they are read for the last time, whatever the allocator would rather keep, or set to zero again for
/// the next round: having the system clear pages anew costs more than a round's folds.
public final class FoldMemory: @unchecked Sendable {
    // Written only by an accumulator that holds the one reference (`isKnownUniquelyReferenced`).
    let first: UnsafeMutablePointer<Int64>
    let count: Int
    private let byteCount: Int
    private var released = 0

    init(count: Int) {
        self.count = count
        byteCount = max(1, count) * MemoryLayout<Int64>.stride
        let memory = mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let memory, memory != MAP_FAILED else {
            fatalError("out of memory: an accumulator of \(byteCount) bytes cannot be had")
        }
        // A tenth of the page faults, where the system has large pages to give.
        madvise(memory, byteCount, MADV_HUGEPAGE)
        first = memory.bindMemory(to: Int64.self, capacity: max(1, count))
    }

    convenience init(copying other: FoldMemory) {
        self.init(count: other.count)
        precondition(other.released == 0, "a drained accumulator cannot be copied")
        first.update(from: other.first, count: count)
    }

    deinit { munmap(first, byteCount) }

    /// Makes elements 0 again, while they are still in the cache.
    func clear(_ range: Range<Int>) { (first + range.lowerBound).update(repeating: 0, count: range.count) }

    /// Gives back the whole 2 MiB stretches before element `end`, which nobody will read again.
    func release(before end: Int) {
        let stretch = 2 << 20
        let place = end * MemoryLayout<Int64>.stride / stretch * stretch
        guard place > released else { return }
        madvise(UnsafeMutableRawPointer(first) + released, place - released, MADV_DONTNEED)
        released = place
    }
}
