import Testing

@testable import Transport

/// The receiver's side of the exchange, frame by frame, on a clock of its own.
@Suite struct BlobReceivingTests {
    static let blob = pattern(100, seed: 1)
    static let digest = fingerprint(blob)
    let anna = PeerID(routingID: [1], name: "anna", publicKey: nil)
    let ben = PeerID(routingID: [2], name: "ben", publicKey: nil)
    let store = MemoryBlobs()

    private func exchange(_ limits: Limits = Limits(chunkBytes: 10, creditChunks: 2)) -> BlobExchange {
        BlobExchange(limits: limits, blobs: store.access, isPaused: false)
    }

    private func deliver(
        _ exchange: inout BlobExchange, from peer: PeerID, attempt: UInt32, offset: Int, total: Int = 100,
        bytes: [UInt8]? = nil
    ) -> [BlobExchange.Action] {
        let payload = bytes ?? Array(Self.blob[offset..<offset + 10])
        let header = Header.chunk(
            digest: Self.digest, attempt: attempt, offset: offset, total: total, length: payload.count)
        payload.withUnsafeBytes { exchange.receive(header, $0, from: peer) }
        return exchange.takeActions()
    }

    private func request(_ attempt: UInt32, offset: Int = 0) -> Header {
        .request(digest: Self.digest, attempt: attempt, offset: offset, allowedChunks: 2)
    }

    private func grant(_ attempt: UInt32, _ allowed: UInt32, taken: UInt32) -> Header {
        .grant(digest: Self.digest, attempt: attempt, allowedChunks: allowed, takenChunks: taken)
    }

    @Test func requestsGrantsAndFinishes() {
        var exchange = exchange()
        exchange.fetch(Self.digest, byteCount: 100, from: anna)
        #expect(exchange.takeActions() == [.send(anna, request(1))])
        for taken: UInt32 in 1...10 {
            let actions = deliver(&exchange, from: anna, attempt: 1, offset: 10 * Int(taken - 1))
            // Never more than the blob has chunks; the last one is confirmed as well.
            #expect(actions.first == .send(anna, grant(1, min(10, taken + 2), taken: taken)))
            #expect(actions[1] == .progress(anna, digest: Self.digest, received: 10 * Int(taken), total: 100))
            #expect(actions.dropFirst(2) == (taken == 10 ? [.arrived(anna, digest: Self.digest)] : []))
        }
        #expect(store[Self.digest] == Self.blob)
        #expect(!exchange.isActive && exchange.runningFetches.isEmpty)
    }

    @Test func asksAgainAfterOneSilenceAndFailsAfterTwo() {
        var exchange = exchange()
        exchange.fetch(Self.digest, byteCount: 100, from: anna)
        _ = deliver(&exchange, from: anna, attempt: 1, offset: 0)
        exchange.now = 29
        exchange.tick()
        #expect(exchange.takeActions() == [])
        exchange.now = 30
        exchange.tick()
        #expect(exchange.takeActions() == [.send(anna, request(2, offset: 10))])
        // What still comes for the first attempt is neither taken nor held against the peer.
        #expect(deliver(&exchange, from: anna, attempt: 1, offset: 10) == [])
        exchange.now = 60
        exchange.tick()
        let actions = exchange.takeActions()
        #expect(actions.first == .send(anna, .cancel(digest: Self.digest, attempt: 2)))
        #expect(
            actions.last == .failed(anna, digest: Self.digest, .broken(reason: "nothing came for 60.0 seconds")))
        #expect(store.partialCount(Self.digest) == 10)
        #expect(store.state.withLock { $0.abandoned } == 1)
    }

    @Test func requestsAnewWhenTheOffsetIsWrongAndGivesUpInTheEnd() {
        var exchange = exchange()
        exchange.fetch(Self.digest, byteCount: 100, from: anna)
        _ = exchange.takeActions()
        for attempt: UInt32 in 1...3 {
            #expect(
                deliver(&exchange, from: anna, attempt: attempt, offset: 50) == [
                    .violation(anna, "a chunk at 50, not 0"), .send(anna, request(attempt + 1)),
                ])
        }
        let actions = deliver(&exchange, from: anna, attempt: 4, offset: 50)
        #expect(actions.last == .failed(anna, digest: Self.digest, .broken(reason: "the peer sends the wrong chunks")))
    }

    @Test func refusesChunksBeyondCreditAndChunksNobodyAskedFor() {
        var exchange = exchange()
        #expect(
            deliver(&exchange, from: anna, attempt: 1, offset: 0) == [.violation(anna, "a chunk that nobody asked for")]
        )
        exchange.fetch(Self.digest, byteCount: 100, from: anna)
        _ = exchange.takeActions()
        exchange.fetches[Self.digest]?.receivedChunks = 2
        #expect(
            deliver(&exchange, from: anna, attempt: 1, offset: 0) == [
                .violation(anna, "a chunk beyond its credit"), .send(anna, request(2)),
            ])
        // Another peer cannot push bytes into it.
        #expect(deliver(&exchange, from: ben, attempt: 2, offset: 0) == [])
        #expect(store.partialCount(Self.digest) == 0)
    }

    @Test func failsWhenTheSizeIsNotAsDeclared() {
        var exchange = exchange()
        exchange.fetch(Self.digest, byteCount: 100, from: anna)
        _ = exchange.takeActions()
        let actions = deliver(&exchange, from: anna, attempt: 1, offset: 0, total: 101)
        #expect(actions.first == .violation(anna, "a chunk of a blob of 101 bytes instead of 100"))
        #expect(
            actions.last
                == .failed(anna, digest: Self.digest, .wrong(reason: "the peer's blob has 101 bytes instead of 100")))
    }

    @Test func failsWhenTheDigestDoesNotMatch() {
        var exchange = exchange(Limits(chunkBytes: 100))
        exchange.fetch(Self.digest, byteCount: 100, from: anna)
        _ = exchange.takeActions()
        let actions = deliver(
            &exchange, from: anna, attempt: 1, offset: 0, bytes: [UInt8](repeating: 0, count: 100))
        #expect(actions.last == .failed(anna, digest: Self.digest, .wrong(reason: "its digest does not match")))
        #expect(store[Self.digest] == nil)
    }

    @Test func anotherPeerThatHasTheBlobTakesOverFromTheSameByte() {
        var exchange = exchange()
        exchange.fetch(Self.digest, byteCount: 100, from: anna)
        exchange.fetch(Self.digest, byteCount: 100, from: anna)
        exchange.fetch(Self.digest, byteCount: 100, from: ben)
        #expect(exchange.takeActions() == [.send(anna, request(1))])
        _ = deliver(&exchange, from: anna, attempt: 1, offset: 0)
        exchange.forget(anna, reason: "gone")
        #expect(
            exchange.takeActions() == [
                .failed(anna, digest: Self.digest, .broken(reason: "gone")), .send(ben, request(2, offset: 10)),
            ])
    }

    @Test func bothPeersHearOfABlobThatBothOffered() {
        var exchange = exchange(Limits(chunkBytes: 100))
        exchange.fetch(Self.digest, byteCount: 100, from: anna)
        exchange.fetch(Self.digest, byteCount: 100, from: ben)
        exchange.fetch(Self.digest, byteCount: 99, from: ben)
        _ = exchange.takeActions()
        let actions = deliver(&exchange, from: anna, attempt: 1, offset: 0, bytes: Self.blob)
        #expect(actions.suffix(2) == [.arrived(anna, digest: Self.digest), .arrived(ben, digest: Self.digest)])
    }

    @Test func moreFetchesThanThePeerMayHaveWaitTheirTurn() {
        var exchange = exchange(Limits(maximumTransfersPerPeer: 2, maximumWaitingFetches: 2))
        let digests = (0..<5).map { fingerprint([$0]) }
        for digest in digests { exchange.fetch(digest, byteCount: 1, from: anna) }
        #expect(exchange.fetches.count == 2)
        #expect(
            exchange.takeActions().last
                == .failed(anna, digest: digests[4], .broken(reason: "too many fetches from this peer are waiting")))
        exchange.receive(.refusal(digest: digests[0], attempt: 1, .missing), .init(start: nil, count: 0), from: anna)
        let actions = exchange.takeActions()
        #expect(actions.first == .failed(anna, digest: digests[0], .wrong(reason: "the peer does not have it")))
        #expect(exchange.fetches[digests[2]]?.attempt == 3)
        exchange.forget(anna, reason: nil)
        #expect(!exchange.isActive && exchange.waiting.isEmpty && exchange.runningFetches.isEmpty)
        #expect(exchange.takeActions() == [])
    }

    @Test func waitsForTheConnectionAndResumes() {
        var exchange = BlobExchange(
            limits: Limits(chunkBytes: 10, creditChunks: 2), blobs: store.access, isPaused: true)
        exchange.fetch(Self.digest, byteCount: 100, from: anna)
        exchange.now = 1000
        exchange.tick()
        #expect(exchange.takeActions() == [])
        exchange.resume()
        #expect(exchange.takeActions() == [.send(anna, request(1))])
        _ = deliver(&exchange, from: anna, attempt: 1, offset: 0)
        exchange.pause()
        exchange.resume()
        #expect(exchange.takeActions() == [.send(anna, request(2, offset: 10))])
    }

    @Test func refusesSizesAndDigestsOutOfBounds() {
        var exchange = exchange(Limits(maximumBlobBytes: 1 << 20))
        exchange.fetch(Self.digest, byteCount: 1 << 20 + 1, from: anna)
        exchange.fetch(Self.digest, byteCount: -1, from: anna)
        exchange.fetch([1, 2, 3], byteCount: 1, from: anna)
        let actions = exchange.takeActions()
        #expect(actions.count == 3)
        #expect(actions.allSatisfy { if case .failed = $0 { true } else { false } })
        #expect(!exchange.isActive)
    }

    @Test func anEmptyBlobAndACompletePartNeedNoPeer() {
        var exchange = exchange()
        exchange.fetch(fingerprint([]), byteCount: 0, from: anna)
        #expect(exchange.takeActions() == [.arrived(anna, digest: fingerprint([]))])
        store.state.withLock { $0.partial[Self.digest] = Self.blob }
        exchange.fetch(Self.digest, byteCount: 100, from: anna)
        #expect(exchange.takeActions() == [.arrived(anna, digest: Self.digest)])
        store.state.withLock { $0.partial[Self.digest] = Self.blob + [0] }
        exchange.fetch(Self.digest, byteCount: 100, from: anna)
        #expect(
            exchange.takeActions() == [
                .failed(
                    anna, digest: Self.digest,
                    .storage(reason: "the stored part has 101 bytes, the blob only 100", isDiskFull: false))
            ])
    }
}
