/// A mapped safetensors file: its header is read and checked, its tensors are read one at a time.
public struct SafetensorsFile: Sendable {
    /// One tensor's place.
    public struct Entry: Sendable {
        public let name: String
        public let elementType: ElementType
        public let shape: Shape
        let range: Range<Int>
    }

    /// In the order of their bytes.
    public let entries: [Entry]
    public let metadata: [String: String]
    private let file: MappedFile
    private let path: String
    private let places: [String: Int]

    /// - Parameter path: for messages.
    /// - Throws: as `Safetensors.parse`.
    public init(_ file: MappedFile, path: String) throws(TensorError) {
        let header = try Safetensors.readHeader(byteCount: file.byteCount, path: path) { range in
            file.withBytes { Array($0[range])[...] }
        }
        entries = header.entries.map { entry in
            Entry(
                name: entry.name, elementType: entry.elementType, shape: entry.shape,
                range: header.dataStart + entry.begin..<header.dataStart + entry.end)
        }
        metadata = header.metadata
        places = Dictionary(uniqueKeysWithValues: entries.enumerated().map { ($1.name, $0) })
        self.file = file
        self.path = path
    }

    /// A copy of one tensor, or nil; the file's own pages are released.
    /// - Throws: `TensorError.malformedFile` for a Bool that is neither 0 nor 1.
    public func tensor(_ name: String) throws(TensorError) -> Tensor? {
        guard let entry = places[name].map({ entries[$0] }) else { return nil }
        let bytes = file.withBytes { Array($0[entry.range]) }
        file.release(entry.range)
        // A Bool in memory may only be 0 or 1; another byte would be undefined behaviour in whoever views it.
        if entry.elementType == .bool, let bad = bytes.first(where: { $0 > 1 }) {
            throw .malformedFile(path: path, reason: "tensor '\(name)' of type BOOL holds the byte \(bad)")
        }
        return try Tensor(elementType: entry.elementType, shape: entry.shape, bytes: bytes, name: name)
    }

    public func shape(of name: String) -> Shape? { places[name].map { entries[$0].shape } }

    /// Adds float32 elements `start`, `start + 1`, ... of a tensor to `target`, in place.
    /// - Returns: false when there is no such tensor, or none of float32 with those elements.
    public func add(_ name: String, from start: Int, to target: UnsafeMutableBufferPointer<Float>) -> Bool {
        guard let entry = places[name].map({ entries[$0] }), entry.elementType == .float32, start >= 0,
            target.count <= entry.shape.elementCount, start <= entry.shape.elementCount - target.count
        else { return false }
        let first = entry.range.lowerBound + 4 * start
        file.withBytes { bytes in
            // Data begin at a multiple of 8 in our own files, but nowhere in particular in others'.
            var index = 0
            if let values = bytes.baseAddress.map({ $0 + first }), let elements = target.baseAddress {
                let elements = UnsafeMutableRawPointer(elements)
                while index + 8 <= target.count {
                    let sum =
                        elements.loadUnaligned(fromByteOffset: 4 * index, as: SIMD8<Float>.self)
                        + values.loadUnaligned(fromByteOffset: 4 * index, as: SIMD8<Float>.self)
                    elements.storeBytes(of: sum, toByteOffset: 4 * index, as: SIMD8<Float>.self)
                    index += 8
                }
            }
            while index < target.count {
                target[index] += bytes.loadUnaligned(fromByteOffset: first + 4 * index, as: Float.self)
                index += 1
            }
        }
        file.release(first..<first + 4 * target.count)
        return true
    }
}
