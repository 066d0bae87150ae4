import CZeroMQ
import Synchronization

/// The listening side: many authenticated peers, control messages and blobs in both directions.
///
/// One thread owns all its sockets; every method may be called from any thread and returns at once, except `close()`.
/// The methods never fail: what goes wrong comes as an event. `events` has one consumer; while it does not keep up,
/// nothing more is read from the network.
public final class Server: Sendable {
    enum Command: Sendable {
        case send([UInt8], PeerID)
        case fetch(digest: [UInt8], byteCount: Int, PeerID)
        case forget(PeerID)
        case close
    }

    /// The endpoint really bound: with the port the system chose when `tcp://HOST:*` was asked for.
    public let endpoint: String
    public let events: AsyncStream<ServerEvent>

    private let mailbox: Mailbox<Command>
    private let thread: SocketThread
    private let cell: CounterCell

    /// Binds and starts.
    /// - Parameters:
    ///   - keys: this server's CURVE keys; nil for no security at all.
    ///   - allow: the name for an allowed public key (Z85) or nil; called on the socket thread for each message, so it
    ///     must be quick, and a revocation holds at once. Without it every key is allowed and peers have no names.
    /// - Throws: `TransportError.addressInUse`, `.invalidEndpoint`, `.invalidKey`, `.system`.
    public init(
        bind: String, keys: KeyPair?, allow: (@Sendable (String) -> String?)? = nil, limits: Limits = Limits(),
        blobs: BlobAccess
    ) throws(TransportError) {
        let mailbox = try Mailbox<Command>()
        let cell = CounterCell()
        let queue = EventQueue<ServerEvent>(capacityBytes: limits.maximumEventBytes) { mailbox.wake() }
        let loop = try ServerLoop(
            bind: bind, keys: keys, allow: allow, limits: limits, blobs: blobs, mailbox: mailbox, queue: queue,
            cell: cell)
        endpoint = loop.endpoint
        events = queue.stream()
        thread = try SocketThread { loop.run() }
        self.mailbox = mailbox
        self.cell = cell
    }

    /// Whether an address can be bound: it is, for an instant, and given back.
    /// - Throws: as `init`, for what concerns the address.
    public static func check(bind: String) throws(TransportError) {
        try Endpoint.check(bind, mayChoosePort: true)
        let router = try Socket(Context(), type: ZMQ_ROUTER)
        router.setCommonOptions(Limits(), endpoint: bind)
        // A security that nobody passes, should somebody connect in that instant.
        router.set(ZMQ_CURVE_SERVER, Int32(1))
        try router.set(ZMQ_CURVE_SECRETKEY, key: KeyPair.generate().secretKey)
        try router.bind(bind)
    }

    deinit { close() }

    public var counters: TransportCounters { cell.counters }

    /// Sends a control message; dropped when the peer is gone.
    public func send(_ message: [UInt8], to peer: PeerID) { mailbox.post(.send(message, peer)) }

    /// Fetches a blob; ends with `blobArrived` or `blobFailed`. Calling again while it is on its way changes nothing.
    public func fetch(digest: [UInt8], byteCount: Int, from peer: PeerID) {
        mailbox.post(.fetch(digest: digest, byteCount: byteCount, peer))
    }

    /// Drops the peer's transfers in both directions, without events.
    public func forget(_ peer: PeerID) { mailbox.post(.forget(peer)) }

    /// Sends what is queued (for at most a second), closes the sockets, ends `events` and waits for the thread.
    public func close() {
        mailbox.post(.close)
        thread.join()
    }
}
