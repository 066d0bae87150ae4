/// One connection of a peer, as the server knows it. A client that reconnects comes back as another `PeerID`.
public struct PeerID: Hashable, Sendable, CustomStringConvertible {
    /// ZeroMQ's routing id, chosen by the server.
    public let routingID: [UInt8]
    /// The name the allow-list gives to the peer's key; nil without CURVE or without an allow-list.
    public let name: String?
    /// The authenticated key in Z85; nil without CURVE.
    public let publicKey: String?

    public init(routingID: [UInt8], name: String?, publicKey: String?) {
        self.routingID = routingID
        self.name = name
        self.publicKey = publicKey
    }

    public var description: String {
        name ?? publicKey ?? "peer " + routingID.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}

/// What a node has moved since it started.
public struct TransportCounters: Sendable, Equatable {
    /// Payload bytes sent: control messages and chunks, without headers.
    public var bytesSent = 0
    /// Payload bytes received: control messages and chunks, without headers.
    public var bytesReceived = 0
    /// Frames that broke the protocol.
    public var violations = 0
    /// Connections and messages not served: their key is not allowed, or there are too many.
    public var turnedAway = 0

    public init() {}
}
