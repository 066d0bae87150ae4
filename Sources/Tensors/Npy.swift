/// NumPy's array file: magic, version 1.0 to 3.0, a Python dictionary as text, then the elements.
///
/// Source: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html. Left out and refused: Fortran order,
/// big-endian elements, structured types, unsigned integers wider than a byte.
public enum Npy {
    /// The longest header accepted, in bytes.
    public static let headerByteLimit = 1 << 16

    private static let magic: [UInt8] = [0x93] + Array("NUMPY".utf8)

    /// Reads a file.
    /// - Throws: `TensorError.unreadableFile`, `.malformedFile`.
    public static func read(path: String) throws(TensorError) -> Tensor {
        try parse(try FileBytes.read(path: path), path: path)
    }

    /// Writes a file in one step.
    /// - Throws: `TensorError.unwritableFile`, and `.wrongElementType` for bfloat16, which NumPy does not have.
    public static func write(_ tensor: Tensor, path: String) throws(TensorError) {
        try FileBytes.write(try serialize(tensor, name: path), path: path)
    }

    /// Reads a file's bytes; `path` only serves messages.
    public static func parse(_ bytes: [UInt8], path: String) throws(TensorError) -> Tensor {
        let (header, dataStart) = try readHeader(bytes, path: path)
        let (type, shape) = try layout(header, dataCount: bytes.count - dataStart, path: path)
        let data = bytes[dataStart...]
        if type == .bool, let bad = data.first(where: { $0 > 1 }) {
            throw .malformedFile(path: path, reason: "a bool array holds the byte \(bad)")
        }
        return try Tensor(elementType: type, shape: shape, bytes: Array(data), name: path)
    }

    /// The bytes of a file's start that surely hold its header, if the file is valid and as long.
    static let headerEnd = 12 + headerByteLimit

    /// Reads the header from a file's start, which need not be the whole file.
    static func readHeader(
        _ start: [UInt8], path: String
    ) throws(TensorError) -> (header: NpyHeader, dataStart: Int) {
        guard start.count >= 10, start[..<6].elementsEqual(magic) else {
            throw .malformedFile(path: path, reason: "the file does not start with the npy magic")
        }
        guard (1...3).contains(start[6]), start[7] == 0 else {
            throw .malformedFile(
                path: path, reason: "npy version \(start[6]).\(start[7]) is unknown: 1.0, 2.0 or 3.0 is needed")
        }
        let lengthCount = start[6] == 1 ? 2 : 4
        guard start.count >= 8 + lengthCount else {
            throw .malformedFile(path: path, reason: "the file ends within its npy header")
        }
        let length = start[8..<8 + lengthCount].reversed().reduce(0) { $0 << 8 | Int($1) }
        let dataStart = 8 + lengthCount + length
        guard length <= headerByteLimit, dataStart <= start.count else {
            throw .malformedFile(
                path: path, reason: "npy header length \(length) exceeds the file or the limit of \(headerByteLimit)")
        }
        do { return (try NpyHeader(parsing: start[8 + lengthCount..<dataStart]), dataStart) } catch {
            throw .malformedFile(path: path, reason: error.reason)
        }
    }

    /// The canonical bytes of a tensor: version 1.0, data aligned to 64 bytes.
    public static func serialize(_ tensor: Tensor, name: String = "") throws(TensorError) -> [UInt8] {
        guard let descriptor = tensor.elementType.npyDescriptor else {
            throw .wrongElementType(name: name, expected: .float32, found: tensor.elementType)
        }
        let extents = tensor.shape.dimensions.map(String.init).joined(separator: ", ")
        let tuple = tensor.shape.rank == 1 ? "(\(extents),)" : "(\(extents))"
        var header = Array("{'descr': '\(descriptor)', 'fortran_order': False, 'shape': \(tuple), }".utf8)
        while (10 + header.count + 1) % 64 != 0 { header.append(UInt8(ascii: " ")) }
        header.append(UInt8(ascii: "\n"))
        let length = [UInt8(truncatingIfNeeded: header.count), UInt8(truncatingIfNeeded: header.count >> 8)]
        return magic + [1, 0] + length + header + tensor.bytes
    }

    /// Type and shape of a file whose header is followed by `dataCount` bytes.
    static func layout(
        _ header: NpyHeader, dataCount: Int, path: String
    ) throws(TensorError) -> (ElementType, Shape) {
        guard let type = ElementType.allCases.first(where: { $0.npyDescriptor == header.descriptor }) else {
            let known = ElementType.allCases.compactMap(\.npyDescriptor).joined(separator: " ")
            throw .malformedFile(
                path: path, reason: "npy element type '\(header.descriptor)' is not supported (supported: \(known))")
        }
        return (type, try shape(header, elementBytes: type.byteCount, dataCount: dataCount, path: path))
    }

    /// The shape, when elements of `elementBytes` bytes fill exactly `dataCount` bytes in row-major order.
    static func shape(
        _ header: NpyHeader, elementBytes: Int, dataCount: Int, path: String
    ) throws(TensorError) -> Shape {
        guard let shape = try? Shape(header.dimensions) else {
            throw .malformedFile(path: path, reason: "npy shape \(header.dimensions) is invalid")
        }
        guard !header.isFortranOrder || shape.rank <= 1 else {
            throw .malformedFile(
                path: path, reason: "the array is in Fortran order: save numpy.ascontiguousarray(x) instead")
        }
        let (size, overflow) = shape.elementCount.multipliedReportingOverflow(by: elementBytes)
        guard !overflow, size == dataCount else {
            throw .malformedFile(
                path: path, reason: "shape \(shape) of \(header.descriptor) does not fit the \(dataCount) data bytes")
        }
        return shape
    }
}

extension ElementType {
    /// NumPy's descriptor of this type, or nil when NumPy has none.
    var npyDescriptor: String? {
        switch self {
        case .float32: "<f4"
        case .float16: "<f2"
        case .bfloat16: nil
        case .float64: "<f8"
        case .int8: "|i1"
        case .uint8: "|u1"
        case .int16: "<i2"
        case .int32: "<i4"
        case .int64: "<i8"
        case .bool: "|b1"
        }
    }
}
