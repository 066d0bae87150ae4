import Testing

@testable import Transport

/// Control messages and the life of a connection, over real sockets.
@Suite(.timeLimit(.minutes(5))) struct ControlTests {
    @Test func messagesGoBothWaysUnderCurve() async throws {
        let keys = try KeyPair.generate()
        let fixture = try Fixture(names: [keys.publicKey: "anna"])
        let client = try fixture.client(keys)
        let events = Events(client.events)
        client.send([1, 2, 3])
        client.send([])
        let (peer, message) = try await fixture.events.message()
        #expect(message == [1, 2, 3])
        #expect(peer.name == "anna" && peer.publicKey == keys.publicKey)
        #expect(try await fixture.events.message().1 == [])
        let answer = pattern(4 << 20, seed: 3)
        fixture.server.send(answer, to: peer)
        try await events.wait(for: .connected)
        try await events.wait(for: .message(answer))
        #expect(fixture.server.counters.bytesSent == 4 << 20 && fixture.server.counters.bytesReceived == 3)
        #expect(client.counters.bytesSent == 3 && client.counters.bytesReceived == 4 << 20)
    }

    @Test func worksWithoutKeys() async throws {
        let server = try Server(bind: "tcp://127.0.0.1:*", keys: nil, blobs: MemoryBlobs().access)
        let client = try Client(connect: server.endpoint, keys: nil, serverKey: nil, blobs: MemoryBlobs().access)
        let (events, clientEvents) = (Events(server.events), Events(client.events))
        client.send([9])
        let (peer, message) = try await events.message()
        #expect(message == [9] && peer.name == nil && peer.publicKey == nil)
        server.send([8], to: peer)
        try await clientEvents.wait(for: .message([8]))
    }

    @Test func aKeyThatIsNotAllowedIsTurnedAwayUntilItIs() async throws {
        let folder = try TemporaryFolder()
        let list = AllowList(directory: folder.path)
        let (keys, serverKeys) = (try KeyPair.generate(), try KeyPair.generate())
        let server = try Server(
            bind: "tcp://127.0.0.1:*", keys: serverKeys, allow: { list.lookup($0) }, blobs: MemoryBlobs().access)
        let client = try Client(
            connect: server.endpoint, keys: keys, serverKey: serverKeys.publicKey, blobs: MemoryBlobs().access)
        let (events, clientEvents) = (Events(server.events), Events(client.events))
        client.send([1])
        try await clientEvents.wait(for: .refused(.keyNotAllowed(endpoint: server.endpoint)))
        try await events.wait(for: .turnedAway(key: keys.publicKey, address: "127.0.0.1", .keyNotAllowed))
        #expect(server.counters.turnedAway >= 1)
        try list.allow(key: keys.publicKey, name: "late")
        try await clientEvents.wait(for: .connected)
        #expect(try await events.message().0.name == "late")
    }

    @Test func aRevokedKeyLosesItsVoiceAtOnce() async throws {
        let folder = try TemporaryFolder()
        let list = AllowList(directory: folder.path)
        let (keys, serverKeys) = (try KeyPair.generate(), try KeyPair.generate())
        try list.allow(key: keys.publicKey, name: "anna")
        let server = try Server(
            bind: "tcp://127.0.0.1:*", keys: serverKeys, allow: { list.lookup($0) }, blobs: MemoryBlobs().access)
        let client = try Client(
            connect: server.endpoint, keys: keys, serverKey: serverKeys.publicKey, blobs: MemoryBlobs().access)
        let (events, clientEvents) = (Events(server.events), Events(client.events))
        client.send([1])
        let peer = try await events.message().0
        try list.revoke(name: "anna")
        client.send([2])
        try await events.wait(for: .turnedAway(key: keys.publicKey, address: "127.0.0.1", .keyNotAllowed))
        try await events.wait(for: .departed(peer))
        try await clientEvents.wait(for: .refused(.keyNotAllowed(endpoint: server.endpoint)))
        try list.allow(key: keys.publicKey, name: "anna")
        try await clientEvents.wait(for: .connected)
        client.send([3])
        #expect(try await events.message().1 == [3])
    }

    @Test func tellsAWrongServerKey() async throws {
        let keys = try KeyPair.generate()
        let fixture = try Fixture(names: [keys.publicKey: "anna"])
        let client = try Client(
            connect: fixture.server.endpoint, keys: keys, serverKey: try KeyPair.generate().publicKey,
            blobs: MemoryBlobs().access)
        try await Events(client.events).wait(for: .refused(.wrongServerKey(endpoint: fixture.server.endpoint)))
    }

    @Test func tellsThatOnlyOneSideUsesCurve() async throws {
        let keys = try KeyPair.generate()
        let fixture = try Fixture(names: [keys.publicKey: "anna"])
        let bare = try Client(
            connect: fixture.server.endpoint, keys: nil, serverKey: nil, blobs: MemoryBlobs().access)
        try await Events(bare.events).wait(for: .refused(.mechanismMismatch(endpoint: fixture.server.endpoint)))
        let open = try Server(bind: "tcp://127.0.0.1:*", keys: nil, blobs: MemoryBlobs().access)
        let careful = try Client(
            connect: open.endpoint, keys: keys, serverKey: fixture.serverKeys.publicKey, blobs: MemoryBlobs().access)
        try await Events(careful.events).wait(for: .refused(.mechanismMismatch(endpoint: open.endpoint)))
    }

    @Test func aPortInUseAndABadEndpointAreToldAtOnce() throws {
        let fixture = try Fixture(names: [:])
        let endpoint = fixture.server.endpoint
        #expect(throws: TransportError.addressInUse(endpoint: endpoint)) {
            _ = try Server(bind: endpoint, keys: nil, blobs: MemoryBlobs().access)
        }
        for bad in [
            "", "nonsense", "tcp://127.0.0.1:0x50", "tcp://127.0.0.1:-1", "tcp://", "tcp://127.0.0.1:99999",
            "ftp://127.0.0.1:1", "tcp://:5",
        ] {
            #expect(throws: TransportError.self) { _ = try Server(bind: bad, keys: nil, blobs: MemoryBlobs().access) }
            #expect(throws: TransportError.self) {
                _ = try Client(connect: bad, keys: nil, serverKey: nil, blobs: MemoryBlobs().access)
            }
        }
        for (bad, reason) in [("tcp://:5", "it has no host"), ("tcp://host", "it has no port")] {
            #expect(throws: TransportError.invalidEndpoint(endpoint: bad, reason: reason)) {
                _ = try Server(bind: bad, keys: nil, blobs: MemoryBlobs().access)
            }
        }
        let keys = try KeyPair.generate()
        for (own, server) in [(keys, nil), (nil, keys.publicKey), (keys, "no key")] as [(KeyPair?, String?)] {
            #expect(throws: TransportError.self) {
                _ = try Client(connect: endpoint, keys: own, serverKey: server, blobs: MemoryBlobs().access)
            }
        }
    }

    @Test func waitsForAServerThatStartsLaterAndFindsItAgain() async throws {
        let keys = try KeyPair.generate()
        // On an address of its own: on the usual one another test may take the port in between.
        var fixture: Fixture? = try Fixture(names: [keys.publicKey: "anna"], bind: "tcp://127.0.0.77:*")
        let (endpoint, serverKeys) = (try #require(fixture).server.endpoint, try #require(fixture).serverKeys)
        fixture?.server.close()
        fixture = nil
        let client = try Client(
            connect: endpoint, keys: keys, serverKey: serverKeys.publicKey, blobs: MemoryBlobs().access)
        let events = Events(client.events)
        for index: UInt8 in 0..<10 { client.send([index]) }
        try await events.wait(for: .disconnected("nobody answers at \(endpoint); trying again"))
        for round: UInt8 in 0..<2 {
            let again = try Fixture(names: [keys.publicKey: "anna"], bind: endpoint, keys: serverKeys)
            try await events.wait(for: .connected)
            if round == 0 {
                for index: UInt8 in 0..<10 { #expect(try await again.events.message().1 == [index]) }
            }
            client.send([77])
            #expect(try await again.events.message().1 == [77])
            again.server.close()
            try await events.wait(for: .disconnected("the connection to \(endpoint) broke; trying again"))
        }
    }

    @Test func closingDeliversWhatWasSent() async throws {
        let keys = try KeyPair.generate()
        let fixture = try Fixture(names: [keys.publicKey: "anna"])
        let client = try fixture.client(keys)
        let clientEvents = Events(client.events)
        try await clientEvents.wait(for: .connected)
        for index: UInt8 in 0..<50 { client.send([index]) }
        client.close()
        client.close()
        #expect(await clientEvents.rest() == [])
        var last: PeerID?
        for index: UInt8 in 0..<50 {
            let (peer, message) = try await fixture.events.message()
            #expect(message == [index])
            last = peer
        }
        try await fixture.events.wait(for: .departed(try #require(last)))

        let other = try fixture.client(keys)
        let events = Events(other.events)
        other.send([1])
        let peer = try await fixture.events.message().0
        fixture.server.send([5], to: peer)
        fixture.server.close()
        try await events.wait(for: .message([5]))
        #expect(await fixture.events.rest() == [])
    }

    @Test func doesNotSendMessagesOverTheLimit() async throws {
        let keys = try KeyPair.generate()
        let limits = Limits(maximumControlBytes: 10)
        let fixture = try Fixture(names: [keys.publicKey: "anna"], limits: limits)
        let client = try fixture.client(keys, limits: limits)
        let events = Events(client.events)
        client.send([UInt8](repeating: 1, count: 11))
        client.send([1])
        try await events.wait(for: .failed(.messageTooLarge(byteCount: 11, limit: 10)))
        let (peer, message) = try await fixture.events.message()
        #expect(message == [1])
        fixture.server.send([UInt8](repeating: 1, count: 11), to: peer)
        try await fixture.events.wait(for: .failed(.messageTooLarge(byteCount: 11, limit: 10)))
    }

    @Test func takesNoMorePeersThanItsLimit() async throws {
        let (first, second) = (try KeyPair.generate(), try KeyPair.generate())
        let fixture = try Fixture(
            names: [first.publicKey: "anna", second.publicKey: "ben"], limits: Limits(maximumPeers: 1))
        let anna = try fixture.client(first)
        anna.send([1])
        let peer = try await fixture.events.message().0
        let ben = try fixture.client(second)
        let events = Events(ben.events)
        ben.send([2])
        try await events.wait(for: .refused(.serverFull(endpoint: fixture.server.endpoint)))
        anna.close()
        try await fixture.events.wait(for: .departed(peer))
        try await events.wait(for: .connected)
        #expect(try await fixture.events.message().0.name == "ben")
    }

    @Test func aConsumerThatIsBehindLosesNothingAndHoldsTheSenderUp() async throws {
        let keys = try KeyPair.generate()
        let fixture = try Fixture(
            names: [keys.publicKey: "anna"], limits: Limits(messagesPerSecond: 100_000, maximumEventBytes: 64 << 10))
        let client = try fixture.client(keys, limits: Limits(maximumUnsentMessages: 5000))
        for index in 0..<3000 { client.send([UInt8](repeating: UInt8(index & 255), count: 1000)) }
        for index in 0..<3000 {
            let message = try await fixture.events.message().1
            #expect(message.count == 1000 && message[0] == UInt8(index & 255))
        }
    }

    @Test func theEventQueueTellsWhenItIsFullAndWhenItHasDrained() async {
        let drained = CounterCell()
        let queue = EventQueue<ClientEvent>(capacityBytes: 4096) { drained.update { $0.violations += 1 } }
        for index: UInt8 in 0..<10 { queue.push(.message([index])) }
        #expect(queue.isFull)
        for index: UInt8 in 0..<10 { #expect(await queue.next() == .message([index])) }
        #expect(!queue.isFull && drained.counters.violations == 1)
        queue.push(.connected)
        queue.finish()
        queue.push(.message([1]))
        #expect(await queue.next() == .connected)
        #expect(await queue.next() == nil)
    }
}
