/// The sender's side: streams.
extension BlobExchange {
    mutating func onRequest(
        _ key: StreamKey, _ attempt: UInt32, _ offset: Int, _ allowedChunks: UInt32
    ) {
        // A repeated request for the same blob replaces the first: the peer has a newer idea of where it stands.
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
            source: source, attempt: attempt, offset: offset,
            allowedChunks: min(allowedChunks, UInt32(limits.creditChunks)), lastHeardSeconds: now)
        streamCounts[key.peer, default: 0] += 1
        enqueue(key)
    }

    mutating func onGrant(_ key: StreamKey, _ attempt: UInt32, _ allowedChunks: UInt32) {
        // The last grants of a finished stream come when it is gone.
        guard var stream = streams[key], stream.attempt == attempt else { return }
        let window = stream.sentChunks + UInt32(limits.creditChunks)
        stream.allowedChunks = max(stream.allowedChunks, min(allowedChunks, window))
        stream.lastHeardSeconds = now
        streams[key] = stream
        enqueue(key)
    }

    /// Sends the next chunk of the stream whose turn it is; false when no stream can send.
    mutating func pump(_ send: (PeerID, _ header: [UInt8], _ payload: inout OutgoingFrame) -> Socket.SendResult) -> Bool
    {
        guard !ready.isEmpty else { return false }
        let key = ready.removeFirst()
        guard var stream = streams[key], stream.sentChunks < stream.allowedChunks else {
            streams[key]?.isQueued = false
            return true
        }
        let count = min(limits.chunkBytes, stream.source.byteCount - stream.offset)
        // Read into the very memory ZeroMQ sends from.
        guard var payload = OutgoingFrame(byteCount: count),
            (try? payload.withBytes({ try stream.source.read(stream.offset, $0) })) != nil
        else {
            perform(.send(key.peer, .refusal(digest: key.digest, attempt: stream.attempt, .unreadable)))
            end(key)
            return true
        }
        let header = Header.chunk(
            digest: key.digest, attempt: stream.attempt, offset: stream.offset, total: stream.source.byteCount,
            length: count)
        switch send(key.peer, header.encoded, &payload) {
        case .blocked:
            blocked.append(key)
            return true
        case .unreachable:
            end(key)
            return true
        case .sent: break
        }
        stream.offset += count
        stream.sentChunks += 1
        stream.sentBytes += count
        if stream.offset == stream.source.byteCount {
            end(key)
            perform(.sent(key.peer, digest: key.digest, bytes: stream.sentBytes))
            return true
        }
        stream.isQueued = false
        streams[key] = stream
        enqueue(key)
        return true
    }

    /// Forgets a stream, if there is one.
    mutating func end(_ key: StreamKey) {
        guard streams.removeValue(forKey: key) != nil else { return }
        let left = streamCounts[key.peer, default: 1] - 1
        streamCounts[key.peer] = left > 0 ? left : nil
        ready.removeAll { $0 == key }
        blocked.removeAll { $0 == key }
    }

    private mutating func enqueue(_ key: StreamKey) {
        guard let stream = streams[key], !stream.isQueued, stream.sentChunks < stream.allowedChunks else { return }
        streams[key]?.isQueued = true
        ready.append(key)
    }
}
