import Testing

@testable import Transport

/// Authenticated peers that do not keep to the protocol: each is counted and told, nobody else notices.
@Suite(.timeLimit(.minutes(5))) struct HostilePeerTests {
    let keys: KeyPair
    let goodKeys: KeyPair
    let blob = pattern(100, seed: 40)
    let fixture: Fixture
    let raw: RawDealer
    static let limits = Limits(chunkBytes: 10, creditChunks: 2, violationReportSeconds: 0)

    init() throws {
        keys = try KeyPair.generate()
        goodKeys = try KeyPair.generate()
        fixture = try Fixture(
            names: [keys.publicKey: "mallory", goodKeys.publicKey: "anna"], limits: Self.limits,
            blobs: MemoryBlobs([blob]))
        raw = RawDealer(fixture.server.endpoint, keys: keys, serverKey: fixture.serverKeys.publicKey)
    }

    /// Whether a peer that behaves is served as if nothing had happened.
    private func checkGoodPeer() async throws {
        let store = MemoryBlobs()
        let client = try fixture.client(goodKeys, limits: Self.limits, blobs: store)
        client.fetch(digest: fingerprint(blob), byteCount: blob.count)
        try await Events(client.events).wait(for: .blobArrived(digest: fingerprint(blob)))
        #expect(store[fingerprint(blob)] == blob)
    }

    @Test func garbageOfEveryKindIsCountedAndTold() async throws {
        var count = 0
        var expected: [String] = []
        func send(_ frames: [UInt8]..., reason: String) {
            switch frames.count {
            case 1: raw.send(frames[0])
            case 2: raw.send(frames[0], frames[1])
            default: raw.send(frames[0], frames[1], frames[2])
            }
            expected.append(reason)
            count += 1
        }
        send([], reason: "a header of 0 bytes")
        send([1], reason: "a header of 1 bytes")
        send([0, 1], reason: "unknown kind 0")
        send([200, 1, 2, 3], reason: "unknown kind 200")
        send([1, 9], reason: "transport version 9")
        send([1, 1], reason: "a header without its payload")
        send([1, 1], [1], [2], reason: "a frame too many")
        send(pattern(1000, seed: 5), [1], [2], reason: "unknown kind \(pattern(1000, seed: 5)[0])")
        let digest = fingerprint(blob)
        let headers: [Header] = [
            .request(digest: digest, attempt: 1, offset: 0, allowedChunks: 1),
            .grant(digest: digest, attempt: 1, allowedChunks: 1, takenChunks: 0),
            .refusal(digest: digest, attempt: 1, .missing),
            .cancel(digest: digest, attempt: 1), .chunk(digest: digest, attempt: 1, offset: 0, total: 100, length: 5),
        ]
        for header in headers {
            let bytes = header.encoded
            let kinds = ["request", "grant", "chunk", "refusal", "cancel"]
            let text = "a header of kind \(kinds[Int(bytes[0]) - 2]) with"
            send(Array(bytes.dropLast()), reason: "\(text) \(bytes.count - 1) bytes instead of \(bytes.count)")
            send(bytes + [0], reason: "\(text) \(bytes.count + 1) bytes instead of \(bytes.count)")
            if header.hasPayload {
                send(bytes, reason: "a header without its payload")
                send(bytes, [1, 2, 3, 4], reason: "a chunk with 4 bytes that declares 5")
                send(bytes, [1, 2, 3, 4, 5], reason: "a chunk that nobody asked for")
            } else {
                send(bytes, [1], reason: "a frame too many")
            }
        }
        for reason in expected { #expect(try await fixture.events.violation() == reason) }
        #expect(fixture.server.counters.violations == count)
        for header in [Header.dismissal, .probe] {
            raw.send(header)
            #expect(try await fixture.events.violation() == "a frame that only a server sends")
        }
        // The connection itself still works.
        raw.send(Header.control.encoded, [42])
        #expect(try await fixture.events.message().1 == [42])
        try await checkGoodPeer()
    }

    @Test func creditIsNeverExceededWhateverThePeerClaims() async throws {
        let digest = fingerprint(blob)
        func expectChunks(_ offsets: [Int], attempt: UInt32) async throws {
            // What was sent before this message has been answered before its answer.
            raw.send(Header.control.encoded, [1])
            let peer = try await fixture.events.message().0
            for offset in offsets {
                let chunk = try #require(raw.receive())
                #expect(
                    chunk.header == .chunk(digest: digest, attempt: attempt, offset: offset, total: 100, length: 10))
                #expect(chunk.payload == Array(blob[offset..<offset + 10]))
            }
            fixture.server.send([2], to: peer)
            #expect(try #require(raw.receive()).header == .control)
        }
        raw.send(.request(digest: digest, attempt: 1, offset: 0, allowedChunks: 1))
        try await expectChunks([0], attempt: 1)
        raw.send(.request(digest: digest, attempt: 2, offset: 20, allowedChunks: .max))
        try await expectChunks([20, 30], attempt: 2)
        raw.send(.grant(digest: digest, attempt: 2, allowedChunks: .max, takenChunks: 0))
        try await expectChunks([], attempt: 2)
        raw.send(.grant(digest: digest, attempt: 2, allowedChunks: 3, takenChunks: 1))
        try await expectChunks([40], attempt: 2)
        raw.send(.grant(digest: digest, attempt: 2, allowedChunks: .max, takenChunks: 3))
        try await expectChunks([50, 60], attempt: 2)
        raw.send(.cancel(digest: digest, attempt: 2))
        raw.send(.grant(digest: digest, attempt: 2, allowedChunks: .max, takenChunks: 5))
        try await expectChunks([], attempt: 2)
        raw.send(.request(digest: digest, attempt: 3, offset: 100, allowedChunks: 1))
        #expect(raw.receive()?.header == .refusal(digest: digest, attempt: 3, .offsetOutOfRange))
    }

    @Test func aFrameOverTheLimitEndsOnlyItsConnection() async throws {
        raw.send(Header.control.encoded, [1])
        let peer = try await fixture.events.message().0
        raw.send(Header.control.encoded, [UInt8](repeating: 0, count: 5 << 20))
        try await fixture.events.wait(for: .departed(peer))
        try await checkGoodPeer()
    }

    @Test func aSenderOfWrongChunksIsGivenUp() async throws {
        raw.send(Header.control.encoded, [1])
        let peer = try await fixture.events.message().0
        let digest = fingerprint([1])
        fixture.server.fetch(digest: digest, byteCount: 50, from: peer)
        for attempt: UInt32 in 1...4 {
            #expect(raw.receive()?.header == .request(digest: digest, attempt: attempt, offset: 0, allowedChunks: 2))
            let header = Header.chunk(digest: digest, attempt: attempt, offset: 10, total: 50, length: 10)
            raw.send(header.encoded, [UInt8](repeating: 0, count: 10))
        }
        try await fixture.events.wait(
            for: .blobFailed(peer, digest: digest, .broken(reason: "the peer sends the wrong chunks")))
        #expect(fixture.server.counters.violations == 4)
        try await checkGoodPeer()
    }

    @Test func aHostileServerDoesNotHurtAClientEither() async throws {
        let store = MemoryBlobs()
        let client = try fixture.client(goodKeys, limits: Self.limits, blobs: store)
        let events = Events(client.events)
        client.send([1])
        let peer = try await fixture.events.message().0
        // A control message whose first bytes look like anything at all stays a message.
        fixture.server.send([4, 1, 0, 0], to: peer)
        try await events.wait(for: .message([4, 1, 0, 0]))
        client.fetch(digest: fingerprint(blob), byteCount: 99)
        try await events.first { if case .violation = $0 { () } else { nil } }
        let reason = "the peer's blob has 100 bytes instead of 99"
        try await events.wait(for: .blobFailed(digest: fingerprint(blob), .wrong(reason: reason)))
        #expect(client.counters.violations == 1)
    }
}
