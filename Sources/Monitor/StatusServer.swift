import Federation
import FlyingFox
import Foundation

/// Serves a run's status to this machine: `/` (a page), `/status.json`, `/metrics`, `/healthz`, `/readyz`.
///
/// Read-only and loopback-only: what it shows is not secret on this machine, and nothing can be changed through it.
public actor StatusServer {
    private let address: LoopbackAddress
    private let status: @Sendable () async -> RunStatus
    private var running: (server: HTTPServer, task: Task<Void, Never>)?

    /// - Parameters:
    ///   - address: HOST:PORT on loopback; any other is refused.
    ///   - status: asked once for each request that needs it.
    public init(address: String, status: @escaping @Sendable () async -> RunStatus) throws(MonitorError) {
        self.address = try LoopbackAddress(parsing: address)
        self.status = status
    }

    deinit { running?.task.cancel() }

    /// Returns once requests are answered.
    public func start() async throws(MonitorError) {
        precondition(running == nil, "a status server is started once")
        let server: HTTPServer
        do {
            server =
                if address.isVersion6 {
                    HTTPServer(
                        address: try .inet6(ip6: address.host, port: address.port), logger: .disabled,
                        handler: StatusHandler(status: status))
                } else {
                    HTTPServer(
                        address: try .inet(ip4: address.host, port: address.port), logger: .disabled,
                        handler: StatusHandler(status: status))
                }
        } catch {
            throw .address(address.text)
        }
        // Either it listens, or it ends with the reason; whichever comes first.
        let (outcomes, outcome) = AsyncStream.makeStream(of: (any Error)?.self)
        let task = Task {
            do { try await server.run() } catch { outcome.yield(error) }
            outcome.finish()
        }
        running = (server, task)
        let listening = Task {
            do {
                try await server.waitUntilListening(timeout: 10)
                outcome.yield(nil)
            } catch { outcome.yield(error) }
        }
        var failure: (any Error)? = CancellationError()
        for await first in outcomes {
            failure = first
            break
        }
        listening.cancel()
        guard let failure else { return }
        task.cancel()
        running = nil
        throw error(for: failure)
    }

    /// The port that is listened on; differs from the address when that said 0.
    public var port: UInt16? {
        get async {
            switch await running?.server.listeningAddress {
            case .ip4(_, let port), .ip6(_, let port): port
            default: nil
            }
        }
    }

    /// Closes the socket and every connection.
    public func stop() async {
        guard let (server, task) = running else { return }
        running = nil
        await server.stop()
        task.cancel()
        await task.value
    }

    /// The library's error type belongs to a module that is not ours to import; its text is `SocketError. CALL(ERRNO): ...`.
    private func error(for failure: any Error) -> MonitorError {
        let reason = failure.localizedDescription
        return reason.contains("(\(EADDRINUSE))")
            ? .addressInUse(address.text) : .serverFailed(address: address.text, reason: reason)
    }
}

/// Answers one request.
struct StatusHandler: HTTPHandler {
    let status: @Sendable () async -> RunStatus

    func handleRequest(_ request: HTTPRequest) async throws -> HTTPResponse {
        guard LoopbackAddress.isLocal(hostHeader: request.headers[.host] ?? "localhost") else {
            return Self.text("this page is for requests to localhost only\n", .forbidden)
        }
        guard request.method == .GET || request.method == .HEAD else {
            return Self.text("only GET is answered here\n", HTTPStatusCode(405, phrase: "Method Not Allowed"))
        }
        switch request.path {
        case "/healthz": return Self.text("ok\n", .ok)
        case "/readyz":
            let status = await status()
            let isReady = status.state != "failed" && status.state != "stopped"
            return Self.text("\(status.state)\n", isReady ? .ok : .serviceUnavailable)
        case "/status.json": return Self.response(Data(await status().json()), type: "application/json", .ok)
        case "/metrics":
            let metrics = Metrics.text(of: await status())
            return Self.response(Data(metrics.utf8), type: "text/plain; version=0.0.4; charset=utf-8", .ok)
        case "/", "": return Self.response(Data(StatusPage.html.utf8), type: "text/html; charset=utf-8", .ok)
        default: return Self.text("not here; try /, /status.json, /metrics, /healthz or /readyz\n", .notFound)
        }
    }

    private static func text(_ text: String, _ code: HTTPStatusCode) -> HTTPResponse {
        response(Data(text.utf8), type: "text/plain; charset=utf-8", code)
    }

    private static func response(_ body: Data, type: String, _ code: HTTPStatusCode) -> HTTPResponse {
        // The page's own style and script stand in the page; nothing may come from, or go, anywhere else.
        let policy =
            "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; "
            + "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        return HTTPResponse(
            statusCode: code,
            headers: [
                .contentType: type, HTTPHeader("Cache-Control"): "no-store",
                HTTPHeader("Content-Security-Policy"): policy, HTTPHeader("X-Content-Type-Options"): "nosniff",
                HTTPHeader("Referrer-Policy"): "no-referrer",
            ],
            body: body)
    }
}
