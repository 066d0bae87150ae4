import CZlib

/// Gzip (RFC 1952) decompression that never produces more than it was told to expect.
public enum Gzip {
    /// DEFLATE cannot expand a byte to more than this many (zlib's technical notes give 1032:1).
    public static let largestExpansion = 1_032

    /// Whether the bytes start like a gzip file.
    public static func isGzip(_ bytes: [UInt8]) -> Bool { bytes.count >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b }

    /// At most the first `limit` bytes of the content; fewer when the content is shorter.
    /// - Throws: `TensorError.malformedFile`.
    public static func inflatePrefix(_ bytes: [UInt8], limit: Int, path: String) throws(TensorError) -> [UInt8] {
        try run(bytes, capacity: limit, path: path).output
    }

    /// The whole content, which must be exactly `count` bytes long.
    /// - Throws: `TensorError.malformedFile`, before allocating when `count` exceeds what the input can expand to.
    public static func inflate(_ bytes: [UInt8], exactly count: Int, path: String) throws(TensorError) -> [UInt8] {
        guard count >= 0, count / largestExpansion <= bytes.count else {
            throw .malformedFile(path: path, reason: "\(bytes.count) compressed bytes cannot hold \(count) bytes")
        }
        var (output, ended) = try run(bytes, capacity: count + 1, path: path)
        guard output.count <= count else {
            throw .malformedFile(
                path: path, reason: "the compressed content is longer than the \(count) bytes declared")
        }
        guard ended, output.count == count else {
            throw .malformedFile(
                path: path, reason: "the compressed content has \(output.count) bytes where \(count) are declared")
        }
        output.reserveCapacity(count)
        return output
    }

    /// Inflates until the input ends or `capacity` bytes are out. Members that follow one another are joined, as gzip
    /// does.
    private static func run(
        _ bytes: [UInt8], capacity: Int, path: String
    ) throws(TensorError) -> (output: [UInt8], ended: Bool) {
        var stream = z_stream()
        // 15 bits of window; 16 more asks for the gzip wrapper with its checksum.
        guard inflateInit2_(&stream, 15 + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
            throw .malformedFile(path: path, reason: "zlib cannot start: out of memory")
        }
        defer { inflateEnd(&stream) }
        var status = Z_OK
        let output = bytes.withUnsafeBufferPointer { input in
            [UInt8](unsafeUninitializedCapacity: capacity) { buffer, filled in
                var consumed = 0
                while filled < capacity {
                    // zlib counts in 32 bits, so long inputs and outputs go through in pieces.
                    let take = min(input.count - consumed, 1 << 30)
                    let give = min(capacity - filled, 1 << 30)
                    stream.next_in = UnsafeMutablePointer(mutating: input.baseAddress.map { $0 + consumed })
                    stream.avail_in = UInt32(take)
                    stream.next_out = buffer.baseAddress.map { $0 + filled }
                    stream.avail_out = UInt32(give)
                    status = CZlib.inflate(&stream, Z_NO_FLUSH)
                    consumed += take - Int(stream.avail_in)
                    filled += give - Int(stream.avail_out)
                    if status == Z_STREAM_END, consumed < input.count {
                        status = inflateReset(&stream)
                    }
                    if status != Z_OK { return }
                }
            }
        }
        switch status {
        case Z_OK, Z_STREAM_END: return (output, status == Z_STREAM_END)
        case Z_BUF_ERROR: throw .malformedFile(path: path, reason: "the gzip content is cut short")
        default: throw .malformedFile(path: path, reason: "the gzip content is damaged (zlib status \(status))")
        }
    }
}
