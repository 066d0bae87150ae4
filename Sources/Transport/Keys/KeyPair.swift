import CZeroMQ

/// A CURVE key pair (Curve25519), both halves in Z85: 40 printable characters for 32 bytes.
public struct KeyPair: Sendable, Equatable, CustomStringConvertible {
    public let publicKey: String
    public let secretKey: String

    /// New keys from the system's random source. The public one never begins with `-`, as one in 85 would: on a command line
    /// it would be taken for an option.
    public static func generate() throws(TransportError) -> KeyPair {
        var publicKey = [CChar](repeating: 0, count: 41)
        var secretKey = [CChar](repeating: 0, count: 41)
        repeat {
            guard zmq_curve_keypair(&publicKey, &secretKey) == 0 else { throw .lastFailure("zmq_curve_keypair") }
        } while publicKey[0] == CChar(bitPattern: UInt8(ascii: "-"))
        return KeyPair(publicKey: Z85.text(publicKey), secretKey: Z85.text(secretKey))
    }

    /// The pair a secret key belongs to.
    /// - Throws: `TransportError.invalidKey`.
    public init(secretKey: String) throws(TransportError) {
        self.secretKey = secretKey
        publicKey = try Self.publicKey(ofSecret: secretKey)
    }

    /// The public half of a secret key.
    /// - Throws: `TransportError.invalidKey`.
    public static func publicKey(ofSecret secretKey: String) throws(TransportError) -> String {
        let secretKey = try Z85.checked(secretKey)
        var publicKey = [CChar](repeating: 0, count: 41)
        guard zmq_curve_public(&publicKey, secretKey) == 0 else { throw .lastFailure("zmq_curve_public") }
        return Z85.text(publicKey)
    }

    private init(publicKey: String, secretKey: String) {
        self.publicKey = publicKey
        self.secretKey = secretKey
    }

    /// Without the secret, lest it end in a log.
    public var description: String { "KeyPair(\(publicKey))" }
}

/// ZeroMQ's text form of 32-byte keys (RFC 32).
enum Z85 {
    /// The key, if it is one: 40 characters that decode to 32 bytes.
    static func checked(_ key: String) throws(TransportError) -> String {
        guard key.utf8.count == 40 else {
            throw .invalidKey(reason: "'\(key.prefix(60))' has \(key.utf8.count) characters")
        }
        let alphabet = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
        if let stranger = key.first(where: { !alphabet.contains($0) }) {
            throw .invalidKey(reason: "a key has no character '\(stranger)'")
        }
        var bytes = [UInt8](repeating: 0, count: 32)
        guard zmq_z85_decode(&bytes, key) != nil, encode(key: bytes) == key else {
            throw .invalidKey(reason: "'\(key)' does not decode to 32 bytes")
        }
        return key
    }

    /// The text for 32 bytes; nil for any other number of them.
    static func encode(key: [UInt8]) -> String? {
        guard key.count == 32 else { return nil }
        var characters = [CChar](repeating: 0, count: 41)
        guard zmq_z85_encode(&characters, key, 32) != nil else { return nil }
        return text(characters)
    }

    static func text(_ characters: [CChar]) -> String {
        String(decoding: characters.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
