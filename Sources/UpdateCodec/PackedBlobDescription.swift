/// How a packed graph travels, and the file in it.
public struct PackedBlobDescription: Sendable, Equatable {
    /// The whole blob.
    public let bytes: Int
    /// `stored` or `lz4`.
    public let packing: String
    /// What was packed.
    public let content: [UInt8]

    /// More than what a blob takes beside its content: the head, and the length of each piece.
    public static let overheadByteLimit = 1 << 16

    /// - Parameter byteLimit: the most that may come out; nothing is allocated for more.
    /// - Throws: as `PackedBlob.unpack`.
    public init(describing blob: [UInt8], byteLimit: Int) throws(CodecError) {
        content = try PackedBlob.unpack(blob, byteLimit: byteLimit)
        bytes = blob.count
        packing = blob[PackedBlob.packingOffset] == 0 ? "stored" : "lz4"
    }
}
