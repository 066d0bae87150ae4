import CZeroMQ

/// Who a message is from, and whether its sender is still there.
extension ServerLoop {
    /// Reads up to `limit` messages; false when there may be more.
    func receiveMessages(limit: Int) -> Bool {
        for _ in 0..<limit {
            guard var identity = router.receive() else { return true }
            let routingID = identity.bytes
            guard identity.hasMore else { continue }
            guard var first = router.receive() else { return true }
            guard let peer = admit(routingID, &first) else {
                if first.hasMore { router.dropRest() }
                continue
            }
            do throws(ProtocolViolation) {
                try receive(&first, from: peer)
            } catch {
                report(error, by: peer)
            }
            perform()
        }
        return false
    }

    private func receive(_ first: inout Frame, from peer: PeerID) throws(ProtocolViolation) {
        let hasMore = first.hasMore
        let header: Header
        do throws(ProtocolViolation) {
            header = try Header(decoding: &first, limits: limits)
        } catch {
            if hasMore { router.dropRest() }
            throw error
        }
        guard header.hasPayload == hasMore else {
            if hasMore { router.dropRest() }
            throw ProtocolViolation(hasMore ? "a frame too many" : "a header without its payload")
        }
        guard hasMore, var payload = router.receive() else {
            if header.isForExchange {
                try checkBudget(header, of: peer)
                exchange.receive(header, UnsafeRawBufferPointer(start: nil, count: 0), from: peer)
            }
            return
        }
        let count = payload.count
        guard !payload.hasMore else {
            router.dropRest()
            throw ProtocolViolation("a frame too many")
        }
        try header.check(payloadBytes: count, limits: limits)
        try checkBudget(header, of: peer)
        cell.update { $0.bytesReceived += count }
        if header == .control { return queue.push(.message(peer, payload.bytes)) }
        payload.withBytes { exchange.receive(header, $0, from: peer) }
    }

    /// The peer behind a message, or nil when it is not to be heard.
    private func admit(_ routingID: [UInt8], _ frame: inout Frame) -> PeerID? {
        // Without CURVE a peer could claim any of these properties itself.
        let key = isSecure ? frame.property("User-Id") : nil
        let address = Endpoint.plainAddress(frame.property("Peer-Address") ?? "unknown address")
        let known = peers[routingID]
        let name = key.flatMap { key in allow.flatMap { $0(key) } }
        if isSecure, allow != nil, name == nil {
            turnAway(key: key ?? "", address: address)
            if let known { depart(known.id, reason: "its key is no longer allowed") }
            _ = router.send([routingID, Header.dismissal.encoded])
            return nil
        }
        let peer = PeerID(routingID: routingID, name: name, publicKey: key)
        if let known, known.id == peer { return peer }
        if let known { depart(known.id, reason: "its key now has another name") }
        guard peers.count < limits.maximumPeers else {
            report(ProtocolViolation("more than \(limits.maximumPeers) peers"), by: peer)
            return nil
        }
        let descriptor = frame.descriptor
        peers[routingID] = Peer(
            id: peer, address: address, descriptor: descriptor, number: nextPeerNumber,
            budget: MessageBudget(limits, at: exchange.now))
        nextPeerNumber += 1
        // The system gives a closed connection's descriptor to the next one.
        if let earlier = peersByDescriptor.updateValue(peer, forKey: descriptor) {
            suspects.append(Suspect(peer: earlier, probeAtSeconds: 0, probesLeft: 2))
        }
        return peer
    }

    /// Notes whose connection may be gone; certain only once a probe finds no way to it.
    func suspect(_ descriptors: [Int32], at now: Double) {
        for descriptor in descriptors {
            guard let peer = peersByDescriptor[descriptor] else { continue }
            suspects.append(Suspect(peer: peer, probeAtSeconds: now, probesLeft: 3))
        }
    }

    /// The monitor may be a moment ahead of the socket, so a peer that still answers is probed again a little later.
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
                suspect.probeAtSeconds = now + 0.1
                suspects.append(suspect)
            }
        }
    }

    func depart(_ peer: PeerID, reason: String) {
        guard var known = peers.removeValue(forKey: peer.routingID) else { return }
        if let (reason, count) = known.violations.dueAtLast() { queue.push(.violation(peer, reason, count: count)) }
        if peersByDescriptor[known.descriptor] == peer { peersByDescriptor[known.descriptor] = nil }
        exchange.forget(peer, reason: reason)
        perform()
        queue.push(.departed(peer))
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
            turnAway(key: "", address: address)
            return reply("400", "CURVE is required")
        }
        guard allow == nil || allow?(key) != nil else {
            turnAway(key: key, address: address)
            return reply("400", "key not allowed")
        }
        // 300 would be silence, which a client cannot tell from a wrong server key.
        guard peers.count < limits.maximumPeers else { return reply("500", "full") }
        turnedAway[key] = nil
        reply("200", "OK", user: key)
    }

    /// Counts every time; tells the shell once in half a minute for each key, because clients keep trying.
    private func turnAway(key: String, address: String) {
        cell.update { $0.turnedAway += 1 }
        let now = monotonicSeconds()
        if let last = turnedAway[key], now - last < 30 { return }
        if turnedAway.count >= 1024 { turnedAway = [:] }
        turnedAway[key] = now
        queue.push(.turnedAway(key: key, address: address))
    }
}
