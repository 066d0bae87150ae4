import Federation
import Transport

/// Numbers the connections that the transport names: the machine knows sessions, the transport peers. An entry begins
/// with a peer's first message and ends with its departure.
struct PeerTable {
    private var sessions: [PeerID: SessionID] = [:]
    private var peers: [SessionID: PeerID] = [:]
    private var next: UInt64 = 1

    /// The session of a peer that has sent a message; a peer seen for the first time gets a new one.
    mutating func begin(_ peer: PeerID) -> SessionID {
        if let session = sessions[peer] { return session }
        let session = SessionID(next)
        next += 1
        sessions[peer] = session
        peers[session] = peer
        return session
    }

    /// The session of a peer, if it has not departed.
    func session(of peer: PeerID) -> SessionID? { sessions[peer] }

    func peer(of session: SessionID) -> PeerID? { peers[session] }

    /// Forgets a peer that is gone and says which session ended with it.
    mutating func end(_ peer: PeerID) -> SessionID? {
        guard let session = sessions.removeValue(forKey: peer) else { return nil }
        peers[session] = nil
        return session
    }
}
