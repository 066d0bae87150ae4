/// Blobs in both directions: the same code at server and client.
///
/// The receiver pulls: it requests a blob from an offset and grants credit chunk by chunk; the sender never has more
/// chunks on the way than credit, so memory is at most credit x chunk per transfer. A request has an attempt number,
/// echoed in all that belongs to it, so that what was on the way for an earlier attempt is told apart.
///
/// Invariants: one arriving transfer per digest; at most `maximumTransfersPerPeer` transfers per peer and direction;
/// every fetch ends in exactly one `arrived` or `failed` per peer that asked, unless that peer was forgotten.
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

    /// A blob asked for, before its transfer starts.
    struct Wanted {
        var digest: [UInt8]
        var byteCount: Int
    }

    /// An arriving blob.
    struct Fetch {
        var peer: PeerID
        let digest: [UInt8]
        let byteCount: Int
        let sink: BlobSink
        /// The next byte expected.
        var offset: Int
        var attempt: UInt32
        /// Chunks granted and received in this attempt.
        var allowedChunks: UInt32
        var receivedChunks: UInt32
        var lastHeardSeconds: Double
        var hasBeenSilent = false
        /// Attempts begun since the last chunk that fitted.
        var restarts = 0
        /// Other peers that offered the same blob, in order; the next one takes over when this one fails.
        var waiters: [PeerID] = []
    }

    /// A leaving blob.
    struct Stream {
        let source: BlobSource
        let attempt: UInt32
        var offset: Int
        var allowedChunks: UInt32
        var sentChunks: UInt32 = 0
        var sentBytes = 0
        var lastHeardSeconds: Double
        /// Whether the stream stands in `ready` or `blocked`.
        var isQueued = false
    }

    struct StreamKey: Hashable {
        let peer: PeerID
        let digest: [UInt8]
    }

    static let maximumRestarts = 3

    let limits: Limits
    let blobs: BlobAccess
    /// While there is no connection nothing is requested and no silence is held against anybody.
    var isPaused: Bool
    /// Seconds on the owner's clock, set before anything else is called.
    var now: Double = 0
    var fetches: [[UInt8]: Fetch] = [:]
    /// Fetches running per peer, and those that wait for one to end.
    var runningFetches: [PeerID: Int] = [:]
    var waiting: [PeerID: [Wanted]] = [:]
    var nextAttempt: UInt32 = 1
    var streams: [StreamKey: Stream] = [:]
    var streamCounts: [PeerID: Int] = [:]
    /// Streams with credit, in turn; and those ZeroMQ did not take a chunk from.
    var ready: [StreamKey] = []
    var blocked: [StreamKey] = []
    private var actions: [Action] = []

    init(limits: Limits, blobs: BlobAccess, isPaused: Bool) {
        self.limits = limits
        self.blobs = blobs
        self.isPaused = isPaused
    }

    /// Whether time matters: something may fall silent.
    var isActive: Bool { !fetches.isEmpty || !streams.isEmpty }

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
        case .grant(let digest, let attempt, let allowedChunks):
            onGrant(StreamKey(peer: peer, digest: digest), attempt, allowedChunks)
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
        ready += blocked
        blocked = []
        // Ordered by attempt, so that the same history gives the same actions.
        let silent = fetches.values.filter { now - $0.lastHeardSeconds >= limits.transferTimeoutSeconds }
        for fetch in isPaused ? [] : silent.sorted(by: { $0.attempt < $1.attempt }) {
            if fetch.hasBeenSilent {
                cancel(fetch)
                fail(fetch.digest, .broken(reason: "nothing came for \(2 * limits.transferTimeoutSeconds) seconds"))
            } else {
                fetches[fetch.digest]?.hasBeenSilent = true
                request(fetch.digest)
            }
        }
        // The receiver asks again after one silence and gives up after two; a third means that it is gone.
        let limit = 3 * limits.transferTimeoutSeconds
        for (key, stream) in streams where now - stream.lastHeardSeconds >= limit { end(key) }
    }

    /// The connection of a client is there (again): everything still wanted is requested from where it stopped.
    mutating func resume() {
        isPaused = false
        for fetch in fetches.values.sorted(by: { $0.attempt < $1.attempt }) { request(fetch.digest) }
    }

    /// The connection of a client is gone: what it sent is requested anew by the server; what it fetches waits.
    mutating func pause() {
        isPaused = true
        streams = [:]
        streamCounts = [:]
        ready = []
        blocked = []
    }

    /// Drops all transfers of a peer. With a reason, its fetches fail with it; without, nothing more is heard of them.
    mutating func forget(_ peer: PeerID, reason: String?) {
        let failure = reason.map { BlobFailure.broken(reason: $0) }
        for key in streams.keys where key.peer == peer { end(key) }
        let unstarted = waiting.removeValue(forKey: peer) ?? []
        for digest in fetches.values.filter({ $0.waiters.contains(peer) }).sorted(by: { $0.attempt < $1.attempt })
            .map(\.digest)
        {
            fetches[digest]?.waiters.removeAll { $0 == peer }
            if let failure { perform(.failed(peer, digest: digest, failure)) }
        }
        for fetch in fetches.values.filter({ $0.peer == peer }).sorted(by: { $0.attempt < $1.attempt }) {
            handOver(fetch, failure)
        }
        if let failure {
            for wanted in unstarted { perform(.failed(peer, digest: wanted.digest, failure)) }
        }
    }

    /// Closes every sink; nothing is announced.
    mutating func abandonAll() {
        for fetch in fetches.values { fetch.sink.abandon() }
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
