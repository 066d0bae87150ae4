import Crypto
import Federation

extension Federation.Digest {
    /// The SHA-256 of some bytes.
    public init(hashing bytes: [UInt8]) {
        self.init(SHA256.hash(data: bytes))
    }

    init(_ hash: SHA256.Digest) {
        guard let digest = Federation.Digest(bytes: Array(hash)) else { preconditionFailure("SHA-256 has 32 bytes") }
        self = digest
    }
}
