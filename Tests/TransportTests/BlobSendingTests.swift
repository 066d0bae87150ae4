import Testing

@testable import Transport

/// The sender's side of the exchange: never more than credit, whatever the receiver claims.
@Suite struct BlobSendingTests {
    static let blob = pattern(100, seed: 2)
    static let digest = fingerprint(blob)
    let anna = PeerID(routingID: [1], name: "anna", publicKey: nil)
    let ben = PeerID(routingID: [2], name: "ben", publicKey: nil)

    private func exchange(
        _ limits: Limits = Limits(chunkBytes: 10, creditChunks: 2), hidden: [[UInt8]] = []
    ) -> BlobExchange {
        BlobExchange(limits: limits, blobs: MemoryBlobs([Self.blob], hidden: hidden).access, isPaused: false)
    }

    private func receive(_ exchange: inout BlobExchange, _ header: Header, from peer: PeerID) {
        exchange.receive(header, UnsafeRawBufferPointer(start: nil, count: 0), from: peer)
    }

    private func request(_ attempt: UInt32, offset: Int = 0, allowed: UInt32 = 2) -> Header {
        .request(digest: Self.digest, attempt: attempt, offset: offset, allowedChunks: allowed)
    }

    /// All chunks the exchange is willing to send now.
    private func drain(_ exchange: inout BlobExchange) -> [(PeerID, [UInt8])] {
        var sent: [(PeerID, [UInt8])] = []
        while exchange.pump({ peer, _, payload in
            sent.append((peer, payload.withBytes { Array($0) }))
            return .sent
        }) {}
        return sent
    }

    @Test func sendsOnlyWithinCredit() {
        var exchange = exchange()
        receive(&exchange, request(1), from: anna)
        #expect(drain(&exchange).map(\.1) == [Array(Self.blob[..<10]), Array(Self.blob[10..<20])])
        #expect(drain(&exchange).isEmpty)
        receive(&exchange, .grant(digest: Self.digest, attempt: 1, allowedChunks: 3, takenChunks: 1), from: anna)
        #expect(drain(&exchange).map(\.1) == [Array(Self.blob[20..<30])])
        // Grants never count for another attempt, nor backwards.
        receive(&exchange, .grant(digest: Self.digest, attempt: 2, allowedChunks: 9, takenChunks: 0), from: anna)
        receive(&exchange, .grant(digest: Self.digest, attempt: 1, allowedChunks: 1, takenChunks: 0), from: anna)
        #expect(drain(&exchange).isEmpty)
    }

    @Test func capsTheCreditThatAPeerClaims() {
        var exchange = exchange()
        receive(&exchange, request(1, allowed: .max), from: anna)
        #expect(drain(&exchange).count == 2)
        receive(&exchange, .grant(digest: Self.digest, attempt: 1, allowedChunks: .max, takenChunks: 0), from: anna)
        #expect(drain(&exchange).isEmpty)
        receive(&exchange, .grant(digest: Self.digest, attempt: 1, allowedChunks: .max, takenChunks: 3), from: anna)
        #expect(exchange.takeActions() == [.violation(anna, "a grant for 3 chunks of 2 sent")])
        receive(&exchange, .grant(digest: Self.digest, attempt: 1, allowedChunks: .max, takenChunks: 2), from: anna)
        #expect(drain(&exchange).count == 2)
    }

    @Test func sendsFromTheOffsetAskedForAndTellsTheEnd() {
        var exchange = exchange()
        receive(&exchange, request(1, offset: 85), from: anna)
        #expect(drain(&exchange).map(\.1) == [Array(Self.blob[85..<95]), Array(Self.blob[95...])])
        #expect(exchange.takeActions() == [.sent(anna, digest: Self.digest, bytes: 15)])
        #expect(exchange.streams.isEmpty && exchange.streamCounts.isEmpty)
        // What was sent last counts until the receiver has it.
        #expect(exchange.isActive && exchange.outgoing.held == 2)
        receive(&exchange, .grant(digest: Self.digest, attempt: 1, allowedChunks: 2, takenChunks: 2), from: anna)
        #expect(!exchange.isActive && exchange.outgoing.held == 0 && exchange.unconfirmed.isEmpty)
    }

    @Test func aSecondRequestReplacesTheFirst() {
        var exchange = exchange()
        receive(&exchange, request(1), from: anna)
        receive(&exchange, request(2, offset: 50), from: anna)
        #expect(drain(&exchange).map(\.1) == [Array(Self.blob[50..<60]), Array(Self.blob[60..<70])])
        #expect(exchange.streams.count == 1 && exchange.streamCounts[anna] == 1)
    }

    @Test func whoAsksAgainKeepsItsTurn() {
        var exchange = exchange()
        receive(&exchange, request(1), from: anna)
        receive(&exchange, request(1), from: ben)
        receive(&exchange, request(2, offset: 50), from: anna)
        let sent = drain(&exchange)
        #expect(sent.map(\.0) == [anna, ben, anna, ben])
        #expect(sent[0].1 == Array(Self.blob[50..<60]))
    }

    @Test func aPeerThatWasGivenUpIsServedWhenItAsksAgain() {
        var exchange = exchange(Limits(chunkBytes: 10, creditChunks: 2, totalSendingChunks: 1))
        receive(&exchange, request(1), from: anna)
        #expect(drain(&exchange).map(\.0) == [anna])
        receive(&exchange, request(1), from: ben)
        #expect(drain(&exchange).isEmpty)
        exchange.now = 4.9
        exchange.tick()
        #expect(drain(&exchange).isEmpty)
        exchange.now = 5
        exchange.tick()
        // Anna has credit left, but nothing has come from her.
        #expect(drain(&exchange).map(\.0) == [ben])
        exchange.forget(ben, reason: "gone")
        #expect(drain(&exchange).isEmpty)
        receive(&exchange, request(2, offset: 10), from: anna)
        #expect(drain(&exchange).map(\.1) == [Array(Self.blob[10..<20])])
        #expect(exchange.outgoing.held == 1 && exchange.outgoing.lent == 1)
        // What confirms the later chunk confirms the one before it.
        receive(&exchange, .grant(digest: Self.digest, attempt: 2, allowedChunks: 1, takenChunks: 1), from: anna)
        #expect(exchange.outgoing.held == 0 && exchange.outgoing.lent == 0)
    }

    @Test func takesTurnsBetweenPeers() {
        var exchange = exchange()
        receive(&exchange, request(1), from: anna)
        receive(&exchange, request(1), from: ben)
        #expect(drain(&exchange).map(\.0) == [anna, ben, anna, ben])
    }

    @Test func refusesWhatItDoesNotHaveOrMayNotGive() {
        var exchange = exchange(Limits(chunkBytes: 10, maximumTransfersPerPeer: 1), hidden: [Self.digest])
        receive(&exchange, request(1), from: anna)
        let other = fingerprint([9])
        receive(&exchange, .request(digest: other, attempt: 2, offset: 0, allowedChunks: 1), from: anna)
        // One that is hidden looks like one that does not exist.
        #expect(
            exchange.takeActions() == [
                .send(anna, .refusal(digest: Self.digest, attempt: 1, .missing)),
                .send(anna, .refusal(digest: other, attempt: 2, .missing)),
            ])
    }

    @Test func refusesOffsetsBeyondTheEndAndTooManyTransfers() {
        var exchange = BlobExchange(
            limits: Limits(maximumTransfersPerPeer: 1), blobs: MemoryBlobs([Self.blob, [1]]).access, isPaused: false)
        receive(&exchange, request(1, offset: 100), from: anna)
        #expect(
            exchange.takeActions() == [.send(anna, .refusal(digest: Self.digest, attempt: 1, .offsetOutOfRange))])
        receive(&exchange, request(2), from: anna)
        receive(&exchange, .request(digest: fingerprint([1]), attempt: 3, offset: 0, allowedChunks: 1), from: anna)
        #expect(
            exchange.takeActions() == [.send(anna, .refusal(digest: fingerprint([1]), attempt: 3, .tooManyTransfers))])
        receive(&exchange, .cancel(digest: Self.digest, attempt: 2), from: anna)
        #expect(!exchange.isActive)
    }

    @Test func tellsWhenABlobCannotBeRead() {
        let access = BlobAccess(
            open: { _ in BlobSource(byteCount: 100) { _, _ in throw Unreadable() } },
            receive: takesNothing)
        var exchange = BlobExchange(limits: Limits(), blobs: access, isPaused: false)
        receive(&exchange, request(1), from: anna)
        #expect(drain(&exchange).isEmpty)
        #expect(exchange.takeActions() == [.send(anna, .refusal(digest: Self.digest, attempt: 1, .unreadable))])
    }

    @Test func keepsABlockedChunkWithoutReadingItAgain() {
        let reads = CounterCell()
        let access = BlobAccess(
            open: { _ in
                BlobSource(byteCount: 100) { offset, target in
                    reads.update { $0.bytesSent += 1 }
                    target.copyBytes(from: Self.blob[offset..<offset + target.count])
                }
            }, receive: takesNothing)
        var exchange = BlobExchange(limits: Limits(chunkBytes: 10, creditChunks: 2), blobs: access, isPaused: false)
        receive(&exchange, request(1), from: anna)
        receive(&exchange, .request(digest: fingerprint([1]), attempt: 2, offset: 0, allowedChunks: 2), from: anna)
        for _ in 0..<3 {
            while exchange.pump({ _, _, _ in .blocked }) {}
            // One chunk for the peer, however many streams it has.
            #expect(exchange.blocked == [anna] && exchange.outgoing.held == 1 && reads.counters.bytesSent == 1)
            exchange.tick()
        }
        #expect(drain(&exchange).map(\.1).first == Array(Self.blob[..<10]))
        #expect(reads.counters.bytesSent == 4)
        while exchange.pump({ _, _, _ in .unreachable }) {}
        exchange.forget(anna, reason: "gone")
        #expect(!exchange.isActive && exchange.outgoing.held == 0)
    }

    @Test func aBlockedChunkIsDroppedWithItsStream() {
        var exchange = exchange()
        receive(&exchange, request(1), from: anna)
        while exchange.pump({ _, _, _ in .blocked }) {}
        receive(&exchange, request(2, offset: 50), from: anna)
        #expect(exchange.unsent.isEmpty && exchange.outgoing.held == 0)
        exchange.tick()
        #expect(drain(&exchange).map(\.1).first == Array(Self.blob[50..<60]))
        exchange.forget(anna, reason: "gone")
        receive(&exchange, request(3), from: anna)
        while exchange.pump({ _, _, _ in .unreachable }) {}
        #expect(!exchange.isActive)
    }

    @Test func forgetsAStreamWhoseReceiverIsSilent() {
        var exchange = exchange()
        receive(&exchange, request(1), from: anna)
        #expect(drain(&exchange).count == 2)
        exchange.now = 89
        exchange.tick()
        #expect(exchange.isActive)
        exchange.now = 90
        exchange.tick()
        #expect(!exchange.isActive && exchange.unconfirmed.isEmpty)
    }
}
