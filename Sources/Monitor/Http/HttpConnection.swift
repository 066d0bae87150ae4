import Foundation
import Synchronization

/// One accepted connection, on a thread of its own: reads one head, gives one answer. Everything it takes is bounded: bytes of
/// the head, the time until the head is whole, the time that a piece of the answer may wait to be taken.
struct HttpConnection: ~Copyable {
    /// What a client may cost.
    enum Limits {
        static let headBytes = 16 << 10
        static let headSeconds = 10.0
        static let sendSeconds = 10
        /// What is still read, and for how long, so that a client gets its answer before the connection is gone.
        static let drainBytes = 256 << 10
        static let drainSeconds = 1.0
    }

    private let descriptor: Int32

    /// Takes over the socket; it is closed by whoever accepted it.
    init(descriptor: Int32) {
        self.descriptor = descriptor
        var limit = timeval(tv_sec: Limits.sendSeconds, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var yes: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &yes, socklen_t(MemoryLayout<Int32>.size))
    }

    /// The request, or what to answer instead; nil when the client went away.
    func request() -> Result<HttpRequest, HttpRefusal>? {
        var head: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        let deadline = ContinuousClock.now + .seconds(Limits.headSeconds)
        while true {
            guard waitForBytes(until: deadline) else { return .failure(.timeout) }
            let count = recv(descriptor, &buffer, buffer.count, 0)
            if count < 0, errno == EINTR || errno == EAGAIN { continue }
            guard count > 0 else { return nil }
            // The end may lie across two pieces.
            let from = max(0, head.count - 3)
            head += buffer[..<count]
            if let end = Self.endOfHead(head, from: from) {
                guard end <= Limits.headBytes else { return .failure(.tooLarge) }
                do throws(HttpRequest.Fault) {
                    return .success(try HttpRequest(parsing: Array(head[..<end])))
                } catch {
                    return .failure(error == .version ? .version : .malformed)
                }
            }
            guard head.count <= Limits.headBytes else { return .failure(.tooLarge) }
        }
    }

    /// Where the empty line begins that ends a head: lines end with CR LF, or LF alone (RFC 9112, 2.2).
    private static func endOfHead(_ bytes: [UInt8], from start: Int) -> Int? {
        var index = start
        while index < bytes.count {
            defer { index += 1 }
            guard bytes[index] == UInt8(ascii: "\n") else { continue }
            let next = index + 1
            if next < bytes.count, bytes[next] == UInt8(ascii: "\n") { return index }
            if next + 1 < bytes.count, bytes[next] == UInt8(ascii: "\r"), bytes[next + 1] == UInt8(ascii: "\n") {
                return index
            }
        }
        return nil
    }

    private func waitForBytes(until deadline: ContinuousClock.Instant) -> Bool {
        while true {
            let left = (deadline - .now) / .milliseconds(1)
            guard left > 0 else { return false }
            var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let ready = poll(&entry, 1, Int32(left.rounded(.up)))
            if ready > 0 { return true }
            if ready < 0, errno != EINTR { return false }
        }
    }

    func send(_ answer: HttpAnswer, withoutBody: Bool) {
        guard send(answer.head()), withoutBody || send(answer.body) else { return }
        finish()
    }

    /// Whether all of it was taken in time.
    func send(_ bytes: [UInt8]) -> Bool {
        var offset = 0
        while offset < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                Foundation.send(
                    descriptor, buffer.baseAddress.map { $0 + offset }, buffer.count - offset, Int32(MSG_NOSIGNAL))
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return false }
            offset += count
        }
        return true
    }

    /// Says that nothing more comes, and reads what the client still sends: closing a socket with unread bytes resets it, and the
    /// client might never see its answer.
    private func finish() {
        shutdown(descriptor, Int32(SHUT_WR))
        var buffer = [UInt8](repeating: 0, count: 4096)
        var total = 0
        let deadline = ContinuousClock.now + .seconds(Limits.drainSeconds)
        while total < Limits.drainBytes, waitForBytes(until: deadline) {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            guard count > 0 else { return }
            total += count
        }
    }

    /// Whether the client has closed its side, or the connection is broken: a stream's client sends nothing.
    var isAbandoned: Bool {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&entry, 1, 0) > 0 else { return false }
        var byte: UInt8 = 0
        return recv(descriptor, &byte, 1, Int32(MSG_PEEK) | Int32(MSG_DONTWAIT)) <= 0
    }
}

/// Why a request was not even looked at.
enum HttpRefusal: Error, Equatable {
    case malformed
    case version
    case tooLarge
    case timeout

    var answer: HttpAnswer {
        switch self {
        case .malformed: HttpAnswer(.badRequest, text: "this is no HTTP request\n")
        case .version: HttpAnswer(.versionNotSupported, text: "HTTP/1.1 or HTTP/1.0\n")
        case .tooLarge: HttpAnswer(.headersTooLarge, text: "the request's head is too long\n")
        case .timeout: HttpAnswer(.requestTimeout, text: "no whole request came in time\n")
        }
    }
}
