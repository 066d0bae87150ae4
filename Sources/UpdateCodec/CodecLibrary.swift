import CLZ4

/// The linked LZ4.
public enum CodecLibrary {
    /// Such as `1.9.4`.
    public static var version: String { String(cString: LZ4_versionString()) }

    /// Packs and unpacks some bytes.
    public static func isWorking() -> Bool {
        let bytes = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 / 300) }
        let packed = PackedBlob.pack(bytes)
        return packed.count < bytes.count && (try? PackedBlob.unpack(packed, byteLimit: bytes.count)) == bytes
    }
}
