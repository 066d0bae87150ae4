/// The sender's side: one chunk at a time, each stream in its turn.
extension BlobExchange {
    typealias SendChunk = (PeerID, _ header: [UInt8], _ payload: inout OutgoingFrame) -> Socket.SendResult

    /// Sends the next chunk of the stream whose turn it is; false when no stream can send.
    mutating func pump(_ send: SendChunk) -> Bool {
        if retry(send) { return true }
        guard !outgoing.isFull, let index = ready.firstIndex(where: { maySend($0) }) else { return false }
        let key = ready.remove(at: index)
        streams[key]?.isQueued = false
        guard let stream = streams[key], stream.hasCredit(limits) else { return true }
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
            length: count
        ).encoded
        outgoing.take(key.peer, at: now)
        let result = send(key.peer, header, &payload)
        if result == .blocked {
            unsent[key.peer] = UnsentChunk(key: key, header: header, payload: payload)
            blocked.append(key.peer)
        } else {
            settle(key, byteCount: count, isSent: result == .sent)
        }
        return true
    }

    /// Offers a chunk again that ZeroMQ did not take; false when none is due.
    private mutating func retry(_ send: SendChunk) -> Bool {
        guard !retrying.isEmpty else { return false }
        let peer = retrying.removeFirst()
        guard let chunk = unsent[peer] else { return true }
        let count = chunk.payload.count
        let result = send(peer, chunk.header, &chunk.payload)
        if result == .blocked {
            blocked.append(peer)
        } else {
            unsent[peer] = nil
            settle(chunk.key, byteCount: count, isSent: result == .sent)
        }
        return true
    }

    /// A peer that ZeroMQ takes nothing for waits with all its streams.
    private func maySend(_ key: StreamKey) -> Bool { unsent[key.peer] == nil && outgoing.mayTake(key.peer) }

    /// The chunk that was taken from the window is sent, or its peer is gone.
    private mutating func settle(_ key: StreamKey, byteCount: Int, isSent: Bool) {
        guard isSent, var stream = streams[key] else {
            outgoing.giveBack(1, by: key.peer, at: now)
            return end(key)
        }
        stream.offset += byteCount
        stream.sentChunks += 1
        stream.sentBytes += byteCount
        streams[key] = stream
        unconfirmed[key.peer, default: UnconfirmedChunks()].append(
            key.digest, attempt: stream.attempt, number: stream.sentChunks)
        guard stream.offset == stream.source.byteCount else { return enqueue(key) }
        end(key)
        perform(.sent(key.peer, digest: key.digest, bytes: stream.sentBytes))
    }
}
