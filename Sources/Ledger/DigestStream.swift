import Crypto
import Federation

/// The SHA-256 of bytes that come in pieces.
public struct DigestStream {
    private var hash = SHA256()

    public init() {}

    public mutating func append(_ bytes: UnsafeRawBufferPointer) { hash.update(bufferPointer: bytes) }

    public mutating func append(_ bytes: [UInt8]) { hash.update(data: bytes) }

    /// Of all that was appended.
    public func finish() -> Federation.Digest { Federation.Digest(hash.finalize()) }
}
