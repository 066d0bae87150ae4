import Synchronization
import Testing

@testable import Transport

/// Peers that interfere with transfers, their own and those of others, over real sockets.
@Suite(.timeLimit(.minutes(5))) struct HostileTransferTests {
    static let limits = Limits(
        maximumControlBytes: 100, chunkBytes: 10, creditChunks: 2, violationReportSeconds: 0)
    let blob = pattern(50, seed: 50)
    let wanted = pattern(50, seed: 51)
    let store: MemoryBlobs
    let fixture: Fixture
    let mallory: RawDealer
    let anna: RawDealer

    init() throws {
        let (malloryKeys, annaKeys) = (try KeyPair.generate(), try KeyPair.generate())
        store = MemoryBlobs([blob])
        fixture = try Fixture(
            names: [malloryKeys.publicKey: "mallory", annaKeys.publicKey: "anna"], limits: Self.limits, blobs: store)
        mallory = RawDealer(fixture.server.endpoint, keys: malloryKeys, serverKey: fixture.serverKeys.publicKey)
        anna = RawDealer(fixture.server.endpoint, keys: annaKeys, serverKey: fixture.serverKeys.publicKey)
    }

    private func greet(_ raw: RawDealer) async throws -> PeerID {
        raw.send(Header.control.encoded, [1])
        return try await fixture.events.message().0
    }

    /// Waits until the server has read all that the peer has sent.
    private func settle(_ raw: RawDealer, _ mark: UInt8) async throws {
        raw.send(Header.control.encoded, [mark])
        try await fixture.events.first { if case .message(_, [mark]) = $0 { () } else { nil } }
    }

    private func sendChunk(_ raw: RawDealer, attempt: UInt32, offset: Int, of blob: [UInt8], as digest: [UInt8]) {
        let payload = Array(blob[offset..<offset + 10])
        let header = Header.chunk(digest: digest, attempt: attempt, offset: offset, total: blob.count, length: 10)
        raw.send(header.encoded, payload)
    }

    @Test func payloadsOverTheLimitAreDropped() async throws {
        let peer = try await greet(mallory)
        mallory.send(Header.control.encoded, [UInt8](repeating: 0, count: 101))
        #expect(try await fixture.events.violation() == "a control message of 101 bytes")
        let header = Header.chunk(digest: fingerprint([1]), attempt: 1, offset: 0, total: 100, length: 11)
        mallory.send(header.encoded, [UInt8](repeating: 0, count: 11))
        #expect(try await fixture.events.violation() == "a chunk that declares 11 bytes")
        #expect(try await greet(mallory) == peer)
    }

    @Test func chunksOutOfOrderAreNotStored() async throws {
        let digest = fingerprint(wanted)
        let peer = try await greet(mallory)
        fixture.server.fetch(digest: digest, byteCount: 50, from: peer)
        #expect(mallory.receive()?.header == .request(digest: digest, attempt: 1, offset: 0, allowedChunks: 2))
        sendChunk(mallory, attempt: 1, offset: 0, of: wanted, as: digest)
        #expect(mallory.receive()?.header == .grant(digest: digest, attempt: 1, allowedChunks: 3, takenChunks: 1))
        sendChunk(mallory, attempt: 1, offset: 0, of: wanted, as: digest)
        #expect(try await fixture.events.violation() == "a chunk at 0, not 10")
        #expect(mallory.receive()?.header == .request(digest: digest, attempt: 2, offset: 10, allowedChunks: 2))
        sendChunk(mallory, attempt: 2, offset: 20, of: wanted, as: digest)
        #expect(try await fixture.events.violation() == "a chunk at 20, not 10")
        #expect(mallory.receive()?.header == .request(digest: digest, attempt: 3, offset: 10, allowedChunks: 2))
        // Older attempts are over, whatever their chunks say.
        sendChunk(mallory, attempt: 1, offset: 10, of: wanted, as: digest)
        sendChunk(mallory, attempt: 2, offset: 10, of: wanted, as: digest)
        try await settle(mallory, 7)
        #expect(store.partialCount(digest) == 10)
        for offset in stride(from: 10, to: 50, by: 10) {
            sendChunk(mallory, attempt: 3, offset: offset, of: wanted, as: digest)
            #expect(mallory.receive() != nil)
        }
        try await fixture.events.wait(for: .blobArrived(peer, digest: digest))
        #expect(store[digest] == wanted && fixture.server.counters.violations == 2)
    }

    @Test func chunksThatNobodyAskedForAreNotStored() async throws {
        let digest = fingerprint(wanted)
        let peer = try await greet(mallory)
        sendChunk(mallory, attempt: 1, offset: 0, of: wanted, as: digest)
        #expect(try await fixture.events.violation() == "a chunk that nobody asked for")
        // Now that an attempt with this number exists, it is still another blob's.
        fixture.server.fetch(digest: fingerprint([1]), byteCount: 1, from: peer)
        #expect(mallory.receive() != nil)
        sendChunk(mallory, attempt: 1, offset: 0, of: wanted, as: digest)
        try await settle(mallory, 7)
        #expect(store.partialCount(digest) == 0 && store[digest] == nil)
    }

    @Test func aStrangerCannotTouchAnUpload() async throws {
        let digest = fingerprint(wanted)
        let peer = try await greet(anna)
        _ = try await greet(mallory)
        fixture.server.fetch(digest: digest, byteCount: 50, from: peer)
        #expect(anna.receive()?.header == .request(digest: digest, attempt: 1, offset: 0, allowedChunks: 2))
        mallory.send(.refusal(digest: digest, attempt: 1, .missing))
        mallory.send(.cancel(digest: digest, attempt: 1))
        mallory.send(.grant(digest: digest, attempt: 1, allowedChunks: 9, takenChunks: 9))
        sendChunk(mallory, attempt: 1, offset: 0, of: blob, as: digest)
        try await settle(mallory, 7)
        for offset in stride(from: 0, to: 50, by: 10) {
            sendChunk(anna, attempt: 1, offset: offset, of: wanted, as: digest)
        }
        try await fixture.events.wait(for: .blobArrived(peer, digest: digest))
        #expect(store[digest] == wanted)
    }

    @Test func aStrangerCannotTouchADownload() async throws {
        let digest = fingerprint(blob)
        anna.send(.request(digest: digest, attempt: 1, offset: 0, allowedChunks: 2))
        for offset in [0, 10] { #expect(anna.receive()?.payload == Array(blob[offset..<offset + 10])) }
        mallory.send(.grant(digest: digest, attempt: 1, allowedChunks: 9, takenChunks: 2))
        mallory.send(.cancel(digest: digest, attempt: 1))
        mallory.send(.refusal(digest: digest, attempt: 1, .missing))
        try await settle(mallory, 7)
        let peer = try await greet(anna)
        fixture.server.send([9], to: peer)
        #expect(anna.receive()?.header == .control)
        anna.send(.grant(digest: digest, attempt: 1, allowedChunks: 9, takenChunks: 2))
        for offset in [20, 30] { #expect(anna.receive()?.payload == Array(blob[offset..<offset + 10])) }
    }

    @Test func aBlobThatDoesNotMatchItsDigestIsThePeersFault() async throws {
        let digest = fingerprint(wanted)
        let peer = try await greet(mallory)
        fixture.server.fetch(digest: digest, byteCount: 50, from: peer)
        for offset in stride(from: 0, to: 50, by: 10) {
            sendChunk(mallory, attempt: 1, offset: offset, of: blob, as: digest)
        }
        try await fixture.events.wait(
            for: .blobFailed(peer, digest: digest, .wrong(reason: "its digest does not match")))
        #expect(store[digest] == nil && store.partialCount(digest) == 0)
        // Another size than declared is as wrong, and known from the first chunk.
        fixture.server.fetch(digest: digest, byteCount: 40, from: peer)
        sendChunk(mallory, attempt: 2, offset: 0, of: wanted, as: digest)
        try await fixture.events.wait(
            for: .blobFailed(peer, digest: digest, .wrong(reason: "the peer's blob has 50 bytes instead of 40")))
        // A peer that has nothing of what it offered.
        fixture.server.fetch(digest: digest, byteCount: 50, from: peer)
        mallory.send(.refusal(digest: digest, attempt: 3, .missing))
        try await fixture.events.wait(
            for: .blobFailed(peer, digest: digest, .wrong(reason: "the peer does not have it")))
    }

    @Test func theServerTellsHowFarAnUploadIs() async throws {
        let digest = fingerprint(wanted)
        let peer = try await greet(anna)
        fixture.server.fetch(digest: digest, byteCount: 50, from: peer)
        for offset in stride(from: 0, to: 50, by: 10) {
            sendChunk(anna, attempt: 1, offset: offset, of: wanted, as: digest)
            try await fixture.events.wait(
                for: .blobProgress(peer, digest: digest, received: offset + 10, total: 50))
        }
        try await fixture.events.wait(for: .blobArrived(peer, digest: digest))
    }
}

/// A key that is struck off the list while blobs are on their way.
@Suite(.timeLimit(.minutes(5))) struct RevocationTests {
    /// The names of keys, to be changed while a server asks for them.
    final class Names: Sendable {
        let names = Mutex<[String: String]>([:])
    }

    @Test func aRevokedPeerIsCutOffInTheMiddleOfItsTransfers() async throws {
        let (keys, serverKeys) = (try KeyPair.generate(), try KeyPair.generate())
        let list = Names()
        list.names.withLock { $0[keys.publicKey] = "anna" }
        let (ours, theirs) = (pattern(50, seed: 60), pattern(50, seed: 61))
        let store = MemoryBlobs([ours])
        let server = try Server(
            bind: "tcp://127.0.0.1:*", keys: serverKeys, allow: { key in list.names.withLock { $0[key] } },
            limits: HostileTransferTests.limits, blobs: store.access)
        let events = Events(server.events)
        let raw = RawDealer(server.endpoint, keys: keys, serverKey: serverKeys.publicKey)
        raw.send(.request(digest: fingerprint(ours), attempt: 1, offset: 0, allowedChunks: 2))
        for _ in 0..<2 { #expect(raw.receive()?.payload.count == 10) }
        raw.send(Header.control.encoded, [1])
        let peer = try await events.message().0
        server.fetch(digest: fingerprint(theirs), byteCount: 50, from: peer)
        let header = raw.receive()?.header
        #expect(header == .request(digest: fingerprint(theirs), attempt: 1, offset: 0, allowedChunks: 2))
        func chunk(_ offset: Int) {
            let header = Header.chunk(
                digest: fingerprint(theirs), attempt: 1, offset: offset, total: 50, length: 10)
            raw.send(header.encoded, Array(theirs[offset..<offset + 10]))
        }
        chunk(0)
        #expect(raw.receive() != nil)
        list.names.withLock { $0 = [:] }
        chunk(10)
        raw.send(.grant(digest: fingerprint(ours), attempt: 1, allowedChunks: 5, takenChunks: 2))
        try await events.wait(for: .turnedAway(key: keys.publicKey, address: "127.0.0.1", .keyNotAllowed))
        try await events.wait(
            for: .blobFailed(peer, digest: fingerprint(theirs), .broken(reason: "its key is no longer allowed")))
        try await events.wait(for: .departed(peer))
        for _ in 0..<2 { #expect(raw.receive()?.header == .dismissal) }
        #expect(store.partialCount(fingerprint(theirs)) == 10)
        // Even with its key allowed again, this connection has departed and stays so.
        list.names.withLock { $0[keys.publicKey] = "anna" }
        raw.send(Header.control.encoded, [2])
        #expect(raw.receive()?.header == .dismissal)
        let fresh = RawDealer(server.endpoint, keys: keys, serverKey: serverKeys.publicKey)
        fresh.send(Header.control.encoded, [3])
        let (again, message) = try await events.message()
        #expect(message == [3] && again != peer)
        server.close()
        #expect(await events.rest() == [])
    }
}
