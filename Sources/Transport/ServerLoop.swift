import CZeroMQ

/// What runs on a server's thread. See `Server` for the outside.
///
/// Invariants: every message is checked against the allow-list when it is read, so a revoked key is powerless although
/// ZeroMQ cannot cut its connection; routing ids are chosen by us and never handed over to another connection, so no
/// peer can take another's place.
final class ServerLoop {
    struct Peer {
        let id: PeerID
        let address: String
        var descriptor: Int32
        var budget: MessageBudget
        var violations = ViolationTally()
    }

    /// A connection that may be gone: ZeroMQ tells it by descriptor, a probe makes it certain.
    struct Suspect {
        let peer: PeerID
        var probeAtSeconds: Double
        var probesLeft: Int
        /// Doubles from probe to probe.
        var delaySeconds = 0.05
        /// Probes of a connection that has certainly ended, over 12 seconds: on a busy machine ZeroMQ's own thread may
        /// take its time to let the socket know.
        static let many = 9
    }

    let endpoint: String
    let limits: Limits
    let isSecure: Bool
    let allow: (@Sendable (String) -> String?)?
    /// Declared, and so ended, before its monitor.
    let router: Socket
    let authenticator: Socket
    let monitor: Socket
    let mailbox: Mailbox<Server.Command>
    let queue: EventQueue<ServerEvent>
    let cell: CounterCell
    var exchange: BlobExchange
    var peers: [[UInt8]: Peer] = [:]
    var peersByDescriptor: [Int32: PeerID] = [:]
    /// Admitted peers of each key, the oldest first; and connections that have not said anything yet.
    var peersByKey: [String: [PeerID]] = [:]
    var handshakes: [Handshake] = []
    /// Routing ids, with descriptors, of connections that are still there but have departed for us.
    var dismissed: [[UInt8]: Int32] = [:]
    var suspects: [Suspect] = []
    /// Peers with violations that are still to be told.
    var offenders: [PeerID] = []
    /// Keys turned away and when that was told last, in seconds.
    var turnedAway: [String: Double] = [:]
    var isClosing = false
    private var tickAtSeconds: Double = 0

    init(
        bind: String, keys: KeyPair?, allow: (@Sendable (String) -> String?)?, limits: Limits, blobs: BlobAccess,
        mailbox: Mailbox<Server.Command>, queue: EventQueue<ServerEvent>, cell: CounterCell
    ) throws(TransportError) {
        try Endpoint.check(bind, mayChoosePort: true)
        let context = try Context()
        self.limits = limits
        self.allow = allow
        self.mailbox = mailbox
        self.queue = queue
        self.cell = cell
        isSecure = keys != nil
        exchange = BlobExchange(limits: limits, blobs: blobs, isPaused: false)
        // The authenticator must be there before the first connection asks for it.
        authenticator = try Socket(context, type: ZMQ_REP)
        try authenticator.bind("inproc://zeromq.zap.01")
        router = try Socket(context, type: ZMQ_ROUTER)
        router.setCommonOptions(limits, endpoint: bind)
        router.set(ZMQ_ROUTER_MANDATORY, Int32(1))
        if let keys {
            router.set(ZMQ_CURVE_SERVER, Int32(1))
            try router.set(ZMQ_CURVE_SECRETKEY, key: keys.secretKey)
        }
        monitor = try router.monitor(events: ZMQ_EVENT_DISCONNECTED)
        try router.bind(bind)
        endpoint = try router.lastEndpoint()
    }

    func run() {
        while true {
            let now = monotonicSeconds()
            exchange.now = now
            for command in mailbox.take() { perform(command) }
            while let request = authenticator.receiveParts(limit: 8) { authenticate(request) }
            let lost = lostDescriptors()
            let isDrained = receiveMessages(limit: 64)
            // Only after all that the lost connections had sent, lest they rise again.
            if isDrained {
                suspect(lost, at: now)
                probeSuspects(at: now)
            } else {
                suspectsLater += lost
            }
            if now >= tickAtSeconds {
                exchange.tick()
                tellViolations(at: now)
                tickAtSeconds = now + tickSeconds
            }
            perform()
            let isBusy = pump()
            if isClosing { break }
            wait(isBusy: isBusy || (!isDrained && !queue.isFull))
        }
        exchange.abandonAll()
        router.linger(milliseconds: 1_000)
        queue.finish()
    }

    /// Descriptors lost while messages were still waiting to be read.
    private var suspectsLater: [Int32] = []

    private var tickSeconds: Double { min(0.25, limits.transferTimeoutSeconds / 4) }

    private func wait(isBusy: Bool) {
        let readable = Int32(ZMQ_POLLIN)
        var timeout = -1
        if exchange.isActive || !offenders.isEmpty { timeout = Int(tickSeconds * 1000) }
        if !exchange.blocked.isEmpty || !suspectsLater.isEmpty { timeout = 20 }
        if let due = suspects.lazy.map(\.probeAtSeconds).min() {
            let milliseconds = max(20, Int((due - exchange.now) * 1000))
            timeout = timeout < 0 ? milliseconds : min(timeout, milliseconds)
        }
        if isBusy { timeout = 0 }
        waitForSockets(
            descriptor: mailbox.descriptor,
            sockets: [
                (router, events: queue.isFull ? 0 : readable), (authenticator, events: readable),
                (monitor, events: readable),
            ], timeoutMilliseconds: timeout)
    }

    private func perform(_ command: Server.Command) {
        switch command {
        case .send(let message, let peer): sendControl(message, to: peer)
        case .fetch(let digest, let byteCount, let peer):
            guard peers[peer.routingID]?.id == peer else {
                return queue.push(.blobFailed(peer, digest: digest, .broken(reason: "the peer is not connected")))
            }
            exchange.fetch(digest, byteCount: byteCount, from: peer)
        case .forget(let peer): exchange.forget(peer, reason: nil)
        case .close: isClosing = true
        }
    }

    private func sendControl(_ message: [UInt8], to peer: PeerID) {
        guard message.count <= limits.maximumControlBytes else {
            let limit = limits.maximumControlBytes
            return queue.push(.failed(.messageTooLarge(byteCount: message.count, limit: limit)))
        }
        switch send([Header.control.encoded, message], to: peer) {
        case .sent: cell.update { $0.bytesSent += message.count }
        case .blocked: queue.push(.failed(.unsentMessages(count: 1, endpoint: peer.description)))
        case .unreachable: break
        }
    }

    func send(_ parts: [[UInt8]], to peer: PeerID) -> Socket.SendResult {
        send(to: peer) { router.send([$0] + parts) }
    }

    /// Sends to a peer that is still the one we know; a peer that turns out to be gone departs.
    private func send(to peer: PeerID, _ body: (_ routingID: [UInt8]) -> Socket.SendResult) -> Socket.SendResult {
        guard peers[peer.routingID]?.id == peer else { return .unreachable }
        let result = body(peer.routingID)
        // Departing changes the exchange, which may be what is calling; so it waits for the next turn.
        if result == .unreachable { suspects.append(Suspect(peer: peer, probeAtSeconds: 0, probesLeft: 1)) }
        return result
    }

    /// Does what the exchange wants done.
    func perform() {
        for action in exchange.takeActions() {
            switch action {
            case .send(let peer, let header): _ = send([header.encoded], to: peer)
            case .arrived(let peer, let digest): queue.push(.blobArrived(peer, digest: digest))
            case .failed(let peer, let digest, let failure): queue.push(.blobFailed(peer, digest: digest, failure))
            case .sent(let peer, let digest, let bytes): queue.push(.blobSent(peer, digest: digest, bytes: bytes))
            case .violation(let peer, let reason): report(ProtocolViolation(reason), by: peer)
            case .progress(let peer, let digest, let received, let total):
                queue.push(.blobProgress(peer, digest: digest, received: received, total: total))
            }
        }
    }

    /// Sends a few chunks; true when there are more.
    private func pump() -> Bool {
        for _ in 0..<8 {
            let isPumping = exchange.pump { peer, header, payload in
                // The frame is empty once it is sent.
                let count = payload.count
                let result = send(to: peer) { router.send([$0, header], payload: &payload) }
                if result == .sent { cell.update { $0.bytesSent += count } }
                return result
            }
            guard isPumping else {
                perform()
                return false
            }
        }
        perform()
        return true
    }

    private func lostDescriptors() -> [Int32] {
        var lost = suspectsLater
        suspectsLater = []
        while let event = SocketEvent.next(at: monitor) { lost.append(event.value) }
        return lost
    }
}
