import CZeroMQ

/// Who may connect, and who a message is from.
extension ServerLoop {
    /// A handshake that succeeded and whose connection has not said anything yet.
    struct Handshake {
        let key: String
        let atSeconds: Double
    }

    /// Nobody tells when such a connection ends, so it is not counted for longer than it takes keepalive to lose it.
    private static var handshakeSeconds: Double { 25 }

    /// The peer behind a message, or nil when it is not to be heard.
    func admit(_ routingID: [UInt8], _ frame: inout Frame) -> PeerID? {
        // Without CURVE a peer could claim any of these properties itself.
        let key = isSecure ? frame.property("User-Id") : nil
        let address = Endpoint.plainAddress(frame.property("Peer-Address") ?? "unknown address")
        let known = peers[routingID]
        let name = key.flatMap { key in allow.flatMap { $0(key) } }
        if isSecure, allow != nil, name == nil {
            turnAway(key: key ?? "", address: address, .keyNotAllowed)
            if let known {
                depart(known.id, reason: "its key is no longer allowed")
                dismiss(routingID, descriptor: known.descriptor)
            }
            _ = router.send([routingID, Header.dismissal.encoded])
            return nil
        }
        guard dismissed[routingID] == nil else {
            _ = router.send([routingID, Header.dismissal.encoded])
            return nil
        }
        let peer = PeerID(routingID: routingID, name: name, publicKey: key)
        if let known, known.id == peer { return peer }
        if let known { depart(known.id, reason: "its key now has another name") }
        // The handshake has looked at both; but it cannot know of connections that have been silent for long.
        guard peers.count < limits.maximumPeers else {
            turnAway(key: key ?? "", address: address, .serverFull)
            return nil
        }
        if let key {
            guard hasRoom(for: key, besides: 0) else {
                turnAway(key: key, address: address, .tooManyConnections)
                return nil
            }
            peersByKey[key, default: []].append(peer)
            if let handshake = handshakes.firstIndex(where: { $0.key == key }) { handshakes.remove(at: handshake) }
        }
        let descriptor = frame.descriptor
        peers[routingID] = Peer(
            id: peer, address: address, descriptor: descriptor, budget: MessageBudget(limits, at: exchange.now))
        // The system gives a closed connection's descriptor to the next one.
        if let earlier = peersByDescriptor.updateValue(peer, forKey: descriptor) {
            suspects.append(Suspect(peer: earlier, probeAtSeconds: 0, probesLeft: Suspect.many))
        }
        return peer
    }

    /// A connection that has departed is not admitted again, even if its key is: it must shake hands anew.
    private func dismiss(_ routingID: [UInt8], descriptor: Int32) {
        if dismissed.count >= 4096 { dismissed = [:] }
        dismissed[routingID] = descriptor
    }

    /// Answers one request of the ZeroMQ Authentication Protocol (RFC 27).
    func authenticate(_ request: [[UInt8]]) {
        guard request.count >= 2 else {
            _ = authenticator.send([Array("1.0".utf8), [], Array("500".utf8), [], [], []])
            return
        }
        func reply(_ status: String, _ text: String, user: String = "") {
            _ = authenticator.send(
                [request[0], request[1], Array(status.utf8), Array(text.utf8), Array(user.utf8), []])
        }
        let source = request.count > 3 ? String(decoding: request[3], as: UTF8.self) : "unknown address"
        let address = Endpoint.plainAddress(source)
        guard request.count == 7, request[5] == Array("CURVE".utf8), let key = Z85.encode(key: request[6]) else {
            turnAway(key: "", address: address, .keyNotAllowed)
            return reply("400", "CURVE is required")
        }
        guard allow == nil || allow?(key) != nil else {
            turnAway(key: key, address: address, .keyNotAllowed)
            return reply("400", "key not allowed")
        }
        handshakes.removeAll { exchange.now - $0.atSeconds > Self.handshakeSeconds }
        // 300 would be silence, which a client cannot tell from a wrong server key.
        guard peers.count + handshakes.count < limits.maximumPeers else {
            turnAway(key: key, address: address, .serverFull)
            return reply("500", "full")
        }
        guard hasRoom(for: key, besides: handshakes.count { $0.key == key }) else {
            turnAway(key: key, address: address, .tooManyConnections)
            return reply("500", "too many connections with this key")
        }
        turnedAway[key] = nil
        handshakes.append(Handshake(key: key, atSeconds: exchange.now))
        reply("200", "OK", user: key)
    }

    /// Whether a key may have one more connection than its admitted and its `silent` ones. A worker that was killed
    /// leaves one behind, so at the limit the admitted ones are probed, the oldest first; what turns out to be gone does
    /// not count.
    private func hasRoom(for key: String, besides silent: Int) -> Bool {
        let known = peersByKey[key, default: []]
        var count = known.count + silent
        guard count >= limits.connectionsPerKey else { return true }
        router.processCommands()
        for peer in known {
            let isGone = router.send([peer.routingID, Header.probe.encoded]) == .unreachable
            if isGone { count -= 1 }
            // It departs, or is looked at again, when all that it had sent is read.
            if !suspects.contains(where: { $0.peer == peer }) {
                suspects.append(Suspect(peer: peer, probeAtSeconds: exchange.now, probesLeft: 2))
            }
            if count < limits.connectionsPerKey { return true }
        }
        return false
    }

    /// Counts every time; tells the shell once in half a minute for each key, because clients keep trying.
    private func turnAway(key: String, address: String, _ reason: TurnAwayReason) {
        cell.update { $0.turnedAway += 1 }
        let now = exchange.now
        if let last = turnedAway[key], now - last < 30 { return }
        if turnedAway.count >= 1024 { turnedAway = [:] }
        turnedAway[key] = now
        queue.push(.turnedAway(key: key, address: address, reason))
    }
}
