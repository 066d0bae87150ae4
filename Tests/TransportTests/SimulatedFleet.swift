@testable import Transport

/// A seeded generator (SplitMix64), so that a failure can be repeated.
struct SeededRandom: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var word = state
        word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
        word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
        return word ^ (word >> 31)
    }
}

/// One node and many peers as bare exchanges, joined by lines that keep their order and take some time, on one clock.
struct SimulatedFleet {
    struct Line {
        var frames: [(header: Header, payload: [UInt8], due: Double)] = []
        var chunks: Int { frames.count { $0.header.hasPayload } }
    }

    static let server = PeerID(routingID: [0], name: "server", publicKey: nil)

    var random: SeededRandom
    var now = 0.0
    var hub: BlobExchange
    var peers: [BlobExchange]
    let identities: [PeerID]
    var toPeers: [Line]
    var toHub: [Line]
    /// Peers that neither read nor send.
    var stalled: Set<Int> = []
    /// What ended so far, at the hub and at the peers.
    var hubEvents: [BlobExchange.Action] = []
    var peerEvents: [[BlobExchange.Action]]
    private let delaySeconds: Double

    init(seed: UInt64, limits: Limits, peers count: Int, hubBlobs: MemoryBlobs, peerBlobs: [MemoryBlobs], delay: Double)
    {
        random = SeededRandom(state: seed)
        delaySeconds = delay
        hub = BlobExchange(limits: limits, blobs: hubBlobs.access, isPaused: false)
        peers = peerBlobs.map { BlobExchange(limits: limits, blobs: $0.access, isPaused: false) }
        identities = (0..<count).map {
            PeerID(routingID: [1, UInt8($0 >> 8), UInt8($0 & 255)], name: nil, publicKey: nil)
        }
        toPeers = Array(repeating: Line(), count: count)
        toHub = toPeers
        peerEvents = Array(repeating: [], count: count)
    }

    var chunksToPeers: Int { toPeers.reduce(0) { $0 + $1.chunks } }
    var chunksToHub: Int { toHub.reduce(0) { $0 + $1.chunks } }

    /// A hundredth of a second: frames arrive, chunks leave, and four times a second silence is looked for.
    mutating func step() {
        now += 0.01
        hub.now = now
        for index in peers.indices where !stalled.contains(index) {
            peers[index].now = now
            for frame in due(\.toPeers, index) {
                frame.payload.withUnsafeBytes { peers[index].receive(frame.header, $0, from: Self.server) }
            }
            for frame in due(\.toHub, index) {
                frame.payload.withUnsafeBytes { hub.receive(frame.header, $0, from: identities[index]) }
            }
        }
        if Int((now * 100).rounded()) % 25 == 0 {
            hub.tick()
            for index in peers.indices where !stalled.contains(index) { peers[index].tick() }
        }
        pump()
        takeActions()
    }

    private mutating func due(
        _ lines: WritableKeyPath<Self, [Line]>, _ index: Int
    ) -> [(header: Header, payload: [UInt8], due: Double)] {
        let frames = self[keyPath: lines][index].frames
        let count = frames.prefix { $0.due <= now }.count
        self[keyPath: lines][index].frames.removeFirst(count)
        return Array(frames.prefix(count))
    }

    private mutating func send(
        _ header: Header, _ payload: [UInt8] = [], on lines: WritableKeyPath<Self, [Line]>, _ index: Int
    ) {
        let due = now + Double.random(in: 0...delaySeconds, using: &random)
        let last = self[keyPath: lines][index].frames.last?.due ?? 0
        self[keyPath: lines][index].frames.append((header, payload, max(due, last)))
    }

    private mutating func pump() {
        var sent: [(Int, Header, [UInt8])] = []
        func header(_ bytes: [UInt8]) -> Header {
            do {
                return try bytes.withUnsafeBytes { try Header(decoding: $0, limits: Limits()) }
            } catch {
                preconditionFailure("an exchange made a bad header: \(error)")
            }
        }
        while hub.pump({ peer, bytes, payload in
            let index = Int(peer.routingID[1]) << 8 | Int(peer.routingID[2])
            sent.append((index, header(bytes), payload.withBytes { Array($0) }))
            return .sent
        }) {}
        for (index, header, payload) in sent { send(header, payload, on: \.toPeers, index) }
        for index in peers.indices where !stalled.contains(index) {
            sent = []
            while peers[index].pump({ _, bytes, payload in
                sent.append((index, header(bytes), payload.withBytes { Array($0) }))
                return .sent
            }) {}
            for (_, header, payload) in sent { send(header, payload, on: \.toHub, index) }
        }
    }

    private mutating func takeActions() {
        for action in hub.takeActions() {
            guard case .send(let peer, let header) = action else {
                hubEvents.append(action)
                continue
            }
            send(header, on: \.toPeers, Int(peer.routingID[1]) << 8 | Int(peer.routingID[2]))
        }
        for index in peers.indices {
            for action in peers[index].takeActions() {
                guard case .send(_, let header) = action else {
                    peerEvents[index].append(action)
                    continue
                }
                send(header, on: \.toHub, index)
            }
        }
    }
}
