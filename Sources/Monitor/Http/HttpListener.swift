import Foundation
import Synchronization

// A small HTTP server for one purpose: a few read-only answers of a coordinator that must not be harmed by whoever reaches the
// port. One thread accepts, each connection has a thread and gives one answer.
//
// Invariants:
// - at most `connections` connections are open, whoever opens more is told so and closed;
// - nothing of a request is kept that is longer than `HttpConnection.Limits`, and no client can hold a thread for ever;
// - `stop` returns when every thread has ended.
//
// Left out: bodies, keep-alive, TLS (a proxy's or ssh's task).

/// Accepts connections and has each answered on a thread of its own.
final class HttpListener: Sendable {
    /// Open at the same time.
    static let connections = 64

    let port: UInt16
    private let descriptor: Int32
    /// A byte in the pipe ends the accepting thread.
    private let wake: (read: Int32, write: Int32)
    private let open = Mutex(OpenConnections())
    private let serve: @Sendable (borrowing HttpConnection) -> Void

    private struct OpenConnections {
        var descriptors: Set<Int32> = []
        var isAccepting = true
        var isStopping = false
    }

    /// Binds and listens; connections are accepted from then on.
    init(
        _ address: ServingAddress, serve: @escaping @Sendable (borrowing HttpConnection) -> Void
    ) throws(MonitorError) {
        let (socket, port) = try Self.listen(address)
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else {
            let reason = String(cString: strerror(errno))
            close(socket)
            throw .serverFailed(address: address.text, reason: reason)
        }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        (descriptor, self.port, wake, self.serve) = (socket, port, (ends[0], ends[1]), serve)
        start { [self] in acceptConnections() }
    }

    deinit {
        close(descriptor)
        close(wake.read)
        close(wake.write)
    }

    /// Binds and lets go again.
    static func checkFree(_ address: ServingAddress) throws(MonitorError) { close(try listen(address).0) }

    private static func listen(_ address: ServingAddress) throws(MonitorError) -> (Int32, UInt16) {
        let family = address.isVersion6 ? AF_INET6 : AF_INET
        let descriptor = socket(family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw failure(address) }
        var yes: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        var storage = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let bound = withUnsafeMutablePointer(to: &storage) { storage in
            storage.withMemoryRebound(to: sockaddr.self, capacity: 1) { socketAddress in
                let used = address.fill(storage)
                let isBound = bind(descriptor, socketAddress, used) == 0 && Foundation.listen(descriptor, 64) == 0
                return isBound && getsockname(descriptor, socketAddress, &size) == 0
            }
        }
        guard bound else {
            let error = failure(address)
            close(descriptor)
            throw error
        }
        // The port lies at the same place in both families.
        let port = withUnsafeBytes(of: &storage) { $0.loadUnaligned(fromByteOffset: 2, as: UInt16.self) }
        return (descriptor, UInt16(bigEndian: port))
    }

    private static func failure(_ address: ServingAddress) -> MonitorError {
        errno == EADDRINUSE
            ? .addressInUse(address.text)
            : .serverFailed(address: address.text, reason: String(cString: strerror(errno)))
    }

    private func acceptConnections() {
        while !open.withLock({ $0.isStopping }) {
            var entries = [
                pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
                pollfd(fd: wake.read, events: Int16(POLLIN), revents: 0),
            ]
            guard poll(&entries, 2, -1) > 0, entries[1].revents == 0 else { continue }
            let client = accept(descriptor, nil, nil)
            guard client >= 0 else {
                // Out of descriptors, perhaps: what is pending stays so, a busy loop would not help.
                _ = poll(&entries[1], 1, 100)
                continue
            }
            _ = fcntl(client, F_SETFD, FD_CLOEXEC)
            take(client)
        }
        open.withLock { $0.isAccepting = false }
    }

    private func take(_ client: Int32) {
        let isTaken = open.withLock { open in
            guard open.descriptors.count < Self.connections, !open.isStopping else { return false }
            return open.descriptors.insert(client).inserted
        }
        guard isTaken else {
            let answer = HttpAnswer(.unavailable, text: "too many connections; try again\n")
            let bytes = answer.head() + answer.body
            // Without waiting: this thread must go on accepting.
            _ = bytes.withUnsafeBytes {
                Foundation.send(client, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
            }
            close(client)
            return
        }
        start { [self] in
            serve(HttpConnection(descriptor: client))
            // Under the lock, so that `stop` never touches a number that already names another file.
            open.withLock { open in
                open.descriptors.remove(client)
                close(client)
            }
        }
    }

    private func start(_ body: @escaping @Sendable () -> Void) {
        let thread = Thread(block: body)
        thread.stackSize = 512 << 10
        thread.start()
    }

    /// Ends accepting, gives connections `graceSeconds` to end by themselves, then cuts them. Blocks until all threads have ended.
    func stop(graceSeconds: Double) {
        open.withLock { $0.isStopping = true }
        var byte: UInt8 = 1
        _ = write(wake.write, &byte, 1)
        let patience = ContinuousClock.now + .seconds(graceSeconds)
        while true {
            let isOver = open.withLock { open in
                if ContinuousClock.now >= patience {
                    for client in open.descriptors { shutdown(client, Int32(SHUT_RDWR)) }
                }
                return open.descriptors.isEmpty && !open.isAccepting
            }
            if isOver { return }
            usleep(5_000)
        }
    }
}

extension ServingAddress {
    /// Writes the socket's address; returns its size.
    fileprivate func fill(_ storage: UnsafeMutablePointer<sockaddr_storage>) -> socklen_t {
        if isVersion6 {
            return UnsafeMutableRawPointer(storage).withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { address in
                address.pointee.sin6_family = sa_family_t(AF_INET6)
                address.pointee.sin6_port = port.bigEndian
                inet_pton(AF_INET6, host, &address.pointee.sin6_addr)
                return socklen_t(MemoryLayout<sockaddr_in6>.size)
            }
        }
        return UnsafeMutableRawPointer(storage).withMemoryRebound(to: sockaddr_in.self, capacity: 1) { address in
            address.pointee.sin_family = sa_family_t(AF_INET)
            address.pointee.sin_port = port.bigEndian
            inet_pton(AF_INET, host, &address.pointee.sin_addr)
            return socklen_t(MemoryLayout<sockaddr_in>.size)
        }
    }
}
