import Federation
import Foundation

/// Fetches a run's status from a status page: one HTTP/1.0 GET, plain text only.
public enum StatusClient {
    private static let largestAnswer = 16 << 20
    /// An answer may come in pieces, each in time, for so many times the timeout.
    private static let patienceFactor = 6

    /// GETs `url`/status.json. Blocks for at most a few times `timeoutSeconds`.
    /// - Parameter token: for a page that wants one.
    public static func status(
        url: String, token: AccessToken? = nil, timeoutSeconds: Int = 5
    ) throws(MonitorError) -> RunStatus {
        let base = url.hasSuffix("/") ? String(url.dropLast()) : url
        let target = base.hasSuffix("/status.json") ? base : base + "/status.json"
        let answer = try get(target, token: token, timeoutSeconds: timeoutSeconds)
        if answer.code == 401 {
            let mend = token == nil ? "give --http-token FILE or set \(AccessToken.variable)" : "the token is wrong"
            throw .request(url: target, reason: "it wants a token: \(mend)")
        }
        guard answer.code == 200 else { throw .request(url: target, reason: "it answered \(answer.code)") }
        do {
            return try JSONDecoder().decode(RunStatus.self, from: Data(answer.body))
        } catch {
            throw .request(url: target, reason: "its answer is no status")
        }
    }

    /// GETs a URL.
    public static func get(
        _ url: String, token: AccessToken? = nil, timeoutSeconds: Int = 5
    ) throws(MonitorError) -> (code: Int, head: String, body: [UInt8]) {
        guard let parts = URLComponents(string: url), parts.scheme == "http", var host = parts.host, !host.isEmpty,
            parts.user == nil, let port = UInt16(exactly: parts.port ?? 80)
        else { throw .url(url) }
        if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
        let descriptor = try connected(host: host, port: port, url: url, timeoutSeconds: timeoutSeconds)
        defer { close(descriptor) }
        let path = parts.percentEncodedPath.isEmpty ? "/" : parts.percentEncodedPath
        let name = host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        let query = parts.percentEncodedQuery.map { "?" + $0 } ?? ""
        let authorization = token.map { "Authorization: \($0.header)\r\n" } ?? ""
        let request =
            "GET \(path)\(query) HTTP/1.0\r\nHost: \(name)\r\n\(authorization)Connection: close\r\n\r\n"
        let sent = Array(request.utf8).withUnsafeBytes {
            send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
        }
        guard sent == request.utf8.count else { throw .request(url: url, reason: lastError()) }
        let deadline = ContinuousClock.now + .seconds(timeoutSeconds * patienceFactor)
        return try split(received(descriptor, until: deadline, url: url), url: url)
    }

    private static func connected(
        host: String, port: UInt16, url: String, timeoutSeconds: Int
    ) throws(MonitorError) -> Int32 {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, String(port), &hints, &found)
        guard code == 0 else { throw .request(url: url, reason: String(cString: gai_strerror(code))) }
        defer { freeaddrinfo(found) }
        var reason = "no address"
        var next = found
        while let candidate = next?.pointee {
            next = candidate.ai_next
            let descriptor = socket(candidate.ai_family, candidate.ai_socktype | Int32(SOCK_CLOEXEC.rawValue), 0)
            guard descriptor >= 0 else { continue }
            // On Linux the send timeout bounds connect(2) as well.
            var limit = timeval(tv_sec: timeoutSeconds, tv_usec: 0)
            for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
                setsockopt(descriptor, SOL_SOCKET, option, &limit, socklen_t(MemoryLayout<timeval>.size))
            }
            if connect(descriptor, candidate.ai_addr, candidate.ai_addrlen) == 0 { return descriptor }
            reason = lastError()
            close(descriptor)
        }
        throw .request(url: url, reason: reason)
    }

    private static func received(
        _ descriptor: Int32, until deadline: ContinuousClock.Instant, url: String
    ) throws(MonitorError) -> [UInt8] {
        var answer: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw .request(url: url, reason: lastError()) }
            guard count > 0 else { return answer }
            answer += buffer[..<count]
            guard answer.count <= largestAnswer else { throw .request(url: url, reason: "its answer is too long") }
            guard ContinuousClock.now < deadline else { throw .request(url: url, reason: "no whole answer in time") }
        }
    }

    private static func split(
        _ answer: [UInt8], url: String
    ) throws(MonitorError) -> (code: Int, head: String, body: [UInt8]) {
        guard let end = answer.firstRange(of: Array("\r\n\r\n".utf8)) else {
            throw .request(url: url, reason: "its answer is not HTTP")
        }
        let head = String(decoding: answer[..<end.lowerBound], as: UTF8.self)
        let words = head.prefix { $0 != "\r\n" }.split(separator: " ")
        guard words.count >= 2, words[0].hasPrefix("HTTP/1."), let code = Int(words[1]) else {
            throw .request(url: url, reason: "its answer is not HTTP")
        }
        return (code, head, Array(answer[end.upperBound...]))
    }

    private static func lastError() -> String {
        errno == EAGAIN || errno == EINPROGRESS ? "no answer in time" : String(cString: strerror(errno))
    }
}
