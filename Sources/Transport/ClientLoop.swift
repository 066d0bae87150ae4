import CZeroMQ

/// What runs on a client's thread. See `Client` for the outside.
///
/// ZeroMQ would keep what it could not send and deliver it to the next connection, where the server knows nothing of
/// it; so messages wait here instead, chunks are dropped and requested anew, and every connection that broke gets a new
/// socket. (ZMQ_IMMEDIATE is no way out: when the connection breaks it also drops what had arrived.)
final class ClientLoop {
    let endpoint: String
    let limits: Limits
    let keys: KeyPair?
    let server: PeerID
    let context: Context
    /// Declared, and so ended, before its monitor.
    var dealer: Socket
    var monitor: Socket
    let mailbox: Mailbox<Client.Command>
    let queue: EventQueue<ClientEvent>
    let cell: CounterCell
    var exchange: BlobExchange
    var isConnected = false
    /// Whether the monitor has already told how the current attempt to connect ended.
    var isAttemptTold = false
    var brokenHandshakes = 0
    /// The last event about the connection, so that nothing is said twice.
    var lastTold: ClientEvent?
    /// When to try again after ZeroMQ has given up, in seconds; and how long to wait the next time.
    var reconnectAtSeconds: Double?
    var reconnectDelaySeconds = 0.1
    private var unsent: [[UInt8]] = []
    private var droppedMessages = 0
    private var violations = ViolationTally()
    private var closeAtSeconds: Double?
    private var tickAtSeconds: Double = 0

    init(
        connect: String, keys: KeyPair?, serverKey: String?, limits: Limits, blobs: BlobAccess,
        mailbox: Mailbox<Client.Command>, queue: EventQueue<ClientEvent>, cell: CounterCell
    ) throws(TransportError) {
        try Endpoint.check(connect, mayChoosePort: false)
        endpoint = connect
        self.limits = limits
        self.mailbox = mailbox
        self.queue = queue
        self.cell = cell
        self.keys = keys
        server = PeerID(
            routingID: [], name: nil,
            publicKey: try serverKey.map { key throws(TransportError) in
                try Z85.checked(key)
            })
        guard keys != nil || serverKey == nil else {
            let reason = "a server key was given but no keys of our own: make some with `pleach keys new`"
            throw .incompleteKeys(reason: reason)
        }
        guard keys == nil || serverKey != nil else {
            throw .incompleteKeys(reason: "we have keys but not the server's public key: give it with --server-key")
        }
        exchange = BlobExchange(limits: limits, blobs: blobs, isPaused: true)
        context = try Context()
        dealer = try Self.socket(context, keys: keys, serverKey: serverKey, endpoint: connect, limits: limits)
        monitor = try dealer.monitor(events: ZMQ_EVENT_ALL)
        try dealer.connect(connect)
    }

    static func socket(
        _ context: Context, keys: KeyPair?, serverKey: String?, endpoint: String, limits: Limits
    ) throws(TransportError) -> Socket {
        let dealer = try Socket(context, type: ZMQ_DEALER)
        dealer.setCommonOptions(limits, endpoint: endpoint)
        dealer.set(ZMQ_RECONNECT_IVL, Int32(100))
        dealer.set(ZMQ_RECONNECT_IVL_MAX, Int32(2_000))
        if let keys, let serverKey {
            try dealer.set(ZMQ_CURVE_SERVERKEY, key: serverKey)
            try dealer.set(ZMQ_CURVE_PUBLICKEY, key: keys.publicKey)
            try dealer.set(ZMQ_CURVE_SECRETKEY, key: keys.secretKey)
        }
        return dealer
    }

    func run() {
        while true {
            let now = monotonicSeconds()
            exchange.now = now
            for command in mailbox.take() { perform(command, at: now) }
            while let event = SocketEvent.next(at: monitor) { onSocketEvent(event, at: now) }
            sendUnsent()
            let isDrained = receiveMessages(limit: 64)
            // What had arrived before the connection broke is read first.
            if isDrained { reconnectIfDue(at: now) }
            if now >= tickAtSeconds {
                exchange.tick()
                tellViolations()
                tickAtSeconds = now + tickSeconds
            }
            perform()
            let isBusy = pump() || (!isDrained && !queue.isFull)
            if let closeAtSeconds, unsent.isEmpty || now >= closeAtSeconds { break }
            wait(isBusy: isBusy, at: now)
        }
        exchange.abandonAll()
        dealer.linger(milliseconds: 1_000)
        queue.finish()
    }

    private var tickSeconds: Double { min(0.25, limits.transferTimeoutSeconds / 4) }

    private func wait(isBusy: Bool, at now: Double) {
        var timeout = -1
        if (exchange.isActive && isConnected) || violations.isOpen { timeout = Int(tickSeconds * 1000) }
        if let reconnectAtSeconds { timeout = max(1, Int((reconnectAtSeconds - now) * 1000)) }
        if (isConnected && !unsent.isEmpty) || !exchange.blocked.isEmpty || closeAtSeconds != nil { timeout = 20 }
        if isBusy { timeout = 0 }
        waitForSockets(
            descriptor: mailbox.descriptor,
            sockets: [
                (dealer, events: queue.isFull ? 0 : Int32(ZMQ_POLLIN)), (monitor, events: Int32(ZMQ_POLLIN)),
            ], timeoutMilliseconds: timeout)
    }

    private func perform(_ command: Client.Command, at now: Double) {
        switch command {
        case .send(let message):
            guard message.count <= limits.maximumControlBytes else {
                let limit = limits.maximumControlBytes
                return queue.push(.failed(.messageTooLarge(byteCount: message.count, limit: limit)))
            }
            if unsent.count == limits.maximumUnsentMessages {
                unsent.removeFirst()
                droppedMessages += 1
            }
            unsent.append(message)
        case .fetch(let digest, let byteCount): exchange.fetch(digest, byteCount: byteCount, from: server)
        case .close: closeAtSeconds = closeAtSeconds ?? now + 1
        }
    }

    private func sendUnsent() {
        guard isConnected, !unsent.isEmpty else { return }
        // The monitor may have told of the connection before the socket has taken note of it.
        dealer.processCommands()
        var sent = 0
        for message in unsent {
            guard dealer.send([Header.control.encoded, message]) == .sent else { break }
            cell.update { $0.bytesSent += message.count }
            sent += 1
        }
        unsent.removeFirst(sent)
    }

    /// Does what the exchange wants done.
    func perform() {
        for action in exchange.takeActions() {
            switch action {
            case .send(_, let header):
                // What cannot go now is asked for again: after a reconnect at once, else after a silence.
                if isConnected { _ = dealer.send([header.encoded]) }
            case .arrived(_, let digest): queue.push(.blobArrived(digest: digest))
            case .failed(_, let digest, let failure): queue.push(.blobFailed(digest: digest, failure))
            case .progress(_, let digest, let received, let total):
                queue.push(.blobProgress(digest: digest, received: received, total: total))
            case .sent(_, let digest, let bytes): queue.push(.blobSent(digest: digest, bytes: bytes))
            case .violation(_, let reason): report(ProtocolViolation(reason))
            }
        }
    }

    /// Sends a few chunks; true when there are more.
    private func pump() -> Bool {
        for _ in 0..<8 {
            let isPumping = exchange.pump { _, header, payload in
                // The frame is empty once it is sent.
                let count = payload.count
                let result = dealer.send([header], payload: &payload)
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

    /// Reads up to `limit` messages, as long as the queue takes what comes of them; false when there may be more.
    private func receiveMessages(limit: Int) -> Bool {
        for _ in 0..<limit {
            guard !queue.isFull else { return false }
            guard var first = dealer.receive() else { return true }
            do throws(ProtocolViolation) {
                try receive(&first)
            } catch {
                report(error)
            }
            perform()
        }
        return false
    }

    private func receive(_ first: inout Frame) throws(ProtocolViolation) {
        let hasMore = first.hasMore
        let header: Header
        do throws(ProtocolViolation) {
            header = try Header(decoding: &first, limits: limits)
        } catch {
            if hasMore { dealer.dropRest() }
            throw error
        }
        guard header.hasPayload == hasMore else {
            if hasMore { dealer.dropRest() }
            throw ProtocolViolation(hasMore ? "a frame too many" : "a header without its payload")
        }
        guard hasMore, var payload = dealer.receive() else {
            if header == .dismissal { onDismissal() }
            guard header.isForExchange else { return }
            return exchange.receive(header, UnsafeRawBufferPointer(start: nil, count: 0), from: server)
        }
        let count = payload.count
        guard !payload.hasMore else {
            dealer.dropRest()
            throw ProtocolViolation("a frame too many")
        }
        try header.check(payloadBytes: count, limits: limits)
        cell.update { $0.bytesReceived += count }
        if header == .control { return queue.push(.message(payload.bytes)) }
        payload.withBytes { exchange.receive(header, $0, from: server) }
    }

    private func report(_ violation: ProtocolViolation) {
        cell.update { $0.violations += 1 }
        violations.note(violation.reason)
        tellViolations()
    }

    private func tellViolations() {
        let due = violations.due(at: exchange.now, every: limits.violationReportSeconds)
        if let (reason, count) = due { queue.push(.violation(reason, count: count)) }
    }

    /// Messages that gave way while there was no connection are told once, when there is one again.
    func tellDroppedMessages() {
        guard droppedMessages > 0 else { return }
        queue.push(.failed(.unsentMessages(count: droppedMessages, endpoint: endpoint)))
        droppedMessages = 0
    }
}
