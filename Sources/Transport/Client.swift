import CZeroMQ
import Synchronization

/// The connecting side: one server, control messages and blobs in both directions; it reconnects by itself.
///
/// One thread owns all its sockets; every method may be called from any thread and returns at once, except `close()`.
/// The methods never fail: what goes wrong comes as an event. `events` has one consumer; while it does not keep up,
/// nothing more is read from the network.
public final class Client: Sendable {
    enum Command: Sendable {
        case send([UInt8])
        case fetch(digest: [UInt8], byteCount: Int)
        case close
    }

    public let events: AsyncStream<ClientEvent>

    private let mailbox: Mailbox<Command>
    private let thread: SocketThread
    private let cell: CounterCell

    /// Starts to connect; `events` tells what becomes of it.
    /// - Parameters:
    ///   - keys: our CURVE keys; nil, with `serverKey` nil as well, for no security at all.
    ///   - serverKey: the public key (Z85) that the server must prove to have.
    /// - Throws: `TransportError.invalidEndpoint`, `.incompleteKeys`, `.invalidKey`, `.system`.
    public init(
        connect: String, keys: KeyPair?, serverKey: String?, limits: Limits = Limits(), blobs: BlobAccess
    ) throws(TransportError) {
        let mailbox = try Mailbox<Command>()
        let cell = CounterCell()
        let queue = EventQueue<ClientEvent>(capacityBytes: limits.maximumEventBytes) { mailbox.wake() }
        let loop = try ClientLoop(
            connect: connect, keys: keys, serverKey: serverKey, limits: limits, blobs: blobs, mailbox: mailbox,
            queue: queue, cell: cell)
        events = queue.stream()
        thread = try SocketThread { loop.run() }
        self.mailbox = mailbox
        self.cell = cell
    }

    deinit { close() }

    public var counters: TransportCounters { cell.counters }

    /// Sends a control message. Without a connection it waits for one, in order, ahead of what is sent later.
    public func send(_ message: [UInt8]) { mailbox.post(.send(message)) }

    /// Fetches a blob; ends with `blobArrived` or `blobFailed`. Calling again while it is on its way changes nothing.
    /// A lost connection only delays it.
    public func fetch(digest: [UInt8], byteCount: Int) { mailbox.post(.fetch(digest: digest, byteCount: byteCount)) }

    /// Sends what is queued (for at most a second), closes the sockets, ends `events` and waits for the thread.
    public func close() {
        mailbox.post(.close)
        thread.join()
    }
}
