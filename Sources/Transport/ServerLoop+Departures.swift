/// Whether a peer is still there.
extension ServerLoop {
    /// Notes whose connection may be gone; certain only once a probe finds no way to it.
    func suspect(_ descriptors: [Int32], at now: Double) {
        for descriptor in descriptors {
            for (routingID, other) in dismissed where other == descriptor { dismissed[routingID] = nil }
            guard let peer = peersByDescriptor[descriptor] else { continue }
            suspects.append(Suspect(peer: peer, probeAtSeconds: now, probesLeft: Suspect.many))
        }
    }

    /// The monitor may be a moment ahead of the socket, so a peer that still answers is probed again a little later.
    /// Only called when all that had arrived is read: a peer's departure is the last that is heard of it.
    func probeSuspects(at now: Double) {
        guard !suspects.isEmpty else { return }
        let due = suspects.filter { $0.probeAtSeconds <= now }
        suspects.removeAll { $0.probeAtSeconds <= now }
        for var suspect in due where peers[suspect.peer.routingID]?.id == suspect.peer {
            router.processCommands()
            if router.send([suspect.peer.routingID, Header.probe.encoded]) == .unreachable {
                depart(suspect.peer, reason: "the peer has disconnected")
            } else if suspect.probesLeft > 1 {
                suspect.probesLeft -= 1
                suspect.probeAtSeconds = now + suspect.delaySeconds
                suspect.delaySeconds *= 2
                suspects.append(suspect)
            }
        }
    }

    func depart(_ peer: PeerID, reason: String) {
        guard var known = peers.removeValue(forKey: peer.routingID) else { return }
        if let key = peer.publicKey {
            peersByKey[key]?.removeAll { $0 == peer }
            if peersByKey[key]?.isEmpty == true { peersByKey[key] = nil }
        }
        if let (reason, count) = known.violations.dueAtLast() { queue.push(.violation(peer, reason, count: count)) }
        if peersByDescriptor[known.descriptor] == peer { peersByDescriptor[known.descriptor] = nil }
        exchange.forget(peer, reason: reason)
        perform()
        queue.push(.departed(peer))
    }
}
