/// The sender's side: streams.
extension BlobExchange {
    mutating func onRequest(
        _ key: StreamKey, _ attempt: UInt32, _ offset: Int, _ allowedChunks: UInt32
    ) {
        outgoing.revive(key.peer)
        // A repeated request for the same blob replaces the first: the peer has a newer idea of where it stands. It keeps
        // its turn, lest who waits longer than its patience waits for ever.
        let turn = ready.firstIndex(of: key)
        end(key)
        func refuse(_ reason: Header.Refusal) {
            perform(.send(key.peer, .refusal(digest: key.digest, attempt: attempt, reason)))
        }
        guard streamCounts[key.peer, default: 0] < limits.maximumTransfersPerPeer else {
            return refuse(.tooManyTransfers)
        }
        guard blobs.mayRead(key.peer, key.digest), let source = blobs.open(key.digest) else { return refuse(.missing) }
        guard source.byteCount <= limits.maximumBlobBytes else { return refuse(.unreadable) }
        guard offset < source.byteCount else { return refuse(.offsetOutOfRange) }
        streams[key] = Stream(
            source: source, attempt: attempt, offset: offset, allowedChunks: allowedChunks, lastHeardSeconds: now)
        streamCounts[key.peer, default: 0] += 1
        guard let turn else { return enqueue(key) }
        streams[key]?.isQueued = true
        ready.insert(key, at: turn)
    }

    mutating func onGrant(_ key: StreamKey, _ attempt: UInt32, _ allowedChunks: UInt32, taken: UInt32) {
        outgoing.revive(key.peer)
        // The last grants of a finished stream come when it is gone.
        let confirmed = unconfirmed[key.peer]?.confirm(key.digest, attempt: attempt, taken: taken) ?? 0
        if unconfirmed[key.peer]?.count == 0 { unconfirmed[key.peer] = nil }
        outgoing.giveBack(confirmed, by: key.peer, at: now)
        guard var stream = streams[key], stream.attempt == attempt else { return }
        guard taken <= stream.sentChunks else {
            return perform(.violation(key.peer, "a grant for \(taken) chunks of \(stream.sentChunks) sent"))
        }
        stream.allowedChunks = max(stream.allowedChunks, allowedChunks)
        stream.takenChunks = max(stream.takenChunks, taken)
        stream.lastHeardSeconds = now
        streams[key] = stream
        enqueue(key)
    }

    /// Forgets a stream, if there is one. What was sent of it stays in the window until something later is confirmed.
    mutating func end(_ key: StreamKey) {
        guard streams.removeValue(forKey: key) != nil else { return }
        let left = streamCounts[key.peer, default: 1] - 1
        streamCounts[key.peer] = left > 0 ? left : nil
        ready.removeAll { $0 == key }
        guard unsent[key.peer]?.key == key else { return }
        unsent[key.peer] = nil
        blocked.removeAll { $0 == key.peer }
        retrying.removeAll { $0 == key.peer }
        outgoing.giveBack(1, by: key.peer, at: now)
    }

    /// Nothing that was sent to the peer is on its way any more, or it will never be confirmed.
    mutating func forgetUnconfirmed(_ peer: PeerID) {
        let chunks = unconfirmed.removeValue(forKey: peer)
        outgoing.giveBack(chunks?.count ?? 0, by: peer, at: now)
    }

    mutating func enqueue(_ key: StreamKey) {
        guard let stream = streams[key], !stream.isQueued, stream.hasCredit(limits) else { return }
        streams[key]?.isQueued = true
        ready.append(key)
    }
}
