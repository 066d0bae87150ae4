import Federation
import Transport

/// Numbers the connections that the transport names: the machine knows sessions, the transport peers.
struct PeerTable {
    private var sessions: [PeerID: SessionID] = [:]
    private var peers: [SessionID: PeerID] = [:]
    private var next: UInt64 = 1

    /// The session of a peer; a peer seen for the first time gets a new one.
    mutating func session(of peer: PeerID) -> SessionID {
        if let session = sessions[peer] { return session }
        let session = SessionID(next)
        next += 1
        // An old connection of the same worker is dead: forget it, or the table would grow with every reconnect.
        for (old, number) in sessions where old.name == peer.name && peer.name != nil {
            sessions[old] = nil
            peers[number] = nil
        }
        sessions[peer] = session
        peers[session] = peer
        return session
    }

    func peer(of session: SessionID) -> PeerID? { peers[session] }
}
