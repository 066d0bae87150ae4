import Testing

@testable import Transport

/// What one peer or one key may cost a server, over real sockets.
@Suite(.timeLimit(.minutes(5))) struct PeerLimitTests {
    @Test func theBudgetIsTwoSecondsWorthAndFillsAtItsRate() {
        let limits = Limits(messagesPerSecond: 10)
        var budget = MessageBudget(limits, at: 100)
        func spend(_ count: Int, at now: Double) -> Int {
            var taken = 0
            for _ in 0..<count where budget.spend(limits, at: now) { taken += 1 }
            return taken
        }
        #expect(spend(25, at: 100) == 20)
        #expect(spend(10, at: 100.55) == 5)
        #expect(spend(99, at: 1000) == 20)
        // A clock that stands still or steps back fills nothing.
        #expect(spend(1, at: 999) == 0)
    }

    @Test func violationsAreToldInBundles() throws {
        var tally = ViolationTally()
        func due(_ now: Double) -> [String] {
            tally.due(at: now, every: 1).map { ["\($0.reason) \($0.count)"] } ?? []
        }
        #expect(due(0) == [])
        tally.note("a")
        #expect(due(0) == ["a 1"] && !tally.isOpen)
        for _ in 0..<9 { tally.note("b") }
        tally.note("c")
        #expect(due(0.9) == [] && tally.isOpen)
        #expect(due(1) == ["c 10"])
        #expect(due(5) == [])
    }

    @Test func aFloodOfMessagesIsCutAndToldWithoutAFlood() async throws {
        let (keys, good) = (try KeyPair.generate(), try KeyPair.generate())
        let limits = Limits(messagesPerSecond: 10)
        let fixture = try Fixture(names: [keys.publicKey: "mallory", good.publicKey: "anna"], limits: limits)
        let mallory = RawDealer(fixture.server.endpoint, keys: keys, serverKey: fixture.serverKeys.publicKey)
        for _ in 0..<500 {
            mallory.send(Header.control.encoded, [1])
            mallory.send(.request(digest: fingerprint([1]), attempt: 1, offset: 0, allowedChunks: 1))
        }
        let anna = try fixture.client(good)
        anna.send([2])
        var (taken, told, tellings) = (0, 0, 0)
        var isAnnaHeard = false
        while told < 900 || !isAnnaHeard {
            try await fixture.events.first { event -> Void? in
                switch event {
                case .message(_, [2]): isAnnaHeard = true
                case .message: taken += 1
                case .violation(let peer, let reason, let count):
                    #expect(peer.name == "mallory" && reason == "more than 10 messages per second")
                    told += count
                    tellings += 1
                default: return nil
                }
                return ()
            }
        }
        // Half of its tokens went into requests.
        #expect(taken >= 10 && taken < 100)
        #expect(tellings < 10)
        #expect(fixture.server.counters.violations == told)
    }

    @Test func whoNeverReadsCostsNoMoreThanTheWindow() async throws {
        let keys = try (0..<12).map { _ in try KeyPair.generate() }
        let names = Dictionary(uniqueKeysWithValues: keys.enumerated().map { ($1.publicKey, "worker-\($0)") })
        let blob = pattern(100, seed: 70)
        let digest = fingerprint(blob)
        // No stall ends while the test lasts.
        let fixture = try Fixture(
            names: names,
            limits: Limits(chunkBytes: 10, creditChunks: 4, totalSendingChunks: 8, stallSeconds: 1000),
            blobs: MemoryBlobs([blob]))
        let silent = keys.dropLast(2).map {
            RawDealer(fixture.server.endpoint, keys: $0, serverKey: fixture.serverKeys.publicKey)
        }
        for dealer in silent {
            dealer.send(.request(digest: digest, attempt: 1, offset: 0, allowedChunks: 4))
            dealer.send(Header.control.encoded, [1])
            _ = try await fixture.events.message()
        }
        #expect(fixture.server.counters.bytesSent == 80)
        // Once one of them confirms, the others get what it had.
        silent[0].send(.grant(digest: digest, attempt: 1, allowedChunks: 4, takenChunks: 1))
        silent[0].send(.cancel(digest: digest, attempt: 1))
        silent[0].send(Header.control.encoded, [2])
        _ = try await fixture.events.message()
        let chunks = fixture.server.counters.bytesSent / 10
        #expect(chunks >= 8 && chunks <= 9)
    }

    @Test func aKeyHasOnlySoManyConnections() async throws {
        let (keys, other) = (try KeyPair.generate(), try KeyPair.generate())
        let fixture = try Fixture(
            names: [keys.publicKey: "anna", other.publicKey: "ben"], limits: Limits(connectionsPerKey: 2))
        let full = TransportError.serverFull(endpoint: fixture.server.endpoint)
        let first = try fixture.client(keys)
        first.send([1])
        let peer = try await fixture.events.message().0
        let second = try fixture.client(keys)
        try await Events(second.events).wait(for: .connected)
        // The second has said nothing yet, and counts all the same.
        let third = try fixture.client(keys)
        let events = Events(third.events)
        third.send([3])
        try await events.wait(for: .refused(full))
        try await fixture.events.wait(
            for: .turnedAway(key: keys.publicKey, address: "127.0.0.1", .tooManyConnections))
        let ben = try fixture.client(other)
        ben.send([4])
        #expect(try await fixture.events.message().1 == [4])
        first.close()
        try await fixture.events.wait(for: .departed(peer))
        try await events.wait(for: .connected)
        #expect(try await fixture.events.message().1 == [3])
    }

    @Test func whatAWorkerThatIsGoneLeftBehindMakesRoomForTheNext() async throws {
        let keys = try KeyPair.generate()
        let fixture = try Fixture(names: [keys.publicKey: "anna"], limits: Limits(connectionsPerKey: 1))
        var departed: [PeerID] = []
        var last: PeerID?
        for index: UInt8 in 0..<5 {
            // The one before has only just gone; at worst this one is refused and comes again.
            let client = try fixture.client(keys)
            client.send([index])
            let peer = try await fixture.events.first { event -> PeerID? in
                switch event {
                case .departed(let peer):
                    departed.append(peer)
                    return nil
                case .message(let peer, [index]): return peer
                default: return nil
                }
            }
            #expect(peer != last)
            last = peer
            client.close()
        }
        while departed.count < 5 {
            departed.append(try await fixture.events.first { if case .departed(let peer) = $0 { peer } else { nil } })
        }
        #expect(Set(departed).count == 5)
    }

    /// libzmq 4.3.4 aborts the process when its own heartbeat is due on a connection that broke while its input was held up
    /// (zeromq/libzmq issue 4364): any worker that floods and goes could end a coordinator.
    @Test func aPeerThatFloodsAndGoesWhileNobodyReadsHurtsNobody() async throws {
        let keys = try KeyPair.generate()
        let fixture = try Fixture(
            names: [keys.publicKey: "anna"], limits: Limits(messagesPerSecond: 100_000, maximumEventBytes: 4 << 10))
        let client = try fixture.client(keys)
        for index in 0..<2_000 { client.send([UInt8(truncatingIfNeeded: index)]) }
        try await Events(client.events).wait(for: .connected)
        client.close()
        // Two ZMTP heartbeats at 2 s: the first finds the connection broken, the second would be the end.
        try await Task.sleep(for: .seconds(5))
        var messages = 0
        var isOver = false
        while !isOver {
            isOver = try await fixture.events.first { event -> Bool? in
                switch event {
                case .message: false
                case .departed: true
                default: nil
                }
            }
            if !isOver { messages += 1 }
        }
        #expect(messages > 0)
    }

    @Test func nobodyDepartsBeforeHisLastMessageIsReadNorTwice() async throws {
        let keys = try (0..<4).map { _ in try KeyPair.generate() }
        let names = Dictionary(uniqueKeysWithValues: keys.enumerated().map { ($1.publicKey, "worker-\($0)") })
        // So small a queue that the connections end long before their messages are read.
        let fixture = try Fixture(
            names: names, limits: Limits(messagesPerSecond: 100_000, maximumEventBytes: 16 << 10))
        for key in keys {
            let client = try fixture.client(key)
            for index in 0..<200 { client.send([UInt8(index)]) }
            try await Events(client.events).wait(for: .connected)
            client.close()
        }
        var messages: [PeerID: Int] = [:]
        var departed: [PeerID] = []
        while departed.count < 4 {
            try await fixture.events.first { event -> Void? in
                switch event {
                case .message(let peer, _):
                    #expect(!departed.contains(peer))
                    messages[peer, default: 0] += 1
                case .departed(let peer): departed.append(peer)
                default: return nil
                }
                return ()
            }
        }
        // A client that is closed sends for a second at most, which on a busy machine may not be enough for all.
        #expect(Set(departed) == Set(messages.keys) && departed.count == 4)
        fixture.server.close()
        #expect(await fixture.events.rest() == [])
    }
}
