import Foundation

/// Memory that ends exactly where an inaccessible page begins: a kernel that reads or writes behind the end crashes the
/// test, with or without a sanitizer. Elements are as unaligned as their size allows.
final class Guarded<Element: BitwiseCopyable> {
    let base: UnsafeMutablePointer<Element>
    let count: Int
    private let mapping: UnsafeMutableRawPointer
    private let mapped: Int

    init(_ values: [Element]) {
        count = values.count
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        let bytes = count * MemoryLayout<Element>.stride
        let usable = (bytes + page - 1) / page * page
        mapped = usable + page
        guard
            let start = mmap(nil, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
            start != MAP_FAILED, mprotect(start + usable, page, PROT_NONE) == 0
        else { preconditionFailure("no memory for \(bytes) guarded bytes") }
        mapping = start
        base = (start + usable - bytes).bindMemory(to: Element.self, capacity: count)
        for (index, value) in values.enumerated() { base[index] = value }
    }

    convenience init(repeating value: Element, count: Int) { self.init([Element](repeating: value, count: count)) }

    deinit { munmap(mapping, mapped) }

    var array: [Element] { Array(UnsafeBufferPointer(start: base, count: count)) }
}
