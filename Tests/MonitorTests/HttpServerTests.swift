import Federation
import Foundation
import Testing

@testable import Monitor

/// The server against clients that are no browsers.
@Suite struct HttpServerTests {
    private func ask(_ head: String) throws(HttpRequest.Fault) -> HttpRequest {
        try HttpRequest(parsing: Array(head.utf8))
    }

    @Test func readsWhatItNeeds() throws {
        let request = try ask(
            "GET /fleet.json?search=a%20b&limit=3&search=c HTTP/1.1\r\nhOsT:  localhost:1 \r\nAuthorization: Bearer t\r\nX: y"
        )
        #expect(request.method == "GET")
        #expect(request.path == "/fleet.json")
        #expect(request.query == ["search": "a b", "limit": "3"])
        #expect(request.host == "localhost:1")
        #expect(request.authorization == "Bearer t")
    }

    @Test(arguments: [
        "", "GET", "GET /", "GET / HTTP/1.1 x", "GET  / HTTP/1.1", "get / HTTP/1.1", "GET http://a/ HTTP/1.1",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b", "GET / HTTP/1.1\r\nAuthorization: a\r\nAuthorization: b",
        "GET / HTTP/1.1\r\n: x", "GET / HTTP/1.1\r\n continued", "GET / HTTP/1.1\r\nA b: c", "GET /\u{0} HTTP/1.1",
        "GET / HTTP/1.1\r\nX: \u{0}", "GET /ä HTTP/1.1", "GET / HTTP/1.1\r\nno colon",
    ]) func refusesWhatIsNoRequest(head: String) {
        #expect(throws: HttpRequest.Fault.malformed) { try ask(head) }
    }

    @Test func otherVersionsAreNamed() {
        #expect(throws: HttpRequest.Fault.version) { try ask("GET / HTTP/2") }
        #expect(throws: HttpRequest.Fault.malformed) { try HttpRequest(parsing: [0xFF, 0xFE]) }
    }

    private func serving(_ body: (_ port: UInt16) async throws -> Void) async throws {
        try await StatusServerTests.serving { url in
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

    @Test func aHeadInPiecesIsRead() async throws {
        try await serving { port in
            let text = try await RawConnection.onThread {
                let connection = try RawConnection(port: port)
                for byte in Array("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".utf8) { connection.send([byte]) }
                return connection.receive()
            }
            #expect(text.hasPrefix("HTTP/1.1 200 OK\r\n"))
            #expect(text.hasSuffix("\r\n\r\nok\n"))
        }
    }

    @Test func oddRequestsGetTheirAnswers() async throws {
        try await serving { port in
            for (request, line) in [
                ("nonsense\r\n\r\n", "400 Bad Request"), ("GET / HTTP/3\r\n\r\n", "505"),
                ("POST /status.json HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc", "405"),
                ("GET /status.json HTTP/1.1\r\nHost: evil.example\r\n\r\n", "403"),
                ("GET /x HTTP/1.1\r\nHost: localhost\r\nX: \(String(repeating: "a", count: 17 << 10))\r\n\r\n", "431"),
            ] {
                let text = try await answer(port, to: request)
                #expect(text.hasPrefix("HTTP/1.1 \(line)"), "\(request.prefix(40))")
                #expect(!text.contains("demo"))
            }
            let head = try await answer(port, to: "HEAD /status.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
            #expect(head.hasPrefix("HTTP/1.1 200 OK\r\n"))
            #expect(head.hasSuffix("\r\n\r\n"))
        }
    }

    /// A line without an end costs the server no more than what a head may have.
    @Test func anEndlessLineIsCutOff() async throws {
        try await serving { port in
            let sent = try await RawConnection.onThread {
                let connection = try RawConnection(port: port)
                let piece = [UInt8](repeating: UInt8(ascii: "a"), count: 1 << 20)
                connection.send("GET / HTTP/1.1\r\nX: ")
                var megabytes = 0
                while megabytes < 200, connection.send(piece) { megabytes += 1 }
                return megabytes
            }
            #expect(sent < 200, "sockets buffer a few")
        }
    }

    /// Those that say nothing take up connections, never more than there are, and none when they go.
    @Test func idleConnectionsAreBounded() async throws {
        try await serving { port in
            let texts = try await RawConnection.onThread {
                let idle = try (0..<HttpListener.connections).map { _ in
                    let connection = try RawConnection(port: port)
                    connection.send("GET /")
                    return connection
                }
                let turnedAway = try RawConnection(port: port).receive()
                return withExtendedLifetime(idle) { turnedAway }
            }
            #expect(texts.hasPrefix("HTTP/1.1 503"))
            var text = ""
            for _ in 0..<600 where !text.hasPrefix("HTTP/1.1 200") {
                text = try await answer(port, to: "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                try await Task.sleep(for: .milliseconds(20))
            }
            #expect(text.hasPrefix("HTTP/1.1 200"))
        }
    }
}
