import Tensors

/// The bytes of a container: in memory, or in a mapped file of which only the part in use costs memory.
struct ByteRegion: Sendable {
    private enum Storage {
        case array([UInt8])
        case mapped(MappedFile)
    }

    private let storage: Storage

    init(_ bytes: [UInt8]) { storage = .array(bytes) }
    init(_ file: MappedFile) { storage = .mapped(file) }

    var count: Int {
        switch storage {
        case .array(let bytes): bytes.count
        case .mapped(let file): file.byteCount
        }
    }

    subscript(index: Int) -> UInt8 {
        switch storage {
        case .array(let bytes): bytes[index]
        case .mapped(let file):
            file.withBytes { bytes in
                precondition(bytes.indices.contains(index), "byte \(index) of \(bytes.count)")
                return bytes[index]
            }
        }
    }

    /// A copy of some bytes.
    subscript(range: Range<Int>) -> [UInt8] {
        switch storage {
        case .array(let bytes): Array(bytes[range])
        case .mapped(let file):
            file.withBytes { bytes in
                precondition(range.upperBound <= bytes.count, "bytes \(range) of \(bytes.count)")
                return Array(bytes[range])
            }
        }
    }

    /// All bytes, valid only during `body`.
    func withUnsafeBufferPointer<Result, Failure: Error>(
        _ body: (UnsafeBufferPointer<UInt8>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        switch storage {
        case .array(let bytes): try bytes.withUnsafeBufferPointer(body)
        case .mapped(let file):
            try file.withBytes { (bytes) throws(Failure) in try body(bytes.assumingMemoryBound(to: UInt8.self)) }
        }
    }

    /// Where the bytes begin, valid only during `body`. Precondition: there are some.
    func withBody<Result, Failure: Error>(
        _ body: (UnsafePointer<UInt8>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try withUnsafeBufferPointer { (bytes) throws(Failure) in
            guard let first = bytes.baseAddress else { preconditionFailure("a container without bytes was accepted") }
            return try body(first)
        }
    }

    /// Tells that these bytes are not needed for now.
    func release(_ range: Range<Int>) {
        if case .mapped(let file) = storage { file.release(range) }
    }

    /// Tells that no bytes are needed for now.
    func release() { release(0..<count) }
}
