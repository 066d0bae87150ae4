import Federation
import Foundation
import NIOHTTP1
import Synchronization

/// Answers one request.
struct StatusRoutes: Sendable {
    /// Pages that are kept up to date at the same time; the others ask again later.
    static let streamLimit = 16

    private let token: AccessToken?
    private let feed: StatusFeed
    private let streams = StreamCount()

    private final class StreamCount: Sendable {
        let open = Mutex(0)
    }

    init(token: AccessToken?, feed: StatusFeed) {
        self.token = token
        self.feed = feed
    }

    func serve(_ exchange: HttpExchange) async {
        let request = exchange.request
        if request.path == "/events", request.method == .GET, objection(to: request) == nil {
            await stream(to: exchange)
        } else {
            await exchange.send(answer(to: request))
        }
    }

    /// Everything but the stream.
    func answer(to request: HttpRequest) async -> HttpAnswer {
        if let objection = objection(to: request) { return objection }
        switch request.path {
        case "/healthz": return HttpAnswer(.ok, text: "ok\n")
        case "/readyz": return await readiness(isTrusted: isTrusted(request))
        case "/": return StatusPage.answer(.ok)
        case "/status.json":
            return await withPicture { HttpAnswer(.ok, type: "application/json", body: $0.status.json()) }
        case "/metrics":
            return await withPicture { picture in
                let memory = (resident: ProcessMemory.residentBytes, peak: ProcessMemory.peakBytes)
                return HttpAnswer(
                    .ok, type: "text/plain; version=0.0.4; charset=utf-8",
                    body: Array(Metrics.text(of: picture, memory: memory).utf8))
            }
        case "/view.json":
            guard let frame = await feed.frame() else { return Self.busy }
            let body =
                Array("{\"live\":".utf8) + frame.live + Array(",\"course\":".utf8) + frame.course + Array("}\n".utf8)
            return HttpAnswer(.ok, type: "application/json", body: body)
        case "/fleet.json": return await withPicture { fleet(request, $0.status) }
        case "/events": return HttpAnswer(.ok, type: "text/event-stream", body: [])
        default: return HttpAnswer(.notFound, text: "not here; try /, /status.json, /metrics, /healthz or /readyz\n")
        }
    }

    /// Why a request gets nothing: it comes from a page elsewhere, brings no token, or wants to change something.
    private func objection(to request: HttpRequest) -> HttpAnswer? {
        if token == nil, !ServingAddress.isLocal(hostHeader: request.host ?? "localhost") {
            return HttpAnswer(.forbidden, text: "this page is for requests to localhost only\n")
        }
        // Probes of containers have no token; they learn no more than that.
        let isProbe = request.path == "/healthz" || request.path == "/readyz"
        if !isProbe, !isTrusted(request) { return unauthorized(request) }
        guard request.method == .GET || request.method == .HEAD else {
            var answer = HttpAnswer(.methodNotAllowed, text: "only GET is answered here\n")
            answer.headers = ["Allow": "GET, HEAD"]
            return answer
        }
        return nil
    }

    private func isTrusted(_ request: HttpRequest) -> Bool {
        token.map { $0.isBrought(by: request.authorization) } ?? true
    }

    /// The same for every path but `/`, which asks for the token: it is the page as it stands in the program, without a word of
    /// the run.
    private func unauthorized(_ request: HttpRequest) -> HttpAnswer {
        var answer =
            request.path == "/" && request.method == .GET
            ? StatusPage.answer(.unauthorized) : HttpAnswer(.unauthorized, text: "a token is needed\n")
        answer.headers.add(name: "WWW-Authenticate", value: "Bearer")
        return answer
    }

    private static let busy: HttpAnswer = {
        var answer = HttpAnswer(.serviceUnavailable, text: "the coordinator is busy; try again\n")
        answer.headers = ["Retry-After": "5"]
        return answer
    }()

    private func withPicture(_ body: (RunPicture) -> HttpAnswer) async -> HttpAnswer {
        await feed.picture().map(body) ?? Self.busy
    }

    private func readiness(isTrusted: Bool) async -> HttpAnswer {
        await withPicture { picture in
            let state = picture.status.state
            let isReady = state != "failed" && state != "stopped"
            return HttpAnswer(
                isReady ? .ok : .serviceUnavailable,
                text: isTrusted ? "\(state)\n" : isReady ? "ready\n" : "not ready\n")
        }
    }

    private func fleet(_ request: HttpRequest, _ status: RunStatus) -> HttpAnswer {
        let state = request.query["state"].flatMap { $0.isEmpty ? nil : $0 }
        let limit = min(max(request.query["limit"].flatMap { Int($0) } ?? PageState.fleetLimit, 1), 500)
        let found = PageState.fleet(
            of: status, search: String((request.query["search"] ?? "").prefix(200)), state: state, limit: limit)
        return HttpAnswer(.ok, type: "application/json", body: PageJSON.encode(found))
    }

    // MARK: Server-sent events

    /// Events `live` and `course` whenever they change, and `end` when the coordinator ends (HTML, "Server-sent events").
    private func stream(to exchange: HttpExchange) async {
        let isAdmitted = streams.open.withLock { open in
            guard open < Self.streamLimit else { return false }
            open += 1
            return true
        }
        guard isAdmitted else {
            var answer = HttpAnswer(.serviceUnavailable, text: "too many pages are open\n")
            answer.headers = ["Retry-After": "10"]
            return await exchange.send(answer)
        }
        defer { streams.open.withLock { $0 -= 1 } }
        let opening = HttpAnswer(.ok, type: "text/event-stream", body: Array("retry: 2000\n\n".utf8))
        guard await exchange.begin(opening) else { return }
        var sent = StatusFeed.Frame()
        var sentAt = ContinuousClock.now
        var isClosing = await feed.isClosing
        while exchange.isOpen {
            var bytes: [UInt8] = []
            if let frame = await feed.frame() {
                if frame.courseNumber != sent.courseNumber { bytes += Self.event("course", frame.course) }
                let isOld = ContinuousClock.now - sentAt > Self.longestSilence
                if frame.number != sent.number || isOld || isClosing { bytes += Self.event("live", frame.live) }
                sent = frame
            } else {
                bytes += Array(": busy\n\n".utf8)
            }
            if isClosing { bytes += Self.event("end", Array("{}".utf8)) }
            if !bytes.isEmpty {
                guard await exchange.send(bytes) else { return }
                sentAt = ContinuousClock.now
            }
            if isClosing { return await exchange.end() }
            isClosing = await feed.nextMoment()
        }
    }

    /// Ages are told again, and a broken connection is noticed.
    private static let longestSilence = Duration.seconds(5)

    /// JSON holds no line ends, so one `data` line is enough.
    static func event(_ name: String, _ data: [UInt8]) -> [UInt8] {
        Array("event: \(name)\ndata: ".utf8) + data + Array("\n\n".utf8)
    }
}
