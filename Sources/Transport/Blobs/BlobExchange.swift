/// Blobs in both directions: the same code at server and client.
///
/// The receiver pulls: it requests a blob from an offset and grants credit chunk by chunk; the sender never has more
/// chunks on the way than credit. All transfers of one direction share a `ChunkWindow`, so memory is bounded however
/// many there are. A request has an attempt number, echoed in all that belongs to it, so that what was on the way for
/// an earlier attempt is told apart.
///
/// Invariants: one arriving transfer per digest; at most `maximumTransfersPerPeer` transfers per peer and direction;
/// every fetch ends in exactly one `arrived` or `failed` per peer that asked, unless that peer was forgotten; the chunks
/// granted to a fetch and not arrived are those it holds in `incoming`; the chunks a peer holds in `outgoing` are its
/// `unconfirmed` ones and the one in `unsent`.
/// Left out: sockets and clocks. The socket thread passes frames and the time in, and performs the actions.
struct BlobExchange {
    enum Action: Equatable {
        case send(PeerID, Header)
        case arrived(PeerID, digest: [UInt8])
        case failed(PeerID, digest: [UInt8], BlobFailure)
        case progress(PeerID, digest: [UInt8], received: Int, total: Int)
        case sent(PeerID, digest: [UInt8], bytes: Int)
        case violation(PeerID, String)
    }

    static let maximumRestarts = 3

    let limits: Limits
    let blobs: BlobAccess
    /// While there is no connection nothing is requested and no silence is held against anybody.
    var isPaused: Bool
    /// Seconds on the owner's clock, set before anything else is called.
    var now: Double = 0
    var fetches: [[UInt8]: Fetch] = [:]
    var nextFetchNumber = 0
    /// Chunks granted and not yet arrived, by digest; and the fetches that want more of them, in turn.
    var incoming: ChunkWindow<[UInt8]>
    var wanting: [[UInt8]] = []
    /// Fetches running per peer, and those that wait for one to end.
    var runningFetches: [PeerID: Int] = [:]
    var waiting: [PeerID: [Wanted]] = [:]
    var nextAttempt: UInt32 = 1
    var streams: [StreamKey: Stream] = [:]
    var streamCounts: [PeerID: Int] = [:]
    /// Streams with credit, in turn.
    var ready: [StreamKey] = []
    /// Chunks sent and not yet known to be taken, by peer.
    var outgoing: ChunkWindow<PeerID>
    var unconfirmed: [PeerID: UnconfirmedChunks] = [:]
    /// At most one chunk per peer that ZeroMQ did not take; peers in `retrying` are due, those in `blocked` wait for the
    /// next tick.
    var unsent: [PeerID: UnsentChunk] = [:]
    var blocked: [PeerID] = []
    var retrying: [PeerID] = []
    private var actions: [Action] = []

    init(limits: Limits, blobs: BlobAccess, isPaused: Bool) {
        self.limits = limits
        self.blobs = blobs
        self.isPaused = isPaused
        incoming = ChunkWindow(total: limits.totalReceivingChunks)
        outgoing = ChunkWindow(total: limits.totalSendingChunks)
    }

    /// Whether time matters: something may fall silent.
    var isActive: Bool { !fetches.isEmpty || !streams.isEmpty || !outgoing.isEmpty }

    /// The fetches that `condition` holds for, in order of their start.
    func fetches(where condition: (Fetch) -> Bool) -> [Fetch] {
        fetches.values.filter(condition).sorted { $0.number < $1.number }
    }

    mutating func takeActions() -> [Action] {
        guard !actions.isEmpty else { return [] }
        defer { actions = [] }
        return actions
    }

    mutating func perform(_ action: Action) { actions.append(action) }

    /// One blob frame of a peer; `payload` is a chunk's.
    mutating func receive(_ header: Header, _ payload: UnsafeRawBufferPointer, from peer: PeerID) {
        switch header {
        case .request(let digest, let attempt, let offset, let allowedChunks):
            onRequest(StreamKey(peer: peer, digest: digest), attempt, offset, allowedChunks)
        case .grant(let digest, let attempt, let allowedChunks, let takenChunks):
            onGrant(StreamKey(peer: peer, digest: digest), attempt, allowedChunks, taken: takenChunks)
        case .cancel(let digest, let attempt):
            let key = StreamKey(peer: peer, digest: digest)
            if streams[key]?.attempt == attempt { end(key) }
        case .refusal(let digest, let attempt, let reason):
            guard let fetch = fetches[digest], fetch.peer == peer, fetch.attempt == attempt else { return }
            fail(digest, reason.failure)
        case .chunk(let digest, let attempt, let offset, let total, _):
            onChunk(digest, attempt, offset, total, payload, from: peer)
        case .control, .dismissal, .probe:
            preconditionFailure("not a blob frame: \(header)")
        }
    }

    /// Looks for transfers that have fallen silent.
    mutating func tick() {
        retrying += blocked
        blocked = []
        tickReceiving()
        tickSending()
    }

    private mutating func tickReceiving() {
        guard !isPaused else { return }
        // Who waits for a chunk in the window was not asked for anything and so is not silent.
        let silent = fetches { fetch in
            fetch.attempt > 0 && (fetch.allowedChunks > fetch.receivedChunks || !wanting.contains(fetch.digest))
                && now - fetch.lastHeardSeconds >= limits.transferTimeoutSeconds
        }
        for fetch in silent {
            if fetch.hasBeenSilent {
                cancel(fetch)
                fail(fetch.digest, .broken(reason: "nothing came for \(2 * limits.transferTimeoutSeconds) seconds"))
            } else {
                fetches[fetch.digest]?.hasBeenSilent = true
                request(fetch.digest)
            }
        }
        if incoming.isFull, !wanting.isEmpty {
            incoming.lend(notMovedSince: now - limits.stallSeconds) { $0.lexicographicallyPrecedes($1) }
            shareOut()
        }
    }

    private mutating func tickSending() {
        // The receiver asks again after one silence and gives up after two; a third means that it is gone.
        let limit = now - 3 * limits.transferTimeoutSeconds
        for key in streams.filter({ $0.value.lastHeardSeconds <= limit }).keys.sorted(by: StreamKey.precedes) {
            end(key)
        }
        for peer in outgoing.holders(notMovedSince: limit) { forgetUnconfirmed(peer) }
        if outgoing.isFull, !ready.isEmpty {
            outgoing.lend(notMovedSince: now - limits.stallSeconds) {
                $0.routingID.lexicographicallyPrecedes($1.routingID)
            }
        }
    }

    /// The connection of a client is there (again): everything still wanted is requested from where it stopped.
    mutating func resume() {
        isPaused = false
        for fetch in fetches(where: { _ in true }) { request(fetch.digest) }
    }

    /// The connection of a client is gone: what it sent is requested anew by the server; what it fetches waits.
    mutating func pause() {
        isPaused = true
        for digest in fetches.keys { fetches[digest]?.attempt = 0 }
        incoming.removeAll()
        wanting = []
        streams = [:]
        streamCounts = [:]
        ready = []
        outgoing.removeAll()
        unconfirmed = [:]
        unsent = [:]
        blocked = []
        retrying = []
    }

    /// Drops all transfers of a peer. With a reason, its fetches fail with it; without, nothing more is heard of them.
    mutating func forget(_ peer: PeerID, reason: String?) {
        let failure = reason.map { BlobFailure.broken(reason: $0) }
        for key in streams.keys.filter({ $0.peer == peer }).sorted(by: StreamKey.precedes) { end(key) }
        // While the connection is there, what was sent by it still takes memory.
        if reason != nil { forgetUnconfirmed(peer) }
        let unstarted = waiting.removeValue(forKey: peer) ?? []
        for fetch in fetches(where: { $0.waiters.contains(peer) }) {
            fetches[fetch.digest]?.waiters.removeAll { $0 == peer }
            if let failure { perform(.failed(peer, digest: fetch.digest, failure)) }
        }
        for fetch in fetches(where: { $0.peer == peer }) {
            handOver(fetch, failure)
        }
        if let failure {
            for wanted in unstarted { perform(.failed(peer, digest: wanted.digest, failure)) }
        }
    }

    /// Closes every sink; nothing is announced.
    mutating func abandonAll() {
        for fetch in fetches(where: { _ in true }) { fetch.sink.abandon() }
        fetches = [:]
        pause()
    }
}

extension Header.Refusal {
    /// What it means to the receiver, in words for the user.
    var failure: BlobFailure {
        switch self {
        case .missing: .wrong(reason: "the peer does not have it")
        case .offsetOutOfRange: .wrong(reason: "the peer has fewer bytes than it declared")
        case .unreadable: .broken(reason: "the peer cannot read it")
        case .tooManyTransfers: .broken(reason: "the peer has too many transfers with us")
        }
    }
}
