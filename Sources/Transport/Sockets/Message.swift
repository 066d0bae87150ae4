import CZeroMQ
import Glibc

/// One received frame; its bytes are valid as long as it lives.
struct Frame: ~Copyable {
    private var message = zmq_msg_t()

    fileprivate init() { zmq_msg_init(&message) }

    deinit {
        // zmq_msg_close needs a mutable message; the copy is the same handle, and it is closed once.
        var message = message
        zmq_msg_close(&message)
    }

    fileprivate mutating func receive(from socket: Socket) -> Bool {
        var status = zmq_msg_recv(&message, socket.handle, ZMQ_DONTWAIT)
        while status < 0, zmq_errno() == EINTR { status = zmq_msg_recv(&message, socket.handle, ZMQ_DONTWAIT) }
        return status >= 0
    }

    var hasMore: Bool { mutating get { zmq_msg_more(&message) != 0 } }

    var count: Int { mutating get { zmq_msg_size(&message) } }

    /// A copy of the bytes.
    var bytes: [UInt8] { mutating get { withBytes { [UInt8]($0) } } }

    mutating func withBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
        try body(UnsafeRawBufferPointer(start: zmq_msg_data(&message), count: zmq_msg_size(&message)))
    }

    /// A property of the connection the frame came by; nil when it has none of that name.
    mutating func property(_ name: String) -> String? {
        zmq_msg_gets(&message, name).map { String(cString: $0) }
    }

    /// The file descriptor of the connection the frame came by; -1 when unknown.
    var descriptor: Int32 { mutating get { zmq_msg_get(&message, ZMQ_SRCFD) } }
}

/// A frame to be filled and sent; ZeroMQ owns its memory, which is not zeroed.
struct OutgoingFrame: ~Copyable {
    private var message = zmq_msg_t()

    /// nil when there is no memory for it.
    init?(byteCount: Int) {
        guard zmq_msg_init_size(&message, byteCount) == 0 else { return nil }
    }

    deinit {
        // As with `Frame`; a frame that was sent is empty and costs nothing to close.
        var message = message
        zmq_msg_close(&message)
    }

    var count: Int { mutating get { zmq_msg_size(&message) } }

    mutating func withBytes<Result>(_ body: (UnsafeMutableRawBufferPointer) throws -> Result) rethrows -> Result {
        try body(UnsafeMutableRawBufferPointer(start: zmq_msg_data(&message), count: zmq_msg_size(&message)))
    }

    fileprivate mutating func send(on socket: Socket) -> Bool {
        var status = zmq_msg_send(&message, socket.handle, ZMQ_DONTWAIT)
        while status < 0, zmq_errno() == EINTR { status = zmq_msg_send(&message, socket.handle, ZMQ_DONTWAIT) }
        return status >= 0
    }
}

extension Socket {
    enum SendResult { case sent, blocked, unreachable }

    /// The next frame, or nil when there is none yet.
    func receive() -> Frame? {
        var frame = Frame()
        guard frame.receive(from: self) else { return nil }
        return consume frame
    }

    /// The rest of the current multipart message, thrown away.
    func dropRest() {
        while var frame = receive() { if !frame.hasMore { return } }
    }

    /// The whole current message as byte arrays, at most `limit` frames of it; nil when there is none.
    func receiveParts(limit: Int) -> [[UInt8]]? {
        var parts: [[UInt8]] = []
        while var frame = receive() {
            if parts.count < limit { parts.append(frame.bytes) }
            if !frame.hasMore { return parts }
        }
        return nil
    }

    /// Sends the parts and then the payload, without copying it, or, when the first cannot go, nothing.
    func send(_ parts: [[UInt8]], payload: inout OutgoingFrame) -> SendResult {
        let result = send(parts, isComplete: false)
        guard result == .sent else { return result }
        if payload.send(on: self) { return .sent }
        return zmq_errno() == EAGAIN ? .blocked : .unreachable
    }

    /// Sends all parts or, when the first cannot go, none. More must follow when they are not the complete message.
    func send(_ parts: [[UInt8]], isComplete: Bool = true) -> SendResult {
        for (index, part) in parts.enumerated() {
            let hasMore = !isComplete || index + 1 < parts.count
            let flags = ZMQ_DONTWAIT | (hasMore ? ZMQ_SNDMORE : 0)
            var status = zmq_send(handle, part, part.count, flags)
            while status < 0, zmq_errno() == EINTR { status = zmq_send(handle, part, part.count, flags) }
            // Once the first part is taken, ZeroMQ takes or discards the others with it.
            if status < 0 { return zmq_errno() == EAGAIN ? .blocked : .unreachable }
        }
        return .sent
    }
}

/// A connection's change of state, as a socket monitor tells it.
struct SocketEvent: Equatable {
    var kind: Int32
    /// A descriptor, an errno, a status code or an interval, depending on `kind`.
    var value: Int32

    /// The next event waiting at a monitor, or nil. Source: zmq_socket_monitor(3).
    static func next(at monitor: Socket) -> SocketEvent? {
        guard let parts = monitor.receiveParts(limit: 1), let first = parts.first, first.count == 6 else { return nil }
        return first.withUnsafeBytes { bytes in
            SocketEvent(
                kind: Int32(bytes.loadUnaligned(fromByteOffset: 0, as: UInt16.self)),
                value: bytes.loadUnaligned(fromByteOffset: 2, as: Int32.self))
        }
    }
}
