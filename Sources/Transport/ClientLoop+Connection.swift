import CZeroMQ

/// From what the socket monitor sees to what a user understands.
///
/// As libzmq 4.3.4 behaves: a refused key and another mechanism end the connection for good (we connect anew); a wrong
/// server key shows only as a connection that breaks off during each handshake (ZeroMQ tries again by itself).
extension ClientLoop {
    func onSocketEvent(_ event: SocketEvent, at now: Double) {
        switch event.kind {
        case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
            // A socket that is to be replaced may have reconnected by itself.
            if reconnectAtSeconds == nil { onConnected() }
        case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
            isAttemptTold = true
            tell(.refused(event.value == 400 ? .keyNotAllowed(endpoint: endpoint) : .serverFull(endpoint: endpoint)))
            scheduleReconnect(at: now)
        case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
            isAttemptTold = true
            let isForged = event.value == ZMQ_PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC
            tell(.refused(isForged ? .wrongServerKey(endpoint: endpoint) : .mechanismMismatch(endpoint: endpoint)))
            scheduleReconnect(at: now)
        case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
            isAttemptTold = true
            brokenHandshakes += 1
            // Once may be a server that stops at this moment.
            guard brokenHandshakes >= 2 else { return }
            tell(.refused(keys != nil ? .wrongServerKey(endpoint: endpoint) : .mechanismMismatch(endpoint: endpoint)))
        case ZMQ_EVENT_DISCONNECTED:
            isAttemptTold = true
            if isConnected { onDisconnected("the connection to \(endpoint) broke; trying again", at: now) }
        case ZMQ_EVENT_CLOSED, ZMQ_EVENT_CONNECT_RETRIED:
            if !isAttemptTold, !isConnected { tell(.disconnected("nobody answers at \(endpoint); trying again")) }
            // The retry is the last event of an attempt.
            isAttemptTold = event.kind == ZMQ_EVENT_CLOSED
        default: break
        }
    }

    /// The server has struck our key off its list while we were connected.
    func onDismissal() {
        guard isConnected else { return }
        isConnected = false
        exchange.pause()
        tell(.refused(.keyNotAllowed(endpoint: endpoint)))
        scheduleReconnect(at: exchange.now)
    }

    func reconnectIfDue(at now: Double) {
        guard let due = reconnectAtSeconds, now >= due else { return }
        reconnectAtSeconds = nil
        isAttemptTold = false
        do throws(TransportError) {
            let fresh = try Self.socket(
                context, keys: keys, serverKey: server.publicKey, endpoint: endpoint, limits: limits)
            let freshMonitor = try fresh.monitor(events: ZMQ_EVENT_ALL)
            // In this order: a socket ends before its monitor.
            dealer = fresh
            monitor = freshMonitor
            try dealer.connect(endpoint)
        } catch {
            tell(.failed(error))
            scheduleReconnect(at: now)
        }
    }

    private func onConnected() {
        isConnected = true
        brokenHandshakes = 0
        reconnectDelaySeconds = 0.1
        tell(.connected)
        tellDroppedMessages()
        dealer.processCommands()
        exchange.resume()
    }

    private func onDisconnected(_ reason: String, at now: Double) {
        isConnected = false
        exchange.pause()
        tell(.disconnected(reason))
        scheduleReconnect(at: now)
    }

    private func scheduleReconnect(at now: Double) {
        reconnectAtSeconds = now + reconnectDelaySeconds
        reconnectDelaySeconds = min(2, 2 * reconnectDelaySeconds)
    }

    private func tell(_ event: ClientEvent) {
        guard event != lastTold else { return }
        lastTold = event
        queue.push(event)
    }
}
