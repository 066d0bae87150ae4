import Synchronization
import Testing

@testable import Transport

/// A disk of our own that fails: never the peer's fault, and the peer is told to stop.
@Suite struct BlobStorageTests {
    static let blob = pattern(20, seed: 1)
    static let digest = fingerprint(blob)
    static let full = BlobFailure.storage(reason: "no space left", isDiskFull: true)
    let anna = PeerID(routingID: [1], name: "anna", publicKey: nil)
    let ben = PeerID(routingID: [2], name: "ben", publicKey: nil)

    enum Step { case receive, append, finish }

    /// A store that fails at one step.
    private func exchange(failingAt step: Step) -> BlobExchange {
        let sink = BlobSink(
            offset: 0,
            append: { _ throws(BlobFailure) in if step == .append { throw Self.full } },
            finish: { () throws(BlobFailure) in if step == .finish { throw Self.full } },
            abandon: {})
        let access = BlobAccess(
            open: { _ in nil },
            receive: { _, _ throws(BlobFailure) in
                if step == .receive { throw Self.full }
                return sink
            })
        return BlobExchange(
            limits: Limits(chunkBytes: 10, creditChunks: 2), blobs: access, isPaused: false)
    }

    private func deliver(_ exchange: inout BlobExchange, offset: Int) {
        let payload = Array(Self.blob[offset..<offset + 10])
        let header = Header.chunk(digest: Self.digest, attempt: 1, offset: offset, total: 20, length: 10)
        payload.withUnsafeBytes { exchange.receive(header, $0, from: anna) }
    }

    @Test func aSinkThatCannotBeMade() {
        var exchange = exchange(failingAt: .receive)
        exchange.fetch(Self.digest, byteCount: 20, from: anna)
        #expect(exchange.takeActions() == [.failed(anna, digest: Self.digest, Self.full)])
        #expect(!exchange.isActive)
    }

    @Test func aSinkThatTakesNothing() {
        var exchange = exchange(failingAt: .append)
        exchange.fetch(Self.digest, byteCount: 20, from: anna)
        _ = exchange.takeActions()
        deliver(&exchange, offset: 0)
        #expect(
            exchange.takeActions() == [
                .send(anna, .cancel(digest: Self.digest, attempt: 1)), .failed(anna, digest: Self.digest, Self.full),
            ])
        #expect(!exchange.isActive && exchange.incoming.isEmpty)
    }

    @Test func aSinkThatCannotBeFinished() {
        var exchange = exchange(failingAt: .finish)
        exchange.fetch(Self.digest, byteCount: 20, from: anna)
        exchange.fetch(Self.digest, byteCount: 20, from: ben)
        deliver(&exchange, offset: 0)
        deliver(&exchange, offset: 10)
        let actions = exchange.takeActions()
        #expect(actions.contains(.failed(anna, digest: Self.digest, Self.full)))
        // Both offered it, so both leases see it move.
        let progress = actions.filter { if case .progress = $0 { true } else { false } }
        #expect(
            progress
                == [10, 20].flatMap { received in
                    [anna, ben].map { .progress($0, digest: Self.digest, received: received, total: 20) }
                })
        // Ben's copy may be as good, and our disk better by then.
        #expect(exchange.fetches[Self.digest]?.peer == ben)
    }
}
