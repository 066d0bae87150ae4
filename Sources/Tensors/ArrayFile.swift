/// One array in a file: its header is read and checked when it is opened, its elements when they are asked for.
///
/// The file may be larger than memory. A file that is too short for its header's claims is refused at once; one that is
/// cut short later fails at the read that misses something.
public struct ArrayFile: Sendable {
    /// The tensor's name in its file; empty for npy.
    public let name: String
    public let elementType: ElementType
    public let shape: Shape
    private let file: RandomAccessFile
    private let start: Int

    public var path: String { file.path }

    /// Bytes of one row, a slice along the first axis; 0 where the array holds no elements, whose other extents may multiply
    /// to more than a number holds. Precondition: the rank is at least 1.
    public var rowByteCount: Int {
        shape.elementCount == 0 ? 0 : shape.elementCount / shape[0] * elementType.byteCount
    }

    /// Opens an npy file.
    /// - Throws: as `Npy.read`.
    public static func npy(path: String) throws(TensorError) -> ArrayFile {
        let file = try RandomAccessFile(path: path)
        let (header, dataStart) = try Npy.readHeader(file.bytes(0..<min(file.byteCount, Npy.headerEnd)), path: path)
        let (type, shape) = try Npy.layout(header, dataCount: file.byteCount - dataStart, path: path)
        return ArrayFile(name: "", elementType: type, shape: shape, file: file, start: dataStart)
    }

    /// Opens a safetensors file: its tensors in the order of their bytes.
    /// - Throws: as `Safetensors.read`.
    public static func safetensors(path: String) throws(TensorError) -> [ArrayFile] {
        let file = try RandomAccessFile(path: path)
        let lengthBytes = try file.bytes(0..<min(file.byteCount, 8))
        let length = lengthBytes.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        // A length beyond the limit is refused by the header's reader, which sees it in the first bytes.
        let end = length <= UInt64(Safetensors.headerByteLimit) ? min(file.byteCount, 8 + Int(length)) : 8
        let start = try file.bytes(0..<min(file.byteCount, end))
        let header = try Safetensors.readHeader(byteCount: file.byteCount, path: path) { start[$0] }
        return header.entries.map { entry in
            ArrayFile(
                name: entry.name, elementType: entry.elementType, shape: entry.shape, file: file,
                start: header.dataStart + entry.begin)
        }
    }

    /// Copies the elements of consecutive rows. Precondition: the rows exist and `target` has exactly their bytes.
    /// - Throws: `TensorError.unreadableFile`.
    public func read(rows: Range<Int>, into target: UnsafeMutableRawBufferPointer) throws(TensorError) {
        precondition(
            rows.lowerBound >= 0 && rows.upperBound <= shape[0] && target.count == rows.count * rowByteCount,
            "rows \(rows) of \(shape) into \(target.count) bytes")
        try file.read(at: start + rows.lowerBound * rowByteCount, into: target)
    }

    /// The whole array in memory.
    /// - Throws: `TensorError.unreadableFile`, `.malformedFile` for a Bool that is neither 0 nor 1.
    public func tensor() throws(TensorError) -> Tensor {
        let bytes = try file.bytes(start..<start + shape.elementCount * elementType.byteCount)
        if elementType == .bool, let bad = bytes.first(where: { $0 > 1 }) {
            throw .malformedFile(path: path, reason: "a bool array holds the byte \(bad)")
        }
        return try Tensor(elementType: elementType, shape: shape, bytes: bytes, name: name)
    }
}
