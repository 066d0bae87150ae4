import CZeroMQ

/// What peers send.
extension ServerLoop {
    /// Reads up to `limit` messages, as long as the queue takes what comes of them; false when there may be more.
    func receiveMessages(limit: Int) -> Bool {
        for _ in 0..<limit {
            guard !queue.isFull else { return false }
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
            guard header.isForExchange else { throw ProtocolViolation("a frame that only a server sends") }
            try checkBudget(header, of: peer)
            return exchange.receive(header, UnsafeRawBufferPointer(start: nil, count: 0), from: peer)
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
}
