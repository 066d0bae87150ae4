import Foundation
import Testing

@testable import Federation
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

    /// The same run as its page shows it.
    static func picture(_ status: RunStatus = status()) -> RunPicture {
        var refused = RefusalLog()
        refused.note(round: 2, worker: "b\u{1B}", reason: "declined: <i>no</i>")
        refused.note(round: 3, worker: "b\u{1B}", reason: "the update's norm 9 exceeds the bound 1")
        var course = RunCourse(history: RunHistory(plan: CourseSamples.plan()))
        course.refusals = refused.byKind.map { RunCourse.Refusals(kind: $0.kind, count: $0.count) }
        course.newestRefusals = refused.newest.reversed()
        course.trainingLoss = 0.5
        var times = RoundTimes()
        times.note(task: "train", seconds: 0.2, foldSeconds: 0.125)
        times.note(task: "train", seconds: 7, foldSeconds: nil)
        return RunPicture(
            status: status, course: course, times: times,
            layers: [LayerFigures(name: "fc<1>", weights: 10, sparsity: 0.5, bits: 8)])
    }

    /// The server under test waits its turn among tests that compute, which may take a minute.
    static let patienceSeconds = 120

    /// Serves until the body ends, whatever its end.
    static func serving(
        _ status: RunStatus = status(), token: AccessToken? = nil, limits: HttpLimits = HttpLimits(),
        _ body: (_ url: String) async throws -> Void
    ) async throws {
        let server = try StatusServer(
            address: "127.0.0.1:0", token: token, patienceSeconds: Double(patienceSeconds), limits: limits
        ) { picture(status) }
        try await server.start()
        let port = try #require(server.port)
        do { try await body("http://127.0.0.1:\(port)") } catch {
            await server.stop()
            throw error
        }
        await server.stop()
    }

    typealias Answer = (code: Int, head: String, body: [UInt8])

    /// On a thread of its own: the client blocks.
    static func get(_ url: String, _ path: String, token: AccessToken? = nil) async throws -> Answer {
        try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread {
                continuation.resume(
                    with: Result {
                        try StatusClient.get(url + path, token: token, timeoutSeconds: patienceSeconds) as Answer
                    })
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

    private func code(_ url: String, _ path: String) async throws -> Int { try await Self.get(url, path).code }

    @Test func answersOnEveryPath() async throws {
        try await Self.serving { url throws in
            #expect(try await status(url) == Self.status())
            #expect(try await status(url + "/") == Self.status())
            let health = try await Self.get(url, "/healthz")
            #expect(health.code == 200)
            #expect(health.body == Array("ok\n".utf8))
            let ready = try await Self.get(url, "/readyz")
            #expect(ready.body == Array("running\n".utf8))
            let metrics = try await Self.get(url, "/metrics")
            #expect(metrics.head.contains("text/plain; version=0.0.4"))
            #expect(String(decoding: metrics.body, as: UTF8.self).contains("\npleach_rounds_completed_total 3\n"))
            #expect(try await code(url, "/view.json") == 200)
        }
    }

    @Test(arguments: [
        "/secret", "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/status.json/", "/STATUS.JSON",
        "/runs/other", "/index.html",
    ]) func whatIsNotHereIsNotFound(path: String) async throws {
        try await Self.serving { url throws in
            let answer = try await Self.get(url, path)
            #expect(answer.code == 404)
            #expect(!String(decoding: answer.body, as: UTF8.self).contains("demo"))
        }
    }

    @Test(arguments: ["failed", "stopped"]) func isNotReadyWhenTheRunIsOver(state: String) async throws {
        try await Self.serving(Self.status(state)) { url throws in
            #expect(try await code(url, "/readyz") == 503)
            #expect(try await code(url, "/healthz") == 200)
        }
    }

    @Test func aCoordinatorThatDoesNotAnswerIsBusy() async throws {
        let server = try StatusServer(address: "127.0.0.1:0", patienceSeconds: 0.05) {
            try? await Task.sleep(for: .seconds(300))
            return Self.picture()
        }
        try await server.start()
        let url = "http://127.0.0.1:\(try #require(server.port))"
        let answer = try await Self.get(url, "/status.json")
        #expect(answer.code == 503)
        #expect(answer.head.contains("Retry-After: 5"))
        #expect(try await code(url, "/healthz") == 200)
        await server.stop()
    }

    @Test func aPortInUseIsNamed() async throws {
        try await Self.serving { url in
            let address = String(url.dropFirst("http://".count))
            let second = try StatusServer(address: address) { Self.picture() }
            await #expect(throws: MonitorError.addressInUse(address)) { try await second.start() }
        }
    }

    @Test func stopFreesThePort() async throws {
        let first = try StatusServer(address: "127.0.0.1:0") { Self.picture() }
        try await first.start()
        let address = "127.0.0.1:\(try #require(first.port))"
        await first.stop()
        await #expect(throws: MonitorError.self) { try await Self.get("http://" + address, "/") }
        let second = try StatusServer(address: address) { Self.picture() }
        try await second.start()
        #expect(try await code("http://" + address, "/healthz") == 200)
        await second.stop()
    }

    @Test(arguments: ["0.0.0.0:7780", "10.0.0.1:7780", "[::]:7780", "*:7780", "192.0.2.7:1"])
    func servesNobodyElseWithoutAToken(address: String) throws {
        #expect(throws: MonitorError.addressNeedsToken(address)) {
            try StatusServer.check(address: address, token: nil)
        }
        #expect(MonitorError.addressNeedsToken(address).description.contains("needs a token: give --http-token FILE"))
        let token = try AccessToken("0123456789abcdef", from: "test")
        #expect(throws: Never.self) { try StatusServer.check(address: address, token: token) }
    }

    @Test(arguments: [
        "", ":7780", "127.0.0.1", "127.0.0.1:70000", "127.0.0.1:-1", "127.0.0.1:x", "a b:1", "example.org:80",
        "coordinator:7780", "::1:7780", "[127.0.0.1:7780",
    ])
    func refusesWhatIsNoAddress(address: String) {
        #expect(throws: MonitorError.address(address)) { try ServingAddress(parsing: address) }
    }

    @Test func takesEveryFormOfLoopback() throws {
        #expect(try ServingAddress(parsing: "0.0.0.0:1").isLoopback == false)
        #expect(try ServingAddress(parsing: "[::1]:1").isLoopback)
        #expect(try ServingAddress(parsing: "127.9.9.9:1").isLoopback)
        #expect(try ServingAddress(parsing: "localhost:1").host == "127.0.0.1")
        #expect(try ServingAddress(parsing: "127.9.9.9:1").isVersion6 == false)
        #expect(try ServingAddress(parsing: "[::1]:65535").isVersion6)
    }

    @Test(arguments: [
        ("localhost:7780", true), ("LOCALHOST", true), ("127.0.0.1:1", true), ("[::1]:1", true),
        ("evil.example:7780", false),
        ("127.0.0.1.evil.example", false), ("10.0.0.1:7780", false), ("", false),
    ]) func answersLocalNamesOnly(header: String, isLocal: Bool) {
        #expect(ServingAddress.isLocal(hostHeader: header) == isLocal)
    }

    @Test func theClientNamesWhatIsWrong() {
        for url in ["https://127.0.0.1:1", "127.0.0.1:1", "ftp://x", "http://", "http://u:p@127.0.0.1:1"] {
            #expect(throws: MonitorError.url(url)) { try StatusClient.get(url) }
        }
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
        status.workers[0].taskSeconds = .nan
        let decoded = try JSONDecoder().decode(RunStatus.self, from: Data(status.json()))
        #expect(decoded.accuracy == nil)
        #expect(decoded.sparsity == 0)
        #expect(decoded.round?.ageSeconds == nil)
        #expect(decoded.workers[0].taskSeconds == nil)
    }
}
