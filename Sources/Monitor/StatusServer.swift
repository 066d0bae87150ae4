import Federation
import Synchronization

/// Serves a run's status: `/` (a page), `/events`, `/view.json`, `/fleet.json`, `/status.json`, `/metrics`, `/healthz`, `/readyz`.
///
/// Read-only. On loopback what it shows is not secret; on any other address, and wherever a token was given, all but `/healthz`
/// and `/readyz` needs the token. HTTP hides nothing on its way: between machines put it behind TLS, or use ssh -L.
public final class StatusServer: Sendable {
    private let address: ServingAddress
    private let token: AccessToken?
    private let feed: StatusFeed
    private let limits: HttpLimits
    private let listener = Mutex<HttpListener?>(nil)

    /// - Parameters:
    ///   - address: IP:PORT; one beyond loopback is refused without a token.
    ///   - token: what requests have to bring; nil on loopback only.
    ///   - patienceSeconds: how long `picture` may take before a request gets 503.
    ///   - picture: asked at most four times a second, however many look.
    public convenience init(
        address: String, token: AccessToken? = nil, patienceSeconds: Double = 10,
        picture: @escaping @Sendable () async -> RunPicture
    ) throws(MonitorError) {
        try self.init(
            address: address, token: token, patienceSeconds: patienceSeconds, limits: HttpLimits(), picture: picture)
    }

    init(
        address: String, token: AccessToken? = nil, patienceSeconds: Double = 10, limits: HttpLimits,
        picture: @escaping @Sendable () async -> RunPicture
    ) throws(MonitorError) {
        self.address = try Self.checked(address: address, token: token)
        self.token = token
        self.limits = limits
        feed = StatusFeed(patience: .seconds(patienceSeconds), source: picture)
    }

    /// Whether a page may be served there: what is wrong is said before anything is started.
    public static func check(address: String, token: AccessToken?) throws(MonitorError) {
        _ = try checked(address: address, token: token)
    }

    /// The same, and whether the address is free: it is bound for an instant and given back.
    public static func checkFree(address: String, token: AccessToken?) throws(MonitorError) {
        try HttpListener.checkFree(checked(address: address, token: token))
    }

    private static func checked(address: String, token: AccessToken?) throws(MonitorError) -> ServingAddress {
        let parsed = try ServingAddress(parsing: address)
        guard parsed.isLoopback || token != nil else { throw .addressNeedsToken(address) }
        return parsed
    }

    /// Requests are answered from here on.
    public func start() async throws(MonitorError) {
        let routes = StatusRoutes(token: token, feed: feed)
        let started = try await HttpListener(address, limits: limits) { exchange in await routes.serve(exchange) }
        let previous = listener.withLock { listener in
            defer { listener = started }
            return listener
        }
        precondition(previous == nil, "a status server is started once")
    }

    /// The port that is listened on; differs from the address when that said 0.
    public var port: UInt16? { listener.withLock { $0?.port } }

    /// Sends the last state to every open page, then closes the socket and all connections.
    public func stop() async {
        guard let listener = listener.withLock({ $0.take() }) else { return }
        await feed.close()
        await listener.stop(grace: .seconds(2))
    }
}
