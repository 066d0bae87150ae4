/// Any bytes, packed the way a container's body is: what graphs travel in (protocols/update-format.md, "Packed graphs").
public enum PackedBlob {
    /// The first bytes of every packed graph.
    public static let magic = Array("PLPK".utf8)
    private static let version: UInt8 = 1
    /// Behind the magic and the version: 0 for stored, 1 for LZ4.
    static let packingOffset = 5
    private static let headByteCount = 14

    public static func pack(_ bytes: [UInt8]) -> [UInt8] {
        let packed = PackedPieces.pack(bytes, 0..<bytes.count, leaving: 0, force: .alone)
        var blob = magic + [version, packed == nil ? 0 : 1]
        blob.reserveCapacity(headByteCount + (packed ?? bytes).count)
        blob.appendLittleEndian(UInt64(bytes.count))
        return blob + (packed ?? bytes)
    }

    /// - Parameter byteLimit: the most that may come out; nothing is allocated for more.
    /// - Throws: `CodecError`.
    public static func unpack(_ blob: [UInt8], byteLimit: Int) throws(CodecError) -> [UInt8] {
        var reader = ByteReader(ByteRegion(blob))
        for byte in magic {
            guard try reader.byte("the magic") == byte else {
                throw .malformed(field: "a packed graph", offset: 0, reason: "does not begin with 'PLPK'")
            }
        }
        let version = try reader.byte("the version")
        guard version == Self.version else {
            throw reader.malformed("a packed graph", "has the unknown version \(version)")
        }
        let packing = try reader.byte("the packing")
        let size: UInt64 = try reader.littleEndian("the size")
        guard size <= UInt64(byteLimit) else {
            throw .limitExceeded(field: "the size of a packed graph", value: Int(clamping: size), limit: byteLimit)
        }
        switch packing {
        case 0:
            guard reader.remaining == Int(size) else {
                throw reader.malformed("a packed graph", "has \(reader.remaining) bytes instead of \(size)")
            }
            return reader.bytes[reader.offset..<blob.count]
        case 1: return try PackedPieces.unpack(&reader, byteCount: Int(size), force: .alone)
        default: throw reader.malformed("the packing", "is \(packing), not 0 or 1")
        }
    }
}
