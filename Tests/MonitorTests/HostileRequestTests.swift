import Federation
import Foundation
import Testing

@testable import Monitor

/// Requests of those who should learn nothing, and what names of workers do to an answer.
@Suite struct HostileRequestTests {
    private static let secret = "correct-horse-battery-staple"

    private static func token(_ text: String = secret) throws -> AccessToken { try AccessToken(text, from: "the test") }

    private static func answer(_ port: UInt16, to request: String) async throws -> String {
        try await RawConnection.onThread {
            let connection = try RawConnection(port: port)
            connection.send(request)
            return connection.receive()
        }
    }

    private static func serving(
        _ status: RunStatus = StatusServerTests.status(), token: AccessToken? = nil,
        _ body: (_ port: UInt16) async throws -> Void
    ) async throws {
        try await StatusServerTests.serving(status, token: token) { url in
            try await body(try #require(url.split(separator: ":").last.flatMap { UInt16($0) }))
        }
    }

    /// The lines of a head but the time, sorted, and the body.
    private static func parts(_ answer: String) throws -> (head: [String], body: String) {
        let end = try #require(answer.range(of: "\r\n\r\n"))
        let lines = answer[..<end.lowerBound].components(separatedBy: "\r\n")
        return (lines.filter { !$0.lowercased().hasPrefix("date:") }.sorted(), String(answer[end.upperBound...]))
    }

    private static let paths = [
        "/status.json", "/metrics", "/events", "/view.json", "/fleet.json?search=a", "/nowhere", "/runs/other",
        "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//", "/\(String(repeating: "a", count: 8000))",
        "/status.json?token=\(secret)", "/healthz/../status.json", "/status.json?/healthz", "/readyz/", "/HEALTHZ",
    ]

    /// Same status line, headers and body whether a path is known or not, whatever stands for the token.
    @Test func withoutTheTokenAllAnswersAreAlike() async throws {
        let claims = [
            "", "Accept: */*\r\n", "Authorization: Bearer wrong-token-wrong-token\r\n",
            "Authorization: Basic \(Self.secret)\r\n",
            "Authorization: Bearer \(Self.secret.dropLast())\r\n", "Authorization: Bearer \(Self.secret)x\r\n",
            "Authorization: Bearer \(Self.secret.uppercased())\r\n", "Cookie: token=\(Self.secret)\r\n",
            "X-Authorization: Bearer \(Self.secret)\r\n", "Proxy-Authorization: Bearer \(Self.secret)\r\n",
        ]
        try await Self.serving(token: try Self.token()) { port in
            let first = try await Self.answer(port, to: "GET /status.json HTTP/1.1\r\nHost: evil.example\r\n\r\n")
            let wanted = try Self.parts(first)
            #expect(first.hasPrefix("HTTP/1.1 401 Unauthorized\r\n"))
            for word in ["demo", "running", "ab12", "prune", Self.secret] { #expect(!first.contains(word)) }
            #expect(!first.lowercased().contains("access-control"))
            #expect(!first.lowercased().contains("set-cookie"))
            for path in Self.paths {
                let text = try await Self.answer(port, to: "GET \(path) HTTP/1.1\r\nHost: localhost\r\n\r\n")
                let found = try Self.parts(text)
                #expect(found.head == wanted.head, "\(path.prefix(60))")
                #expect(found.body == wanted.body, "\(path.prefix(60))")
            }
            for claim in claims {
                let text = try await Self.answer(port, to: "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\(claim)\r\n")
                let found = try Self.parts(text)
                #expect(found.head == wanted.head, "\(claim)")
                #expect(found.body == wanted.body, "\(claim)")
            }
        }
    }

    /// What a method is, is told to those only who may ask.
    @Test(arguments: ["HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"])
    func otherMethodsNeedTheTokenToo(method: String) async throws {
        try await Self.serving(token: try Self.token()) { port in
            for path in ["/status.json", "/nowhere"] {
                let text = try await Self.answer(
                    port, to: "\(method) \(path) HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
                #expect(text.hasPrefix("HTTP/1.1 401"), "\(method) \(path)")
                #expect(!text.contains("demo") && !text.contains("Allow"), "\(method) \(path)")
            }
        }
    }

    /// Two of them might be read differently by a proxy before this server: none counts.
    @Test func twoTokensAreNone() async throws {
        try await Self.serving(token: try Self.token()) { port in
            let line = "Authorization: Bearer \(Self.secret)\r\n"
            let text = try await Self.answer(
                port, to: "GET /status.json HTTP/1.1\r\nHost: localhost\r\n\(line)Authorization: Bearer x\r\n\r\n")
            #expect(!text.hasPrefix("HTTP/1.1 200"))
            #expect(!text.contains("demo"))
        }
    }

    /// A comparison that ends at the first difference takes a fraction of the time for a token that is wrong from the start.
    @Test func theComparisonTakesTheSameTimeWhereverTheyDiffer() throws {
        let text = String(repeating: "0123456789abcdef", count: 32)
        let token = try Self.token(text)
        let early = "Bearer X" + text.dropFirst()
        let late = "Bearer " + text.dropLast() + "X"
        func nanoseconds(_ header: String) -> Int {
            var (start, end) = (timespec(), timespec())
            clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start)
            let isBrought = token.isBrought(by: header)
            clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end)
            precondition(!isBrought)
            return (end.tv_sec - start.tv_sec) * 1_000_000_000 + end.tv_nsec - start.tv_nsec
        }
        #expect(token.isBrought(by: "Bearer \(text)"))
        // The least of many is the code's own time, whatever else the machine does; in turn, because its speed changes.
        var (first, last) = (Int.max, Int.max)
        for _ in 0..<2000 { (first, last) = (min(first, nanoseconds(early)), min(last, nanoseconds(late))) }
        #expect(Double(first) > 0.6 * Double(last), "\(first) ns and \(last) ns")
    }

    private static let names =
        StatusPageTests.hostileNames + [
            "a\r\nb", "\n\nevent: end\ndata: {}\n\n", "\\\"} 1\npleach_workers 9", "\\", "\\n",
            "\u{85}\u{2029}\u{FEFF}",
            "e\u{301}\u{1F600}",
        ]

    private static func status(of name: String) -> RunStatus {
        var status = StatusServerTests.status()
        status.plan = name
        status.waitingFor = "waiting for \(name)"
        status.round?.missing = [name]
        status.workers = [RunStatus.Worker(name: name, state: "late", secondsSinceSeen: 1)]
        return status
    }

    /// No name ends an event or begins one.
    @Test(arguments: names) func aStreamKeepsItsFrames(name: String) async throws {
        let server = try StatusServer(
            address: "127.0.0.1:0", patienceSeconds: Double(StatusServerTests.patienceSeconds)
        ) { StatusServerTests.picture(Self.status(of: name)) }
        try await server.start()
        let port = try #require(server.port)
        let connection = try await RawConnection.onThread {
            let connection = try RawConnection(port: port)
            connection.send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            return connection
        }
        let first = try await RawConnection.onThread { connection.receive(until: "event: live\n") }
        await server.stop()
        let text = first + (try await RawConnection.onThread { connection.receive() })
        let body = try #require(text.range(of: "\r\n\r\n")).upperBound
        var ends = 0
        for part in text[body...].components(separatedBy: "\n\n") where !part.isEmpty && part != "retry: 2000" {
            let lines = part.components(separatedBy: "\n")
            #expect(lines.count == 2 || part.hasPrefix(":"), "\(part)")
            guard lines.count == 2 else { continue }
            #expect(["event: live", "event: course", "event: end"].contains(lines[0]), "\(lines[0])")
            #expect(lines[1].hasPrefix("data: {"))
            _ = try JSONSerialization.jsonObject(with: Data(lines[1].utf8.dropFirst(6)))
            if lines[0] == "event: end" { ends += 1 }
        }
        #expect(ends == 1)
    }

    /// Read back by the format's own rules every label has the name it was given, and no line is of a name's making.
    @Test(arguments: names) func labelsSurviveTheTextFormat(name: String) throws {
        let text = Metrics.text(of: StatusServerTests.picture(Self.status(of: name)), memory: (1, 2))
        var workers: [String] = []
        var plans: [String] = []
        for line in text.unicodeScalars.split(separator: "\n") {
            if line.starts(with: "# ".unicodeScalars) { continue }
            let sample = try #require(PrometheusSample(String(String.UnicodeScalarView(line))), "\(String(line))")
            if sample.name == "pleach_worker_silence_seconds" { workers += sample.labels.map(\.value) }
            if sample.name == "pleach_run_info" {
                plans += sample.labels.filter { $0.key == "plan" }.map(\.value)
            }
        }
        #expect(workers == [name])
        #expect(plans == [name])
    }

    @Test(arguments: names) func theStatusAsTextKeepsItsLines(name: String) throws {
        let (text, plain) = (Self.status(of: name).text(), Self.status(of: "x").text())
        #expect(text.unicodeScalars.count { $0 == "\n" } == plain.unicodeScalars.count { $0 == "\n" })
        #expect(!text.unicodeScalars.contains { $0 != "\n" && isUnsafeOnTerminal($0) })
        #expect(text.count < 4000, "names are cut")
        let json = String(decoding: Self.status(of: name).json(), as: UTF8.self)
        #expect(!json.unicodeScalars.contains { $0 != "\n" && isUnsafeOnTerminal($0) })
        let read = try JSONDecoder().decode(RunStatus.self, from: Data(json.utf8))
        #expect(read.workers.map(\.name) == [name])
    }

    /// A search is compared, never run or shown.
    @Test(arguments: [
        "?search=%00%1b%5b2J", "?search=%ff%fe", "?search=%", "?search=\(String(repeating: "%41", count: 4000))",
        "?limit=99999999999999999999", "?limit=1e9", "?state=%27%20OR%201", "?search=../../etc/passwd", "?&&==&=",
    ]) func oddQueriesFindNobody(query: String) async throws {
        try await Self.serving { port in
            let text = try await Self.answer(
                port, to: "GET /fleet.json\(query) HTTP/1.1\r\nHost: localhost\r\n\r\n")
            #expect(text.hasPrefix("HTTP/1.1 200 OK\r\n"), "\(query.prefix(40))")
            #expect(!text.contains("root:"))
        }
    }
}

/// One line of Prometheus' text format, read strictly.
private struct PrometheusSample {
    var name: String
    var labels: [(key: String, value: String)] = []

    init?(_ line: String) {
        var rest = Array(line.unicodeScalars)[...]
        func word(_ rest: inout ArraySlice<Unicode.Scalar>) -> String {
            let found = rest.prefix {
                $0.isASCII && ($0.properties.isAlphabetic || $0 == "_" || ("0"..."9").contains($0))
            }
            rest = rest.dropFirst(found.count)
            return String(String.UnicodeScalarView(found))
        }
        name = word(&rest)
        guard !name.isEmpty else { return nil }
        if rest.first == "{" {
            repeat {
                rest = rest.dropFirst()
                let key = word(&rest)
                guard !key.isEmpty, rest.popFirst() == "=", rest.popFirst() == "\"" else { return nil }
                var value = String.UnicodeScalarView()
                while let scalar = rest.popFirst(), scalar != "\"" {
                    guard scalar == "\\" else {
                        value.append(scalar)
                        continue
                    }
                    switch rest.popFirst() {
                    case "n"?: value.append("\n")
                    case "\\"?: value.append("\\")
                    case "\""?: value.append("\"")
                    default: return nil
                    }
                }
                labels.append((key, String(value)))
            } while rest.first == ","
            guard rest.popFirst() == "}" else { return nil }
        }
        guard rest.popFirst() == " ", Double(String(String.UnicodeScalarView(rest))) != nil else { return nil }
    }
}
