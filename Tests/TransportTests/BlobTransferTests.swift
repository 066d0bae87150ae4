import Testing

@testable import Transport

/// Blobs over real sockets, in both directions.
@Suite(.timeLimit(.minutes(5))) struct BlobTransferTests {
    @Test func severalPeersFetchAndDeliverAtOnce() async throws {
        let keys = try (0..<3).map { _ in try KeyPair.generate() }
        let names = Dictionary(uniqueKeysWithValues: keys.enumerated().map { ($1.publicKey, "worker-\($0)") })
        let shared = pattern(3 << 20 + 17, seed: 10)
        let sharedDigest = fingerprint(shared)
        let ups = (0..<3).map { pattern(1 << 20 + $0, seed: UInt64(20 + $0)) }
        let upDigests = ups.map(fingerprint)
        let serverBlobs = MemoryBlobs([shared])
        let fixture = try Fixture(names: names, blobs: serverBlobs)
        let stores = ups.map { MemoryBlobs([$0]) }
        let clients = try zip(keys, stores).map { try fixture.client($0, blobs: $1) }
        for (index, client) in clients.enumerated() {
            client.fetch(digest: sharedDigest, byteCount: shared.count)
            client.send([UInt8(index)])
        }
        var arrived: Set<String> = []
        var sent: Set<String> = []
        while arrived.count < 3 || sent.count < 3 {
            try await fixture.events.first { event in
                switch event {
                case .message(let peer, let message):
                    let index = Int(message[0])
                    fixture.server.fetch(digest: upDigests[index], byteCount: ups[index].count, from: peer)
                    return
                case .blobArrived(let peer, let digest):
                    #expect(upDigests.contains(digest))
                    #expect(arrived.insert(peer.description).inserted)
                    return
                case .blobSent(let peer, let digest, let bytes):
                    #expect(digest == sharedDigest && bytes == shared.count)
                    #expect(sent.insert(peer.description).inserted)
                    return
                default: return nil
                }
            }
        }
        for up in ups { #expect(serverBlobs[fingerprint(up)] == up) }
        for (client, store) in zip(clients, stores) {
            try await Events(client.events).wait(for: .blobArrived(digest: sharedDigest))
            #expect(store[sharedDigest] == shared)
            #expect(store.state.withLock { $0.receivedBytes } == shared.count)
        }
        #expect(fixture.server.counters.violations == 0)
    }

    @Test func aNewClientGoesOnWhereTheOldOneStopped() async throws {
        let (first, second) = (try KeyPair.generate(), try KeyPair.generate())
        let blob = pattern(2 << 20, seed: 30)
        let digest = fingerprint(blob)
        let limits = Limits(chunkBytes: 64 << 10, creditChunks: 1)
        let gate = Gate()
        let source = BlobAccess(
            open: { _ in
                BlobSource(byteCount: blob.count) { offset, target in
                    // The server stands still in the middle until the old client has gone.
                    if offset == 1 << 20 { gate.wait() }
                    target.copyBytes(from: blob[offset..<offset + target.count])
                }
            }, receive: takesNothing)
        let serverKeys = try KeyPair.generate()
        let server = try Server(bind: "tcp://127.0.0.1:*", keys: serverKeys, limits: limits, blobs: source)
        let store = MemoryBlobs()
        let clients = try [first, second].map {
            try Client(
                connect: server.endpoint, keys: $0, serverKey: serverKeys.publicKey, limits: limits,
                blobs: store.access)
        }
        clients[0].fetch(digest: digest, byteCount: blob.count)
        try await Events(clients[0].events).wait(
            for: .blobProgress(digest: digest, received: 1 << 20, total: 2 << 20))
        clients[0].close()
        #expect(store.partialCount(digest) == 1 << 20)
        gate.open()
        clients[1].fetch(digest: digest, byteCount: blob.count)
        try await Events(clients[1].events).wait(for: .blobArrived(digest: digest))
        #expect(store[digest] == blob)
        #expect(clients[1].counters.bytesReceived == 1 << 20)
    }

    @Test func aFetchSurvivesARestartOfTheServer() async throws {
        let keys = try KeyPair.generate()
        let blob = pattern(2 << 20, seed: 31)
        let digest = fingerprint(blob)
        let limits = Limits(chunkBytes: 64 << 10, creditChunks: 1)
        // On an address of its own: on the usual one another test may take the port in between.
        let old = try Fixture(
            names: [keys.publicKey: "a"], limits: limits, blobs: MemoryBlobs([blob]), bind: "tcp://127.0.0.78:*")
        let gate = Gate()
        // The client stands still in the middle until the old server has gone.
        let store = MemoryBlobs(beforeAppend: { if $0 == 1 << 20 { gate.wait() } })
        let client = try old.client(keys, limits: limits, blobs: store)
        let events = Events(client.events)
        client.fetch(digest: digest, byteCount: blob.count)
        try await events.wait(for: .blobProgress(digest: digest, received: 1 << 20, total: 2 << 20))
        old.server.close()
        gate.open()
        try await events.first { if case .disconnected = $0 { () } else { nil } }
        let new = try Fixture(
            names: [keys.publicKey: "a"], limits: limits, blobs: MemoryBlobs([blob]), bind: old.server.endpoint,
            keys: old.serverKeys)
        try await events.wait(for: .blobArrived(digest: digest))
        #expect(store[digest] == blob)
        #expect(store.state.withLock { $0.receivedBytes } == blob.count)
        #expect(new.server.counters.violations == 0)
    }

    @Test func theServersFetchFailsWhenThePeerGoesAndResumesFromTheNext() async throws {
        let keys = try KeyPair.generate()
        let blob = pattern(2 << 20, seed: 32)
        let limits = Limits(chunkBytes: 4096, creditChunks: 1)
        let store = MemoryBlobs()
        let fixture = try Fixture(names: [keys.publicKey: "a"], limits: limits, blobs: store)
        // The client itself stops in the middle: reading the second half closes the gate.
        let source = BlobAccess(
            open: { _ in
                BlobSource(byteCount: blob.count) { offset, target in
                    if offset >= blob.count / 2 { throw Unreadable() }
                    target.copyBytes(from: blob[offset..<offset + target.count])
                }
            }, receive: takesNothing)
        let first = try Client(
            connect: fixture.server.endpoint, keys: keys, serverKey: fixture.serverKeys.publicKey, limits: limits,
            blobs: source)
        first.send([1])
        let peer = try await fixture.events.message().0
        fixture.server.fetch(digest: fingerprint(blob), byteCount: blob.count, from: peer)
        try await fixture.events.wait(
            for: .blobFailed(peer, digest: fingerprint(blob), .broken(reason: "the peer cannot read it")))
        #expect(store.partialCount(fingerprint(blob)) == blob.count / 2)
        first.close()
        try await fixture.events.wait(for: .departed(peer))
        fixture.server.fetch(digest: fingerprint(blob), byteCount: blob.count, from: peer)
        try await fixture.events.wait(
            for: .blobFailed(peer, digest: fingerprint(blob), .broken(reason: "the peer is not connected")))
        let second = try fixture.client(keys, limits: limits, blobs: MemoryBlobs([blob]))
        second.send([2])
        let again = try await fixture.events.message().0
        #expect(again != peer)
        fixture.server.fetch(digest: fingerprint(blob), byteCount: blob.count, from: again)
        try await fixture.events.wait(for: .blobArrived(again, digest: fingerprint(blob)))
        #expect(store[fingerprint(blob)] == blob)
        #expect(second.counters.bytesSent == blob.count / 2 + 1)
    }

    @Test func missingHiddenAndForgedBlobsFail() async throws {
        let keys = try KeyPair.generate()
        let blob = pattern(100, seed: 33)
        let forged = fingerprint([1])
        let serverBlobs = MemoryBlobs([blob], hidden: [fingerprint(blob)])
        serverBlobs.state.withLock { $0.whole[forged] = blob }
        let fixture = try Fixture(names: [keys.publicKey: "a"], blobs: serverBlobs)
        let clientBlobs = MemoryBlobs()
        let client = try fixture.client(keys, blobs: clientBlobs)
        let events = Events(client.events)
        client.fetch(digest: fingerprint([7]), byteCount: 1)
        try await events.wait(for: .blobFailed(digest: fingerprint([7]), .wrong(reason: "the peer does not have it")))
        client.fetch(digest: fingerprint(blob), byteCount: blob.count)
        try await events.wait(for: .blobFailed(digest: fingerprint(blob), .wrong(reason: "the peer does not have it")))
        client.fetch(digest: forged, byteCount: blob.count)
        try await events.wait(for: .blobFailed(digest: forged, .wrong(reason: "its digest does not match")))
        #expect(clientBlobs[forged] == nil && clientBlobs.partialCount(forged) == 0)
        client.fetch(digest: forged, byteCount: 5 << 30)
        let limit = 4 << 30
        try await events.wait(
            for: .blobFailed(
                digest: forged, .wrong(reason: "its \(5 << 30) bytes are not within the limit of \(limit)")))
    }

    @Test func aPeerThatNeverSendsIsGivenUp() async throws {
        let keys = try KeyPair.generate()
        let fixture = try Fixture(
            names: [keys.publicKey: "a"], limits: Limits(transferTimeoutSeconds: 0.1), blobs: MemoryBlobs())
        let mute = RawDealer(fixture.server.endpoint, keys: keys, serverKey: fixture.serverKeys.publicKey)
        mute.send(Header.control.encoded, [1])
        let peer = try await fixture.events.message().0
        let digest = fingerprint([1])
        fixture.server.fetch(digest: digest, byteCount: 1, from: peer)
        try await fixture.events.wait(
            for: .blobFailed(peer, digest: digest, .broken(reason: "nothing came for 0.2 seconds")))
        #expect(mute.receive()?.header == .request(digest: digest, attempt: 1, offset: 0, allowedChunks: 1))
        #expect(mute.receive()?.header == .request(digest: digest, attempt: 2, offset: 0, allowedChunks: 1))
        #expect(mute.receive()?.header == .cancel(digest: digest, attempt: 2))
    }
}
