/// A file of token ids, one after another: npy of rank 1, or the bare little-endian numbers.
public struct TokenArray: Sendable {
    /// How one id is stored; little-endian.
    public enum Format: String, Sendable, CaseIterable {
        case uint8, uint16, uint32, int32, int64

        var byteCount: Int {
            switch self {
            case .uint8: 1
            case .uint16: 2
            case .uint32, .int32: 4
            case .int64: 8
            }
        }

        fileprivate var npyDescriptor: String {
            switch self {
            case .uint8: "|u1"
            case .uint16: "<u2"
            case .uint32: "<u4"
            case .int32: "<i4"
            case .int64: "<i8"
            }
        }
    }

    public let format: Format
    /// How many ids there are.
    public let count: Int
    private let file: RandomAccessFile
    private let start: Int

    /// Opens a file. Without `format` it is npy; with one its bytes are the ids and nothing else.
    /// - Throws: `TensorError.unreadableFile`, `.malformedFile`.
    public init(path: String, format: Format?) throws(TensorError) {
        file = try RandomAccessFile(path: path)
        if let format {
            guard file.byteCount % format.byteCount == 0 else {
                throw .malformedFile(
                    path: path, reason: "\(file.byteCount) bytes are no whole number of \(format.rawValue) ids")
            }
            self.format = format
            start = 0
            count = file.byteCount / format.byteCount
            return
        }
        let (header, dataStart) = try Npy.readHeader(file.bytes(0..<min(file.byteCount, Npy.headerEnd)), path: path)
        guard let format = Format.allCases.first(where: { $0.npyDescriptor == header.descriptor }) else {
            let known = Format.allCases.map(\.npyDescriptor).joined(separator: " ")
            throw .malformedFile(
                path: path, reason: "ids of npy type '\(header.descriptor)' are not supported (supported: \(known))")
        }
        let shape = try Npy.shape(
            header, elementBytes: format.byteCount, dataCount: file.byteCount - dataStart, path: path)
        guard shape.rank == 1 else {
            throw .malformedFile(path: path, reason: "ids have shape \(shape); one axis is needed")
        }
        self.format = format
        start = dataStart
        count = shape[0]
    }

    /// The ids at `range` as 64-bit integers. Precondition: the range lies in `0..<count`.
    /// - Throws: `TensorError.unreadableFile`.
    public func ids(_ range: Range<Int>) throws(TensorError) -> [Int64] {
        precondition(range.lowerBound >= 0 && range.upperBound <= count, "ids \(range) of \(count)")
        let size = format.byteCount
        let bytes = try file.bytes(start + range.lowerBound * size..<start + range.upperBound * size)
        return bytes.withUnsafeBytes { bytes in
            switch format {
            case .uint8: Self.widened(bytes, UInt8.self)
            case .uint16: Self.widened(bytes, UInt16.self)
            case .uint32: Self.widened(bytes, UInt32.self)
            case .int32: Self.widened(bytes, Int32.self)
            case .int64: Self.widened(bytes, Int64.self)
            }
        }
    }

    private static func widened<Element: FixedWidthInteger & BitwiseCopyable>(
        _ bytes: UnsafeRawBufferPointer, _ type: Element.Type
    ) -> [Int64] {
        let size = MemoryLayout<Element>.size
        return (0..<bytes.count / size).map { index in
            Int64(truncatingIfNeeded: bytes.loadUnaligned(fromByteOffset: index * size, as: type))
        }
    }
}
