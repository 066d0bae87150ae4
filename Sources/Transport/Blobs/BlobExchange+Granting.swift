/// The receiver's side: which fetch may be sent how much, out of the window that all of them share.
extension BlobExchange {
    /// Begins a new attempt from where the blob stands, as soon as the window has a chunk for it.
    mutating func request(_ digest: [UInt8]) {
        guard !isPaused, fetches[digest] != nil else { return }
        withdraw(digest)
        fetches[digest]?.attempt = 0
        fetches[digest]?.allowedChunks = 0
        fetches[digest]?.receivedChunks = 0
        want(digest)
        shareOut()
    }

    /// Takes back what the fetch holds in the window, and its turn.
    mutating func withdraw(_ digest: [UInt8]) {
        incoming.release(digest)
        wanting.removeAll { $0 == digest }
    }

    /// Puts the fetch in line when it can use more chunks than it holds.
    mutating func want(_ digest: [UInt8]) {
        guard let fetch = fetches[digest], wantsMore(fetch), !wanting.contains(digest) else { return }
        wanting.append(digest)
    }

    /// Never more than the rest of the blob needs: the window would be taken up by chunks that do not exist.
    private func wantsMore(_ fetch: Fetch) -> Bool {
        let missing = (fetch.byteCount - fetch.offset + limits.chunkBytes - 1) / limits.chunkBytes
        // Only tiny chunks could exhaust the number: then nothing more comes, and silence begins a new attempt.
        guard fetch.allowedChunks < .max else { return false }
        return Int(fetch.allowedChunks - fetch.receivedChunks) < min(limits.creditChunks, missing)
    }

    /// Gives out what the window has, in turn, and tells the senders.
    /// - Parameter told: a fetch whose sender hears from us even if it gets nothing.
    mutating func shareOut(telling told: [UInt8]? = nil) {
        var changed = told.map { [$0] } ?? []
        var index = 0
        while !incoming.isFull, index < wanting.count {
            let digest = wanting[index]
            guard incoming.mayTake(digest), var fetch = fetches[digest] else {
                index += 1
                continue
            }
            wanting.remove(at: index)
            incoming.take(digest, at: now)
            if fetch.allowedChunks == fetch.receivedChunks { fetch.lastHeardSeconds = now }
            fetch.allowedChunks += 1
            fetches[digest] = fetch
            want(digest)
            if !changed.contains(digest) { changed.append(digest) }
        }
        for digest in changed { tellSender(digest) }
    }

    private mutating func tellSender(_ digest: [UInt8]) {
        guard var fetch = fetches[digest] else { return }
        guard fetch.attempt == 0 else {
            let grant = Header.grant(
                digest: digest, attempt: fetch.attempt, allowedChunks: fetch.allowedChunks,
                takenChunks: fetch.receivedChunks)
            return perform(.send(fetch.peer, grant))
        }
        fetch.attempt = nextAttempt
        // Four thousand million attempts are more than a process lives to see; zero stays "not asked".
        nextAttempt = nextAttempt == .max ? 1 : nextAttempt + 1
        fetches[digest] = fetch
        let request = Header.request(
            digest: digest, attempt: fetch.attempt, offset: fetch.offset, allowedChunks: fetch.allowedChunks)
        perform(.send(fetch.peer, request))
    }
}
