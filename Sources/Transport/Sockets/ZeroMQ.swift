import CZeroMQ
import Glibc
import Synchronization

/// A ZeroMQ context. Thread rule (zmq_ctx_new(3)): "A ØMQ context is thread safe".
final class Context: @unchecked Sendable {
    let handle: UnsafeMutableRawPointer
    /// Monitors started so far.
    let monitors = Atomic<Int>(0)

    init() throws(TransportError) {
        guard let handle = zmq_ctx_new() else { throw .lastFailure("zmq_ctx_new") }
        self.handle = handle
        // The default of 1,023 sockets is less than what a server with its maximum of peers needs.
        zmq_ctx_set(handle, ZMQ_MAX_SOCKETS, 4096)
    }

    /// Waits until all sockets are closed and what they had to flush is sent, or their linger time is over.
    deinit {
        while zmq_ctx_term(handle) != 0, zmq_errno() == EINTR {}
    }
}

/// One ZeroMQ socket. Thread rule (zmq_socket(3)): "ØMQ sockets are not thread safe"; one may migrate between threads
/// with a full fence. So a socket is made in an initializer, handed over to its thread, and stays there.
final class Socket {
    let handle: UnsafeMutableRawPointer
    // The context must outlive its sockets.
    private let context: Context
    private var lingerMilliseconds: Int32 = 0
    private var isMonitored = false

    init(_ context: Context, type: Int32) throws(TransportError) {
        guard let handle = zmq_socket(context.handle, type) else { throw .lastFailure("zmq_socket") }
        self.handle = handle
        self.context = context
        set(ZMQ_LINGER, Int32(0))
    }

    deinit {
        // ZeroMQ's own thread would wait for ever to tell its events to a monitor that is no longer there.
        if isMonitored { zmq_socket_monitor(handle, nil, 0) }
        zmq_setsockopt(handle, ZMQ_LINGER, &lingerMilliseconds, MemoryLayout<Int32>.size)
        zmq_close(handle)
    }

    /// On close, messages already queued are given this long to leave.
    func linger(milliseconds: Int32) { lingerMilliseconds = milliseconds }

    /// Only for options that cannot fail with a valid value.
    func set(_ option: Int32, _ value: Int32) {
        var value = value
        let status = zmq_setsockopt(handle, option, &value, MemoryLayout<Int32>.size)
        precondition(status == 0, "ZeroMQ option \(option) does not take \(value): \(TransportError.lastReason)")
    }

    func set(_ option: Int32, _ value: Int64) {
        var value = value
        let status = zmq_setsockopt(handle, option, &value, MemoryLayout<Int64>.size)
        precondition(status == 0, "ZeroMQ option \(option) does not take \(value): \(TransportError.lastReason)")
    }

    func set(_ option: Int32, key: String) throws(TransportError) {
        guard key.withCString({ zmq_setsockopt(handle, option, $0, 41) }) == 0 else {
            throw .lastFailure("setting a CURVE key")
        }
    }

    /// What both sides need: bounds and keepalive.
    func setCommonOptions(_ limits: Limits, endpoint: String) {
        set(ZMQ_SNDHWM, Int32(clamping: limits.queuedMessages))
        set(ZMQ_RCVHWM, Int32(clamping: limits.queuedMessages))
        set(ZMQ_MAXMSGSIZE, Int64(limits.frameBytes))
        // An IPv4 address would become an IPv6 one in all that users see.
        set(ZMQ_IPV6, Int32(Endpoint.isIPv4(endpoint) ? 0 : 1))
        // A connection that is silently gone is lost after 20 s: with nothing under way by keepalive, with bytes under way by
        // the limit on their retransmission. Not by ZMTP heartbeats: libzmq 4.3.4 aborts the process when one is due on a
        // connection that broke while its input was held up (zeromq/libzmq issue 4364).
        set(ZMQ_TCP_KEEPALIVE, Int32(1))
        set(ZMQ_TCP_KEEPALIVE_IDLE, Int32(10))
        set(ZMQ_TCP_KEEPALIVE_INTVL, Int32(5))
        set(ZMQ_TCP_KEEPALIVE_CNT, Int32(2))
        set(ZMQ_TCP_MAXRT, Int32(20_000))
        set(ZMQ_HANDSHAKE_IVL, Int32(5_000))
    }

    func bind(_ endpoint: String) throws(TransportError) {
        guard zmq_bind(handle, endpoint) == 0 else {
            if zmq_errno() == EADDRINUSE { throw .addressInUse(endpoint: endpoint) }
            throw .invalidEndpoint(endpoint: endpoint, reason: TransportError.lastReason)
        }
    }

    func connect(_ endpoint: String) throws(TransportError) {
        guard zmq_connect(handle, endpoint) == 0 else {
            throw .invalidEndpoint(endpoint: endpoint, reason: TransportError.lastReason)
        }
    }

    /// The endpoint really bound, with the port the system chose for `*`.
    func lastEndpoint() throws(TransportError) -> String {
        var text = [CChar](repeating: 0, count: 1024)
        var size = text.count
        guard zmq_getsockopt(handle, ZMQ_LAST_ENDPOINT, &text, &size) == 0 else {
            throw .lastFailure("reading the bound endpoint")
        }
        return text.withUnsafeBufferPointer { String(cString: $0.baseAddress.unsafelyUnwrapped) }
    }

    /// Makes the socket take note of new and lost connections before the next send.
    func processCommands() {
        var events: Int32 = 0
        var size = MemoryLayout<Int32>.size
        _ = zmq_getsockopt(handle, ZMQ_EVENTS, &events, &size)
    }

    /// Starts a monitor and returns the socket its events arrive at; that one must live longer than this.
    func monitor(events: Int32) throws(TransportError) -> Socket {
        // Unique, since the monitor of the socket before this one may not have ended yet.
        let endpoint = "inproc://monitor-\(context.monitors.add(1, ordering: .relaxed).newValue)"
        let events = events & ~ZMQ_EVENT_MONITOR_STOPPED
        guard zmq_socket_monitor(handle, endpoint, events) == 0 else { throw .lastFailure("zmq_socket_monitor") }
        isMonitored = true
        let monitor = try Socket(context, type: ZMQ_PAIR)
        try monitor.connect(endpoint)
        return monitor
    }
}

extension TransportError {
    /// ZeroMQ's text for what failed last on this thread.
    static var lastReason: String { String(cString: zmq_strerror(zmq_errno())) }

    static func lastFailure(_ operation: String) -> TransportError {
        .system(operation: operation, reason: lastReason)
    }
}
