/// What happens at a server.
public enum ServerEvent: Sendable, Equatable {
    /// A control message of an authenticated peer.
    case message(PeerID, [UInt8])
    /// A fetched blob is complete and its sink has verified it.
    case blobArrived(PeerID, digest: [UInt8])
    /// At most one for every 32nd of a blob, in bytes, and each peer that offered it.
    case blobProgress(PeerID, digest: [UInt8], received: Int, total: Int)
    case blobFailed(PeerID, digest: [UInt8], BlobFailure)
    /// The last chunk of a blob the peer asked for was handed to the network; `bytes` were sent for this request.
    case blobSent(PeerID, digest: [UInt8], bytes: Int)
    /// The connection of a peer that had sent something is gone; its fetches have failed.
    case departed(PeerID)
    /// A connection with this key (Z85) is not served; told at most once in half a minute for each key.
    case turnedAway(key: String, address: String, TurnAwayReason)
    /// A peer broke the protocol `count` times since this was last told (at most once a second); what it sent was
    /// dropped. The text is that of the last time.
    case violation(PeerID, String, count: Int)
    case failed(TransportError)
}

/// Why a connection is not served.
public enum TurnAwayReason: Sendable, Equatable {
    case keyNotAllowed
    /// The key has as many connections as it may have.
    case tooManyConnections
    case serverFull
}

/// What happens at a client.
public enum ClientEvent: Sendable, Equatable {
    /// The handshake succeeded: both sides are authenticated. Comes again after each reconnect.
    case connected
    /// The connection broke or nobody answers; the client keeps trying. Said once until something changes.
    case disconnected(String)
    /// The server does not take us (key, wrong server key, no CURVE, full); the client keeps trying.
    /// Said once until something changes.
    case refused(TransportError)
    case message([UInt8])
    /// A fetched blob is complete and its sink has verified it.
    case blobArrived(digest: [UInt8])
    /// At most one for every 32nd of a blob, in bytes.
    case blobProgress(digest: [UInt8], received: Int, total: Int)
    case blobFailed(digest: [UInt8], BlobFailure)
    /// The last chunk of a blob the server asked for was handed to the network.
    case blobSent(digest: [UInt8], bytes: Int)
    /// The server broke the protocol `count` times since this was last told (at most once a second); what it sent was
    /// dropped. The text is that of the last time.
    case violation(String, count: Int)
    case failed(TransportError)
}

/// What waits in an `EventQueue`: its memory counts against a bound.
protocol QueuedEvent: Sendable {
    var byteCount: Int { get }
}

extension ServerEvent: QueuedEvent {
    var byteCount: Int { if case .message(_, let bytes) = self { bytes.count } else { 0 } }
}

extension ClientEvent: QueuedEvent {
    var byteCount: Int { if case .message(let bytes) = self { bytes.count } else { 0 } }
}
