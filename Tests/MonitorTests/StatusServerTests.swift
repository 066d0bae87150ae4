import Federation
import Foundation
import Testing

@testable import Monitor

@Suite struct StatusServerTests {
    static func status(_ state: String = "running") -> RunStatus {
        RunStatus(
            run: "r\"1\\\n", plan: "<b>demo</b>", state: state, stage: 1, stages: ["train", "prune"],
            round: RunStatus.Round(
                number: 4, stage: 1, kind: "prune", task: "score", contributions: 1, workers: 3, quorum: 2,
                ageSeconds: 12.5, deadlineSeconds: 60, missing: ["b\u{1B}"]),
            roundsCompleted: 3, roundsPlanned: 9, contributionsAccepted: 10, contributionsRefused: 1, wireBytesUp: 1000,
            wireBytesDown: 2000, wireBytesFloat32: 90_000, sparsity: 0.25, accuracy: nil, snapshot: "ab12",
            workers: [
                RunStatus.Worker(name: "a\n\"", state: "contributed", secondsSinceSeen: 0.5, samples: 1500),
                RunStatus.Worker(name: "b\u{1B}", state: "working"),
            ], waitingFor: "1 worker is at work")
    }

    private func serving(
        _ status: RunStatus = status(), _ body: (_ url: String) async throws -> Void
    ) async throws {
        let server = try StatusServer(address: "127.0.0.1:0") { status }
        try await server.start()
        let port = try #require(await server.port)
        do { try await body("http://127.0.0.1:\(port)") } catch {
            await server.stop()
            throw error
        }
        await server.stop()
    }

    private typealias Answer = (code: Int, head: String, body: [UInt8])

    /// The server under test waits its turn among tests that compute, which may take a minute.
    private static let patienceSeconds = 120

    /// On a thread of its own: the client blocks, and the server under test needs the tasks' threads.
    private func get(_ url: String, _ path: String) async throws -> Answer {
        try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread {
                continuation.resume(
                    with: Result { try StatusClient.get(url + path, timeoutSeconds: Self.patienceSeconds) as Answer })
            }
        }
    }

    private func status(_ url: String) async throws -> RunStatus {
        try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread {
                continuation.resume(
                    with: Result { try StatusClient.status(url: url, timeoutSeconds: Self.patienceSeconds) })
            }
        }
    }

    private func code(_ url: String, _ path: String) async throws -> Int { try await get(url, path).code }

    @Test func answersOnEveryPath() async throws {
        try await serving { url throws in
            #expect(try await status(url) == Self.status())
            #expect(try await status(url + "/") == Self.status())
            let health = try await get(url, "/healthz")
            #expect(health.code == 200)
            #expect(health.body == Array("ok\n".utf8))
            #expect(try await code(url, "/readyz") == 200)
            let metrics = try await get(url, "/metrics")
            #expect(metrics.body == Array(Metrics.text(of: Self.status()).utf8))
            #expect(metrics.head.contains("text/plain; version=0.0.4"))
            let page = try await get(url, "/")
            #expect(page.body == Array(StatusPage.html.utf8))
            #expect(page.head.contains("Content-Security-Policy: default-src 'none'"))
            #expect(try await code(url, "/secret") == 404)
        }
    }

    @Test(arguments: ["failed", "stopped"]) func isNotReadyWhenTheRunIsOver(state: String) async throws {
        try await serving(Self.status(state)) { url throws in
            #expect(try await code(url, "/readyz") == 503)
            #expect(try await code(url, "/healthz") == 200)
        }
    }

    @Test func aPortInUseIsNamed() async throws {
        try await serving { url in
            let address = String(url.dropFirst("http://".count))
            let second = try StatusServer(address: address) { Self.status() }
            await #expect(throws: MonitorError.addressInUse(address)) { try await second.start() }
        }
    }

    @Test func stopFreesThePort() async throws {
        let first = try StatusServer(address: "127.0.0.1:0") { Self.status() }
        try await first.start()
        let address = "127.0.0.1:\(try #require(await first.port))"
        await first.stop()
        await #expect(throws: MonitorError.self) { try await get("http://" + address, "/") }
        let second = try StatusServer(address: address) { Self.status() }
        try await second.start()
        #expect(try await code("http://" + address, "/healthz") == 200)
        await second.stop()
    }

    @Test(arguments: ["0.0.0.0:7780", "10.0.0.1:7780", "[::]:7780", "example.org:80", "*:7780", "coordinator:7780"])
    func servesNobodyElse(address: String) {
        #expect(throws: MonitorError.addressNotLoopback(address)) { try LoopbackAddress(parsing: address) }
        #expect(MonitorError.addressNotLoopback(address).description.contains("needs a token"))
    }

    @Test(arguments: ["", ":7780", "127.0.0.1", "127.0.0.1:70000", "127.0.0.1:-1", "127.0.0.1:x", "a b:1"])
    func refusesWhatIsNoAddress(address: String) {
        #expect(throws: MonitorError.address(address)) { try LoopbackAddress(parsing: address) }
    }

    @Test func takesEveryFormOfLoopback() throws {
        #expect(try LoopbackAddress(parsing: "localhost:1").host == "127.0.0.1")
        #expect(try LoopbackAddress(parsing: "127.9.9.9:1").isVersion6 == false)
        #expect(try LoopbackAddress(parsing: "[::1]:65535").isVersion6)
    }

    @Test(arguments: [
        ("localhost:7780", true), ("LOCALHOST", true), ("127.0.0.1:1", true), ("[::1]:1", true),
        ("evil.example:7780", false),
        ("127.0.0.1.evil.example", false), ("10.0.0.1:7780", false), ("", false),
    ]) func answersLocalNamesOnly(header: String, isLocal: Bool) {
        #expect(LoopbackAddress.isLocal(hostHeader: header) == isLocal)
    }

    @Test func theClientNamesWhatIsWrong() {
        for url in ["https://127.0.0.1:1", "127.0.0.1:1", "ftp://x", "http://", "http://u:p@127.0.0.1:1"] {
            #expect(throws: MonitorError.url(url)) { try StatusClient.get(url) }
        }
    }

    @Test func thePageIsSelfContained() {
        for word in ["src=", "http://", "https://", "@import", "url(", "innerHTML", "document.write"] {
            #expect(!StatusPage.html.contains(word))
        }
        #expect(StatusPage.html.contains("prefers-color-scheme: dark"))
    }

    @Test func statusTextTellsWhyAndEscapes() {
        #expect(
            Self.status().text() == #"""
                run r"1\\u{A} · plan <b>demo</b> · running
                stage 2 of 2: prune
                rounds 3 of 9 done
                round 4, score: 1 of 3 contributions, quorum 2, open for 12.5 s of at most 60.0 s; missing b\u{1B} (not heard of yet)
                waiting: 1 worker is at work
                wire: 1.00 KB up, 2.00 KB down; float32 averaging: 90.0 KB (30.0x fewer)
                model: 25.00 % masked · snapshot ab12
                contributions: 10 accepted, 1 refused
                workers:
                  a\u{A}"  contributed · 1,500 samples · heard 0.50 s ago
                  b\u{1B}  working
                """#)
    }

    @Test func statusJSONHoldsFiniteNumbersOnly() throws {
        var status = Self.status()
        status.accuracy = .nan
        status.sparsity = .infinity
        status.round?.ageSeconds = -.infinity
        let decoded = try JSONDecoder().decode(RunStatus.self, from: Data(status.json()))
        #expect(decoded.accuracy == nil)
        #expect(decoded.sparsity == 0)
        #expect(decoded.round?.ageSeconds == nil)
    }
}
