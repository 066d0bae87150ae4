/// The IDX file format of the MNIST family: big-endian magic 0, 0, type, rank, then the extents, then the elements.
///
/// Source: http://yann.lecun.com/exdb/mnist. Only unsigned bytes (type 0x08), which all published sets use; a file that
/// is compressed with gzip is recognised by its first bytes, whatever its name.
public enum Idx {
    /// The most extents accepted.
    public static let rankLimit = 8

    /// The largest content accepted, in bytes.
    public static let contentByteLimit = 16 << 30

    /// Reads a file as a uint8 tensor.
    /// - Throws: `TensorError.unreadableFile`, `.malformedFile`.
    public static func read(path: String) throws(TensorError) -> Tensor {
        try parse(try FileBytes.read(path: path, byteLimit: contentByteLimit), path: path)
    }

    /// Reads a file's bytes; `path` only serves messages.
    public static func parse(_ bytes: [UInt8], path: String) throws(TensorError) -> Tensor {
        let isCompressed = Gzip.isGzip(bytes)
        let start =
            isCompressed
            ? try Gzip.inflatePrefix(bytes, limit: 4 + 4 * rankLimit, path: path)
            : Array(bytes.prefix(4 + 4 * rankLimit))
        let shape = try readShape(start, path: path)
        let headerCount = 4 + 4 * shape.rank
        let expected = headerCount + shape.elementCount
        let content = isCompressed ? try Gzip.inflate(bytes, exactly: expected, path: path) : bytes
        guard content.count == expected else {
            throw .malformedFile(
                path: path,
                reason: "shape \(shape) needs \(expected) bytes with the header, the file has \(content.count)")
        }
        return Tensor(Array(content[headerCount...]), shape: shape)
    }

    private static func readShape(_ start: [UInt8], path: String) throws(TensorError) -> Shape {
        guard start.count >= 4, start[0] == 0, start[1] == 0 else {
            throw .malformedFile(path: path, reason: "the file does not start with the IDX magic 0 0")
        }
        guard start[2] == 0x08 else {
            throw .malformedFile(
                path: path, reason: "IDX element type \(start[2]) is not supported: only unsigned bytes (8) are")
        }
        let rank = Int(start[3])
        guard rank >= 1, rank <= rankLimit else {
            throw .malformedFile(path: path, reason: "IDX rank \(rank) is outside 1...\(rankLimit)")
        }
        guard start.count >= 4 + 4 * rank else {
            throw .malformedFile(path: path, reason: "the file ends within its IDX header")
        }
        let extents = (0..<rank).map { axis in
            start[4 + 4 * axis..<8 + 4 * axis].reduce(0) { $0 << 8 | Int($1) }
        }
        guard let shape = try? Shape(extents), shape.elementCount <= contentByteLimit else {
            throw .malformedFile(
                path: path, reason: "IDX extents \(extents) exceed the limit of \(contentByteLimit) bytes")
        }
        return shape
    }
}
