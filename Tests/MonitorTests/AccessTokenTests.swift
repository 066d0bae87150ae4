import Federation
import Foundation
import Testing

@testable import Monitor

@Suite struct AccessTokenTests {
    private static let secret = "0123456789abcdef-._~+/=ABC"

    private func token(_ text: String = secret) throws(MonitorError) -> AccessToken {
        try AccessToken(text, from: "the test")
    }

    @Test(
        arguments: [
            ("Bearer \(secret)", true), ("bearer \(secret)", true), ("BEARER   \(secret)", false), (nil, false),
            ("", false),
            (secret, false), ("Basic \(secret)", false), ("Bearer", false), ("Bearer ", false),
            ("Bearer \(secret)x", false),
            ("Bearer \(secret.dropLast())", false), ("Bearer x\(secret.dropFirst())", false),
            ("Bearer \(secret) ", false),
            ("Bearer \(String(repeating: "0", count: 100_000))", false),
        ] as [(String?, Bool)]) func onlyTheTokenOpens(header: String?, opens: Bool) throws
    {
        #expect(try token().isBrought(by: header) == opens)
    }

    @Test(arguments: ["", "short", "0123456789abcde", "0123456789 abcdef", "0123456789abcdefä", "0123456789abcdef\n"])
    func refusesWhatIsNoToken(text: String) {
        #expect(throws: MonitorError.token("the test")) { try token(text) }
        #expect(text.isEmpty || !MonitorError.token("the test").description.contains(text))
    }

    @Test func doesNotShowItself() throws {
        let token = try token()
        for text in ["\(token)", String(reflecting: token), "\(Optional.some(token) as Any)"] {
            #expect(!text.contains("abcdef"))
        }
    }

    @Test func isReadFromAFileOfOnesOwn() throws {
        let path = NSTemporaryDirectory() + "pleach-token-\(UUID().uuidString)"
        defer { unlink(path) }
        try (Self.secret + "\n").write(toFile: path, atomically: true, encoding: .utf8)
        chmod(path, 0o640)
        #expect(try AccessToken(contentsOf: path) == token())
        #expect(try AccessToken.given(file: path, environment: [AccessToken.variable: "another-token-1234"]) == token())
        chmod(path, 0o644)
        #expect(throws: MonitorError.tokenExposed(path)) { try AccessToken(contentsOf: path) }
        try String(repeating: "a", count: 5000).write(toFile: path, atomically: true, encoding: .utf8)
        chmod(path, 0o600)
        #expect(throws: MonitorError.token("the file \(path)")) { try AccessToken(contentsOf: path) }
        #expect(throws: MonitorError.self) { try AccessToken(contentsOf: path + "-missing") }
        #expect(throws: MonitorError.token("the file /dev/null")) { try AccessToken(contentsOf: "/dev/null") }
    }

    @Test func isReadFromTheEnvironment() throws {
        #expect(try AccessToken.given(file: nil, environment: [AccessToken.variable: Self.secret]) == token())
        #expect(try AccessToken.given(file: nil, environment: [:]) == nil)
        #expect(try AccessToken.given(file: nil, environment: [AccessToken.variable: ""]) == nil)
        #expect(throws: MonitorError.token(AccessToken.variable)) {
            try AccessToken.given(file: nil, environment: [AccessToken.variable: "short"])
        }
    }

    /// Without the token every path answers alike, known or not, and says nothing of the run.
    @Test func nothingLeaksWithoutIt() async throws {
        let token = try token()
        let wrong = try AccessToken("wrong-token-wrong-token", from: "the test")
        try await StatusServerTests.serving(token: token) { url in
            for brought in [nil, wrong] {
                var bodies: Set<[UInt8]> = []
                for path in [
                    "/status.json", "/metrics", "/events", "/view.json", "/fleet.json", "/nowhere", "/../etc/passwd",
                ] {
                    let answer = try await StatusServerTests.get(url, path, token: brought)
                    #expect(answer.code == 401, "\(path)")
                    #expect(answer.head.contains("WWW-Authenticate: Bearer"))
                    bodies.insert(answer.body)
                }
                #expect(bodies == [Array("a token is needed\n".utf8)])
                let page = try await StatusServerTests.get(url, "/", token: brought)
                #expect(page.code == 401)
                let document = String(decoding: page.body, as: UTF8.self)
                #expect(document.contains("id=\"token\""))
                for word in ["demo", "r\"1", Self.secret] { #expect(!document.contains(word)) }
                // Probes have no token; they learn whether, not what.
                #expect(try await StatusServerTests.get(url, "/healthz", token: brought).body == Array("ok\n".utf8))
                #expect(try await StatusServerTests.get(url, "/readyz", token: brought).body == Array("ready\n".utf8))
            }
        }
    }

    @Test func withItEverythingIsAnsweredUnderAnyName() async throws {
        let token = try token()
        try await StatusServerTests.serving(token: token) { url in
            let answer = try await StatusServerTests.get(url, "/status.json", token: token)
            #expect(answer.code == 200)
            #expect(try await StatusServerTests.get(url, "/nowhere", token: token).code == 404)
            let port = try #require(url.split(separator: ":").last.flatMap { UInt16($0) })
            let header = token.header
            let text = try await RawConnection.onThread {
                let connection = try RawConnection(port: port)
                connection.send("GET /readyz HTTP/1.1\r\nHost: pleach.example\r\nAuthorization: \(header)\r\n\r\n")
                return connection.receive()
            }
            #expect(text.hasSuffix("\r\n\r\nrunning\n"))
        }
    }

    @Test func theClientSaysWhatToDo() async throws {
        let token = try token()
        try await StatusServerTests.serving(token: token) { url in
            let error = try await RawConnection.onThread { () -> String in
                do { _ = try StatusClient.status(url: url, timeoutSeconds: 120) } catch { return "\(error)" }
                return ""
            }
            #expect(error.contains("give --http-token FILE or set PLEACH_HTTP_TOKEN"))
            let status = try await RawConnection.onThread {
                try StatusClient.status(url: url, token: token, timeoutSeconds: 120)
            }
            #expect(status == StatusServerTests.status())
        }
    }
}
