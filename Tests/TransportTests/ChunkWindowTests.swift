import Testing

@testable import Transport

/// The window that all transfers of one direction share, alone and under load on a simulated clock.
@Suite struct ChunkWindowTests {
    @Test func leavesSomethingForWhoComesNew() {
        var window = ChunkWindow<String>(total: 8)
        for _ in 0..<4 { window.take("greedy", at: 0) }
        // As much as is free: now others may.
        #expect(!window.mayTake("greedy") && window.mayTake("modest"))
        window.take("modest", at: 0)
        window.take("modest", at: 0)
        #expect(!window.mayTake("modest") && window.mayTake("third"))
        window.giveBack(3, by: "greedy", at: 1)
        #expect(window.mayTake("greedy") && window.held == 3)
        window.release("modest")
        window.release("greedy")
        #expect(window.isEmpty && window.held == 0)
    }

    @Test func lendsWhatDoesNotMoveAndNeverMoreThanTheTotal() {
        var window = ChunkWindow<String>(total: 2)
        for round in 0..<3 {
            window.take("a\(round)", at: Double(10 * round))
            window.take("b\(round)", at: Double(10 * round))
            #expect(window.isFull && !window.mayTake("new"))
            window.lend(notMovedSince: Double(10 * round), in: <)
            #expect(window.held == (round == 0 ? 0 : 2) && window.lent == 2)
            if round > 0 { break }
        }
        // What comes back late makes room again.
        window.giveBack(1, by: "a0", at: 20)
        window.lend(notMovedSince: 20, in: <)
        #expect(window.held == 1 && window.lent == 2 && window.lent(by: "a1") == 1)
        #expect(Set(window.holders(notMovedSince: 20)) == ["a1", "b0", "b1"])
    }

    /// The wish list of the design: 200 sessions that all fetch at once.
    @Test func twoHundredSessionsHoldNoMoreThanTheWindow() {
        let blob = pattern(10, seed: 1)
        let limits = Limits(chunkBytes: 10, totalReceivingChunks: 64, totalSendingChunks: 64)
        let stores = (0..<200).map { _ in MemoryBlobs() }
        var fleet = SimulatedFleet(
            seed: 1, limits: limits, peers: 200, hubBlobs: MemoryBlobs([blob]), peerBlobs: stores, delay: 0.2)
        for index in 0..<200 {
            fleet.peers[index].fetch(fingerprint(blob), byteCount: 10, from: SimulatedFleet.server)
        }
        var most = 0
        while stores.contains(where: { $0[fingerprint(blob)] == nil }), fleet.now < 60 {
            fleet.step()
            most = max(most, fleet.hub.outgoing.held)
            #expect(fleet.chunksToPeers <= 64 && fleet.hub.outgoing.lent == 0)
        }
        #expect(most == 64)
        #expect(fleet.now < 5)
    }

    @Test(arguments: 0..<8) func theBoundHoldsAndNobodyStarves(_ seed: UInt64) {
        var random = SeededRandom(state: seed)
        let count = 12
        // Some never read nor send; the hub asks them and they ask the hub all the same.
        let mute = Set((0..<count).filter { _ in Int.random(in: 0..<4, using: &random) == 0 })
        // Chunks of mute peers are lent at most twice; what they hold beyond that holds others up, too.
        let total = Int.random(in: max(2, mute.count)...12, using: &random)
        let limits = Limits(
            chunkBytes: 10, creditChunks: Int.random(in: 1...5, using: &random), totalReceivingChunks: total,
            totalSendingChunks: total)
        let shared = (0..<3).map { pattern(Int.random(in: 1...300, using: &random), seed: UInt64($0) + 1) }
        let own = (0..<count).map { pattern(Int.random(in: 1...300, using: &random), seed: UInt64($0) + 100) }
        let hubBlobs = MemoryBlobs(shared)
        let stores = own.map { MemoryBlobs([$0]) }
        var fleet = SimulatedFleet(
            seed: seed, limits: limits, peers: count, hubBlobs: hubBlobs, peerBlobs: stores, delay: 0.3)
        for index in 0..<count {
            for blob in shared {
                fleet.peers[index].fetch(fingerprint(blob), byteCount: blob.count, from: SimulatedFleet.server)
            }
            fleet.hub.fetch(fingerprint(own[index]), byteCount: own[index].count, from: fleet.identities[index])
        }
        // Their first requests still leave.
        for _ in 0..<20 { fleet.step() }
        fleet.stalled = mute
        let healthy = (0..<count).filter { !mute.contains($0) }
        func isDone() -> Bool {
            healthy.allSatisfy { index in
                shared.allSatisfy { stores[index][fingerprint($0)] == $0 }
                    && hubBlobs[fingerprint(own[index])] == own[index]
            }
        }
        while !isDone(), fleet.now < 200 {
            fleet.step()
            let (outgoing, incoming) = (fleet.hub.outgoing, fleet.hub.incoming)
            #expect(outgoing.held <= total && outgoing.lent <= total)
            #expect(incoming.held <= total && incoming.lent <= total)
            // What is really on the line is counted; only what mute peers have let lie for long is forgotten in the end.
            guard fleet.now < 60 else { continue }
            #expect(fleet.chunksToPeers <= outgoing.held + outgoing.lent)
            #expect(fleet.chunksToHub <= incoming.held + incoming.lent)
        }
        #expect(isDone(), "not done after \(fleet.now) seconds, mute: \(mute.sorted()), total \(total)")
        let violations = fleet.hubEvents.filter { if case .violation = $0 { true } else { false } }
        #expect(violations.isEmpty)
        for index in mute { fleet.hub.forget(fleet.identities[index], reason: "gone") }
        for _ in 0..<100 { fleet.step() }
        #expect(fleet.hub.incoming.isEmpty && fleet.hub.outgoing.isEmpty && fleet.hub.unconfirmed.isEmpty)
    }

    /// The window is one chunk, and a mute peer has it, in both directions.
    @Test func whoIsMuteLosesTheLastChunkToOthers() {
        let (blob, mute, good) = (pattern(40, seed: 1), pattern(40, seed: 2), pattern(40, seed: 3))
        let limits = Limits(chunkBytes: 10, totalReceivingChunks: 1, totalSendingChunks: 1)
        let stores = [MemoryBlobs([mute]), MemoryBlobs([good])]
        let hubBlobs = MemoryBlobs([blob])
        var fleet = SimulatedFleet(seed: 1, limits: limits, peers: 2, hubBlobs: hubBlobs, peerBlobs: stores, delay: 0)
        fleet.peers[0].fetch(fingerprint(blob), byteCount: 40, from: SimulatedFleet.server)
        // The request leaves, and is answered with the only chunk there is.
        for _ in 0..<2 { fleet.step() }
        fleet.stalled = [0]
        fleet.hub.fetch(fingerprint(mute), byteCount: 40, from: fleet.identities[0])
        fleet.hub.fetch(fingerprint(good), byteCount: 40, from: fleet.identities[1])
        fleet.peers[1].fetch(fingerprint(blob), byteCount: 40, from: SimulatedFleet.server)
        while stores[1][fingerprint(blob)] == nil || hubBlobs[fingerprint(good)] == nil, fleet.now < 100 {
            #expect(fleet.hub.outgoing.held <= 1 && fleet.hub.incoming.held <= 1)
            fleet.step()
        }
        #expect(fleet.now > 5 && fleet.now < 8)
    }

    @Test func aStalledPeerHoldsOthersUpOnlyForAMoment() {
        let blobs = (0..<8).map { pattern(100, seed: UInt64($0)) }
        let limits = Limits(chunkBytes: 10, creditChunks: 4, totalReceivingChunks: 4, totalSendingChunks: 4)
        let stores = (0..<2).map { _ in MemoryBlobs() }
        var fleet = SimulatedFleet(
            seed: 1, limits: limits, peers: 2, hubBlobs: MemoryBlobs(blobs), peerBlobs: stores, delay: 0)
        for blob in blobs { fleet.peers[0].fetch(fingerprint(blob), byteCount: 100, from: SimulatedFleet.server) }
        fleet.step()
        fleet.stalled = [0]
        for _ in 0..<10 { fleet.step() }
        fleet.peers[1].fetch(fingerprint(blobs[0]), byteCount: 100, from: SimulatedFleet.server)
        while stores[1][fingerprint(blobs[0])] == nil, fleet.now < 100 { fleet.step() }
        #expect(fleet.now < 6)
        // It comes back and gets everything, although its chunks were lent meanwhile.
        fleet.stalled = []
        while blobs.contains(where: { stores[0][fingerprint($0)] == nil }), fleet.now < 100 { fleet.step() }
        #expect(fleet.now < 20)
    }
}
