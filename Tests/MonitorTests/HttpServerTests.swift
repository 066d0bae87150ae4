import Foundation
import Testing

@testable import Monitor

/// The server against clients that are no browsers.
@Suite struct HttpServerTests {
    private func serving(
        limits: HttpLimits = HttpLimits(), _ body: (_ port: UInt16) async throws -> Void
    ) async throws {
        try await StatusServerTests.serving(limits: limits) { url in
            let port = try #require(url.split(separator: ":").last.flatMap { UInt16($0) })
            try await body(port)
        }
    }

    private func answer(_ port: UInt16, to request: String) async throws -> String {
        try await RawConnection.onThread {
            let connection = try RawConnection(port: port)
            connection.send(request)
            return connection.receive()
        }
    }

    private static let health = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"

    /// Asks until there is an answer: places are given back a moment after a client has gone.
    private func expectHealth(_ port: UInt16) async throws {
        var text = ""
        for _ in 0..<600 where !text.hasPrefix("HTTP/1.1 200") {
            text = try await answer(port, to: Self.health)
            try await Task.sleep(for: .milliseconds(20))
        }
        #expect(text.hasPrefix("HTTP/1.1 200"))
    }

    @Test func aHeadInPiecesIsRead() async throws {
        try await serving { port in
            let text = try await RawConnection.onThread {
                let connection = try RawConnection(port: port)
                for byte in Array(Self.health.utf8) { connection.send([byte]) }
                return connection.receive()
            }
            #expect(text.hasPrefix("HTTP/1.1 200 OK\r\n"))
            #expect(text.hasSuffix("\r\n\r\nok\n"))
        }
    }

    private static let host = " HTTP/1.1\r\nHost: localhost\r\n"

    @Test(arguments: [
        ("nonsense\r\n\r\n", "400"), ("GET / HTTP/3\r\n\r\n", "505"), ("GET /\r\n\r\n", "505"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400"), ("GET / HTTP/1.1\r\n\r\n", "400"),
        ("POST /status.json\(host)Content-Length: 3\r\n\r\nabc", "405"), ("DELETE /\(host)\r\n", "405"),
        ("GET /status.json HTTP/1.1\r\nHost: evil.example\r\n\r\n", "403"),
        ("GET http://localhost/status.json\(host)\r\n", "400"), ("OPTIONS *\(host)\r\n", "400"),
        ("CONNECT localhost:1\(host)\r\n", "400"), ("FETCH /\(host)\r\n", "400"), ("get /\(host)\r\n", "400"),
        ("GET /\(host)Host: localhost\r\n\r\n", "400"), ("GET /\(host)X : a\r\n\r\n", "400"),
        ("GET /\(host)X: a\r\n b\r\n\r\n", "400"), ("GET /\(host): a\r\n\r\n", "400"),
        ("GET /\(host)no colon\r\n\r\n", "400"), ("GET /\(host)X: a\rY: b\r\n\r\n", "400"),
        ("GET /\(host)X: \u{0}\r\n\r\n", "400"), ("GET /\u{0}\(host)\r\n", "400"), ("GET /ä\(host)\r\n", "400"),
        ("POST /\(host)Content-Length: -1\r\n\r\n", "400"),
        ("POST /\(host)Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"),
    ]) func oddRequestsGetTheirAnswers(request: String, code: String) async throws {
        try await serving { port in
            let text = try await answer(port, to: request)
            #expect(text.hasPrefix("HTTP/1.1 \(code) "))
            #expect(!text.contains("demo"))
            #expect(text.contains("\r\nConnection: close\r\n"))
        }
    }

    /// Counted in bytes, whether a parser would count them or skip them.
    @Test(arguments: [
        ("GET /x\(host)X: ", "a", "\r\n\r\n"), ("GET /", "a", "\(host)\r\n"), ("GET /x\(host)X:", " ", "a\r\n\r\n"),
        ("GET /x\(host)", "a: b\r\n", "\r\n"), ("", "\r\n", health),
    ]) func aHeadIsBounded(beginning: String, repeated: String, end: String) async throws {
        let count = HttpLimits().headBytes / repeated.utf8.count
        let request = beginning + String(repeating: repeated, count: count) + end
        try await serving { port in
            let text = try await answer(port, to: request)
            #expect(text.hasPrefix("HTTP/1.1 431 "))
        }
    }

    @Test func aHeadMayHaveAsManyBytesAsSaid() async throws {
        var limits = HttpLimits()
        limits.headBytes = Self.health.utf8.count
        try await serving(limits: limits) { port in
            let fitting = try await answer(port, to: Self.health)
            #expect(fitting.hasPrefix("HTTP/1.1 200"))
            let longer = try await answer(port, to: "GET /healthz?" + Self.health.dropFirst(12))
            #expect(longer.hasPrefix("HTTP/1.1 431"))
        }
    }

    @Test func aHeadIsAnsweredWithoutABody() async throws {
        try await serving { port in
            let text = try await answer(port, to: "HEAD /status.json\(Self.host)\r\n")
            #expect(text.hasPrefix("HTTP/1.1 200 OK\r\n"))
            #expect(text.hasSuffix("\r\n\r\n"))
            #expect(!text.contains("Content-Length: 0\r\n"))
        }
    }

    /// One request, one answer, whatever follows.
    @Test(arguments: [
        (health, health), (health + "\u{0}garbage", "\r\n\u{1}"),
        ("POST /healthz\(host)Content-Length: 9999\r\n\r\n", "a"),
    ]) func whatFollowsARequestIsIgnored(request: String, following: String) async throws {
        try await serving { port in
            let text = try await answer(port, to: request + String(repeating: following, count: 2000))
            #expect(text.ranges(of: "HTTP/1.1 ").count == 1)
            #expect(text.hasPrefix("HTTP/1.1 200") || text.hasPrefix("HTTP/1.1 405"))
        }
    }

    /// A client that has nothing more to say still gets its answer.
    @Test func aClientMayCloseItsSide() async throws {
        try await serving { port in
            let texts = try await RawConnection.onThread {
                try [Self.health, "GET /hea", ""].map { request in
                    let connection = try RawConnection(port: port)
                    connection.send(request)
                    connection.finishSending()
                    return connection.receive()
                }
            }
            #expect(texts[0].hasSuffix("\r\n\r\nok\n"))
            #expect(!texts[1].contains(" 200 "))
            #expect(texts[2].isEmpty)
        }
    }

    /// Neither a line without an end nor an endless body costs the server more than what a client may send.
    @Test(arguments: ["GET / HTTP/1.1\r\nX: ", "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n"])
    func whoeverDoesNotStopSendingIsCutOff(beginning: String) async throws {
        try await serving { port in
            let sent = try await RawConnection.onThread {
                let connection = try RawConnection(port: port)
                let piece = [UInt8](repeating: UInt8(ascii: "a"), count: 1 << 20)
                connection.send(beginning)
                var megabytes = 0
                while megabytes < 200, connection.send(piece) { megabytes += 1 }
                return megabytes
            }
            #expect(sent < 200, "sockets buffer a few")
        }
    }

    /// However often something comes: the head has to be whole in time.
    @Test func aHeadMayNotTakeForEver() async throws {
        var limits = HttpLimits()
        limits.headTime = .milliseconds(50)
        try await serving(limits: limits) { port in
            let text = try await RawConnection.onThread {
                let connection = try RawConnection(port: port)
                connection.send("GET / HTTP/1.1\r\n")
                for _ in 0..<100 where connection.send("X: y\r\n") { usleep(2_000) }
                return connection.receive()
            }
            // The last bytes may meet a closed socket, which takes the answer along.
            #expect(text.isEmpty || text.hasPrefix("HTTP/1.1 408"))
            let silent = try await answer(port, to: "")
            #expect(silent.hasPrefix("HTTP/1.1 408"))
        }
    }

    /// Those that say nothing take up connections, never more than there are, and none when they go.
    @Test func idleConnectionsAreBounded() async throws {
        var limits = HttpLimits()
        limits.connections = 4
        limits.headTime = .minutes(10)
        try await serving(limits: limits) { port in
            let text = try await RawConnection.onThread {
                let idle = try (0..<4).map { _ in
                    let connection = try RawConnection(port: port)
                    connection.send("GET /")
                    return connection
                }
                let turnedAway = try RawConnection(port: port).receive()
                return withExtendedLifetime(idle) { turnedAway }
            }
            #expect(text.hasPrefix("HTTP/1.1 503"))
            try await expectHealth(port)
        }
        #expect(HttpLimits().connections == 64)
    }
}
