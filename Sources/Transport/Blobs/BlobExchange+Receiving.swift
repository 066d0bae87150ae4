/// The receiver's side: fetches.
extension BlobExchange {
    /// Starts to fetch a blob, or queues it behind the peer's other fetches; a second call for the same is ignored.
    mutating func fetch(_ digest: [UInt8], byteCount: Int, from peer: PeerID) {
        guard digest.count == Header.digestBytes else {
            return perform(.failed(peer, digest: digest, .broken(reason: "a digest has 32 bytes, not \(digest.count)")))
        }
        guard byteCount >= 0, byteCount <= limits.maximumBlobBytes else {
            let reason = "its \(byteCount) bytes are not within the limit of \(limits.maximumBlobBytes)"
            return perform(.failed(peer, digest: digest, .wrong(reason: reason)))
        }
        if waiting[peer]?.contains(where: { $0.digest == digest }) == true { return }
        if let running = fetches[digest] {
            guard running.byteCount == byteCount else {
                let reason = "it is arriving with \(running.byteCount) bytes, not \(byteCount)"
                return perform(.failed(peer, digest: digest, .wrong(reason: reason)))
            }
            if running.peer != peer, !running.waiters.contains(peer) { fetches[digest]?.waiters.append(peer) }
            return
        }
        let wanted = Wanted(digest: digest, byteCount: byteCount)
        guard runningFetches[peer, default: 0] >= limits.maximumTransfersPerPeer else {
            return start(wanted, from: peer)
        }
        guard waiting[peer, default: []].count < limits.maximumWaitingFetches else {
            let reason = "too many fetches from this peer are waiting"
            return perform(.failed(peer, digest: digest, .broken(reason: reason)))
        }
        waiting[peer, default: []].append(wanted)
    }

    private mutating func start(_ wanted: Wanted, from peer: PeerID) {
        let sink: BlobSink
        do throws(BlobFailure) {
            sink = try blobs.receive(wanted.digest, wanted.byteCount)
        } catch {
            return perform(.failed(peer, digest: wanted.digest, error))
        }
        guard sink.offset >= 0, sink.offset <= wanted.byteCount else {
            sink.abandon()
            let reason = "the stored part has \(sink.offset) bytes, the blob only \(wanted.byteCount)"
            return perform(.failed(peer, digest: wanted.digest, .storage(reason: reason, isDiskFull: false)))
        }
        fetches[wanted.digest] = Fetch(
            peer: peer, digest: wanted.digest, byteCount: wanted.byteCount, sink: sink, number: nextFetchNumber,
            offset: sink.offset, lastHeardSeconds: now)
        nextFetchNumber += 1
        runningFetches[peer, default: 0] += 1
        if sink.offset == wanted.byteCount { finish(wanted.digest) } else { request(wanted.digest) }
    }

    mutating func onChunk(
        _ digest: [UInt8], _ attempt: UInt32, _ offset: Int, _ total: Int, _ payload: UnsafeRawBufferPointer,
        from peer: PeerID
    ) {
        guard attempt > 0, attempt < nextAttempt else {
            return perform(.violation(peer, "a chunk that nobody asked for"))
        }
        // Left over from an attempt that has ended: no fault of the peer's.
        guard var fetch = fetches[digest], fetch.peer == peer, fetch.attempt == attempt else { return }
        guard total == fetch.byteCount else {
            perform(.violation(peer, "a chunk of a blob of \(total) bytes instead of \(fetch.byteCount)"))
            cancel(fetch)
            return fail(digest, .wrong(reason: "the peer's blob has \(total) bytes instead of \(fetch.byteCount)"))
        }
        guard offset == fetch.offset, fetch.receivedChunks < fetch.allowedChunks else {
            let fault =
                offset == fetch.offset ? "a chunk beyond its credit" : "a chunk at \(offset), not \(fetch.offset)"
            perform(.violation(peer, fault))
            return restart(fetch)
        }
        do throws(BlobFailure) {
            try fetch.sink.append(payload)
        } catch {
            cancel(fetch)
            return fail(digest, error)
        }
        let step = max(1, fetch.byteCount / 32)
        let showsProgress = fetch.offset / step != (fetch.offset + payload.count) / step
        fetch.offset += payload.count
        fetch.receivedChunks += 1
        fetch.lastHeardSeconds = now
        fetch.hasBeenSilent = false
        fetch.restarts = 0
        fetches[digest] = fetch
        incoming.giveBack(1, by: digest, at: now)
        want(digest)
        // Whether it may send more or not, the sender hears that this chunk is taken.
        shareOut(telling: digest)
        if showsProgress {
            for peer in [peer] + fetch.waiters {
                perform(.progress(peer, digest: digest, received: fetch.offset, total: fetch.byteCount))
            }
        }
        if fetch.offset == fetch.byteCount { finish(digest) }
    }

    private mutating func restart(_ fetch: Fetch) {
        guard fetch.restarts < Self.maximumRestarts else {
            cancel(fetch)
            return fail(fetch.digest, .broken(reason: "the peer sends the wrong chunks"))
        }
        fetches[fetch.digest]?.restarts += 1
        request(fetch.digest)
    }

    private mutating func finish(_ digest: [UInt8]) {
        guard let fetch = fetches[digest] else { return }
        remove(fetch)
        do throws(BlobFailure) {
            try fetch.sink.finish()
            for peer in [fetch.peer] + fetch.waiters { perform(.arrived(peer, digest: digest)) }
        } catch {
            perform(.failed(fetch.peer, digest: digest, error))
            // The other peers may have the right bytes; their turn comes from the start.
            for peer in fetch.waiters { self.fetch(digest, byteCount: fetch.byteCount, from: peer) }
        }
        startWaiting(fetch.peer)
    }

    mutating func cancel(_ fetch: Fetch) {
        guard fetch.attempt > 0 else { return }
        perform(.send(fetch.peer, .cancel(digest: fetch.digest, attempt: fetch.attempt)))
    }

    mutating func fail(_ digest: [UInt8], _ failure: BlobFailure) {
        guard let fetch = fetches[digest] else { return }
        handOver(fetch, failure)
        startWaiting(fetch.peer)
    }

    /// Takes the blob away from its peer; the next waiting peer goes on from the same byte.
    mutating func handOver(_ fetch: Fetch, _ failure: BlobFailure?) {
        remove(fetch)
        if let failure { perform(.failed(fetch.peer, digest: fetch.digest, failure)) }
        fetch.sink.abandon()
        guard !fetch.waiters.isEmpty else { return }
        for peer in fetch.waiters { self.fetch(fetch.digest, byteCount: fetch.byteCount, from: peer) }
    }

    private mutating func remove(_ fetch: Fetch) {
        fetches[fetch.digest] = nil
        let left = runningFetches[fetch.peer, default: 1] - 1
        runningFetches[fetch.peer] = left > 0 ? left : nil
        withdraw(fetch.digest)
        shareOut()
    }

    private mutating func startWaiting(_ peer: PeerID) {
        while runningFetches[peer, default: 0] < limits.maximumTransfersPerPeer,
            var queue = waiting[peer], !queue.isEmpty
        {
            let next = queue.removeFirst()
            waiting[peer] = queue.isEmpty ? nil : queue
            fetch(next.digest, byteCount: next.byteCount, from: peer)
        }
    }
}
