import CZeroMQ

/// What ZeroMQ itself can do: a DEALER sends messages of 1 MiB to a ROUTER, with blocking calls and nothing in between.
struct RawStream {
    let isSecure: Bool

    private static let messageBytes = 1 << 20
    /// As many as a transfer's socket may queue.
    private static let queuedMessages: Int32 = 96

    /// - Parameter byteCount: how much is sent; a multiple of 1 MiB.
    func megabytesPerSecond(_ byteCount: Int) throws(TransportError) -> Double {
        let messages = byteCount / Self.messageBytes
        let keys = isSecure ? try KeyPair.generate() : nil
        let receiver = try receiver(keys)
        let endpoint = try receiver.lastEndpoint()
        let sender = try sender(to: endpoint, serverKey: keys?.publicKey)
        // The handshake is over when the first message has arrived.
        send([1], from: sender)
        receive(1, at: receiver)
        nonisolated(unsafe) let moved = sender
        let start = monotonicSeconds()
        let thread = try SocketThread {
            let message = [UInt8](repeating: 0x5a, count: Self.messageBytes)
            for _ in 0..<messages { send(message, from: moved) }
        }
        receive(messages, at: receiver)
        let seconds = monotonicSeconds() - start
        thread.join()
        return Double(messages * Self.messageBytes) / 1e6 / seconds
    }

    private func receiver(_ keys: KeyPair?) throws(TransportError) -> Socket {
        let socket = try Socket(try Context(), type: ZMQ_ROUTER)
        socket.set(ZMQ_RCVHWM, Self.queuedMessages)
        if let keys {
            socket.set(ZMQ_CURVE_SERVER, Int32(1))
            try socket.set(ZMQ_CURVE_SECRETKEY, key: keys.secretKey)
        }
        try socket.bind("tcp://127.0.0.1:*")
        return socket
    }

    private func sender(to endpoint: String, serverKey: String?) throws(TransportError) -> Socket {
        let socket = try Socket(try Context(), type: ZMQ_DEALER)
        socket.set(ZMQ_SNDHWM, Self.queuedMessages)
        if let serverKey {
            let own = try KeyPair.generate()
            try socket.set(ZMQ_CURVE_SERVERKEY, key: serverKey)
            try socket.set(ZMQ_CURVE_PUBLICKEY, key: own.publicKey)
            try socket.set(ZMQ_CURVE_SECRETKEY, key: own.secretKey)
        }
        try socket.connect(endpoint)
        return socket
    }

    /// Waits until the message is taken.
    private func send(_ message: [UInt8], from socket: Socket) {
        while zmq_send(socket.handle, message, message.count, 0) < 0, zmq_errno() == EINTR {}
    }

    /// Waits for messages, each after its routing id, and drops them.
    private func receive(_ count: Int, at socket: Socket) {
        var left = count
        while left > 0 {
            var message = zmq_msg_t()
            zmq_msg_init(&message)
            if zmq_msg_recv(&message, socket.handle, 0) >= 0, zmq_msg_more(&message) == 0 { left -= 1 }
            zmq_msg_close(&message)
        }
    }
}
