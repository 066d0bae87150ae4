import CZeroMQ
import Glibc
import Synchronization

/// A thread that owns ZeroMQ sockets and is joined exactly once.
final class SocketThread: Sendable {
    private final class Body {
        let run: () -> Void
        init(_ run: @escaping () -> Void) { self.run = run }
    }

    private let thread: Mutex<pthread_t?>

    /// - Parameter body: everything it captures now belongs to the new thread.
    init(_ body: sending @escaping () -> Void) throws(TransportError) {
        var thread = pthread_t()
        let argument = Unmanaged.passRetained(Body(body))
        let status = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            }, argument.toOpaque())
        guard status == 0 else {
            argument.release()
            throw .system(operation: "starting the socket thread", reason: String(cString: strerror(status)))
        }
        self.thread = Mutex(thread)
    }

    /// Waits until the thread has ended; further calls return at once when the first has.
    func join() {
        thread.withLock { thread in
            guard let running = thread else { return }
            pthread_join(running, nil)
            thread = nil
        }
    }
}

/// Commands for a socket thread: any thread posts, the socket thread is woken in its poll and takes them all.
final class Mailbox<Command: Sendable>: Sendable {
    private let commands = Mutex<[Command]>([])
    let descriptor: Int32

    init() throws(TransportError) {
        descriptor = eventfd(0, Int32(EFD_NONBLOCK) | Int32(EFD_CLOEXEC))
        guard descriptor >= 0 else {
            throw .system(operation: "eventfd", reason: String(cString: strerror(errno)))
        }
    }

    deinit { close(descriptor) }

    func post(_ command: Command) {
        commands.withLock { $0.append(command) }
        wake()
    }

    /// Lets the socket thread look around although there is no command.
    func wake() {
        var one: UInt64 = 1
        // Can only fail when the counter is full, and then the thread is awake anyway.
        _ = write(descriptor, &one, 8)
    }

    func take() -> [Command] {
        var count: UInt64 = 0
        _ = read(descriptor, &count, 8)
        return commands.withLock { commands in
            defer { commands = [] }
            return commands
        }
    }
}

/// Waits until one of the sockets or the descriptor can be read (or, for the last socket, also written).
func waitForSockets(
    descriptor: Int32, sockets: [(Socket, events: Int32)], timeoutMilliseconds: Int
) {
    var items = [zmq_pollitem_t(socket: nil, fd: descriptor, events: Int16(ZMQ_POLLIN), revents: 0)]
    for (socket, events) in sockets where events != 0 {
        items.append(zmq_pollitem_t(socket: socket.handle, fd: 0, events: Int16(events), revents: 0))
    }
    // An interruption or a closing context shows in the caller's next receive.
    _ = zmq_poll(&items, Int32(items.count), timeoutMilliseconds)
}

/// Seconds on the system's monotonic clock.
func monotonicSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}
