import Crypto
import Federation
import Tensors

extension Federation.Digest {
    /// The SHA-256 of some bytes.
    public init(hashing bytes: [UInt8]) {
        self.init(SHA256.hash(data: bytes))
    }

    /// The SHA-256 of a mapped file; what has been read is released.
    public init(hashing file: MappedFile) {
        var hash = SHA256()
        for start in stride(from: 0, to: file.byteCount, by: 1 << 20) {
            let range = start..<min(start + 1 << 20, file.byteCount)
            file.withBytes { hash.update(bufferPointer: UnsafeRawBufferPointer(rebasing: $0[range])) }
            file.release(range)
        }
        self.init(hash.finalize())
    }

    init(_ hash: SHA256.Digest) {
        guard let digest = Federation.Digest(bytes: Array(hash)) else { preconditionFailure("SHA-256 has 32 bytes") }
        self = digest
    }
}
