/// Everything that can go wrong in this target: what is wrong, where, and how to mend it.
public enum TransportError: Error, Sendable, Equatable, CustomStringConvertible {
    /// Another process listens at the endpoint.
    case addressInUse(endpoint: String)
    /// The endpoint cannot be understood or does not exist on this machine.
    case invalidEndpoint(endpoint: String, reason: String)
    /// A key is not 40 characters of Z85.
    case invalidKey(reason: String)
    /// A client with CURVE keys needs the server's public key, and a client with a server key needs keys of its own.
    case incompleteKeys(reason: String)
    case unreadableKeyFile(path: String, reason: String)
    case unwritableKeyFile(path: String, reason: String)
    /// The secret file's permissions let every user of the machine read it.
    case exposedSecret(path: String)
    /// A name outside `[A-Za-z0-9._-]{1,64}`.
    case invalidName(String)
    case keyAlreadyAllowed(name: String)
    case nameAlreadyAllowed(name: String)
    case nameNotAllowed(name: String, directory: String)
    /// The server does not allow our key.
    case keyNotAllowed(endpoint: String)
    /// The server breaks off the handshake: it has another key than the one we were given.
    case wrongServerKey(endpoint: String)
    /// One side uses CURVE, the other does not; or the peer is no Pleach node.
    case mechanismMismatch(endpoint: String)
    /// The server has as many peers as its limit, in all or with our key.
    case serverFull(endpoint: String)
    /// A control message is larger than the limit; it was not sent.
    case messageTooLarge(byteCount: Int, limit: Int)
    /// Messages were dropped because the peer does not take them.
    case unsentMessages(count: Int, endpoint: String)
    /// ZeroMQ or the system refused an operation.
    case system(operation: String, reason: String)

    /// Whether a server has no room for us now but may have later.
    public var isServerFull: Bool { if case .serverFull = self { true } else { false } }

    public var description: String {
        switch self {
        case .addressInUse(let endpoint):
            "\(endpoint) is in use by another process: stop it or bind to another port"
        case .invalidEndpoint(let endpoint, let reason):
            "endpoint '\(endpoint)' cannot be used (\(reason)): write it as tcp://HOST:PORT"
        case .invalidKey(let reason):
            "\(reason): a key is 40 characters of Z85, as `pleach keys show FILE` prints it"
        case .incompleteKeys(let reason): reason
        case .unreadableKeyFile(let path, let reason): "key file \(path) cannot be read: \(reason)"
        case .unwritableKeyFile(let path, let reason): "key file \(path) cannot be written: \(reason)"
        case .exposedSecret(let path):
            "secret key file \(path) can be read by every user of this machine: chmod 600 it, or make a new key"
        case .invalidName(let name):
            "'\(name)' is not a valid name: use 1 to 64 of the characters A-Z a-z 0-9 . _ -, not starting with a dot"
        case .keyAlreadyAllowed(let name):
            "this key is already allowed under the name '\(name)': revoke that name first"
        case .nameAlreadyAllowed(let name):
            "the name '\(name)' is already given to another key: revoke it first or choose another name"
        case .nameNotAllowed(let name, let directory):
            "no key named '\(name)' is allowed in \(directory): `pleach keys list` shows the names"
        case .keyNotAllowed(let endpoint):
            "the server at \(endpoint) does not allow our key: run `pleach keys allow` with our public key there"
        case .wrongServerKey(let endpoint):
            "the server at \(endpoint) breaks off the handshake: check the server key we were given"
        case .mechanismMismatch(let endpoint):
            "the peer at \(endpoint) does not speak our security mechanism: use CURVE keys on both sides, or on neither"
        case .serverFull(let endpoint):
            "the server at \(endpoint) takes no more connections, or no more with our key: stop other workers, or raise "
                + "'peers' or 'connectionsPerKey' in its limits"
        case .messageTooLarge(let byteCount, let limit):
            "a control message of \(byteCount) bytes exceeds the limit of \(limit): it was not sent"
        case .unsentMessages(let count, let endpoint):
            "\(count) control messages were dropped because \(endpoint) does not take them"
        case .system(let operation, let reason): "\(operation) failed: \(reason)"
        }
    }
}
