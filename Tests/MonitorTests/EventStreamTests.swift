import Foundation
import Synchronization
import Testing

@testable import Federation
@testable import Monitor

/// Server-sent events, with the bytes that a browser would read.
@Suite struct EventStreamTests {
    private final class Run: Sendable {
        private let state = Mutex((contributions: 0, name: "running"))

        func change(_ body: (inout (contributions: Int, name: String)) -> Void) { state.withLock { body(&$0) } }

        func picture() -> RunPicture {
            let (contributions, name) = state.withLock { $0 }
            var status = StatusServerTests.status(name)
            status.contributionsAccepted = contributions
            return StatusServerTests.picture(status)
        }
    }

    private func serving(
        _ run: Run, _ body: (_ port: UInt16, _ server: StatusServer) async throws -> Void
    ) async throws {
        let server = try StatusServer(
            address: "127.0.0.1:0", patienceSeconds: Double(StatusServerTests.patienceSeconds)
        ) { run.picture() }
        try await server.start()
        do { try await body(try #require(server.port), server) } catch {
            await server.stop()
            throw error
        }
        await server.stop()
    }

    private static let request = "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n"

    @Test func tellsTheStateThenWhatChangesThenTheEnd() async throws {
        let run = Run()
        try await serving(run) { port, server in
            let connection = try await RawConnection.onThread {
                let connection = try RawConnection(port: port)
                connection.send(Self.request)
                return connection
            }
            let first = try await RawConnection.onThread {
                connection.receive(until: "event: live\n")
            }
            #expect(first.contains("Content-Type: text/event-stream\r\n"))
            #expect(!first.contains("Content-Length"))
            #expect(first.contains("\r\n\r\nretry: 2000\n\nevent: course\ndata: {"))
            run.change { $0.contributions = 4711 }
            let second = try await RawConnection.onThread {
                connection.receive(until: "\"contributionsAccepted\":4711")
            }
            #expect(second.contains("event: live\ndata: {"))
            // What did not change is not told again.
            #expect(!second.contains("event: course"))
            run.change { $0.name = "finished" }
            await server.stop()
            let last = try await RawConnection.onThread { connection.receive() }
            #expect(last.contains("\"state\":\"finished\""))
            #expect(last.hasSuffix("event: end\ndata: {}\n\n"))
        }
    }

    @Test func onlySoManyAreServedAndAPlaceIsFreeAgain() async throws {
        try await serving(Run()) { port, _ in
            let (refused, again) = try await RawConnection.onThread {
                var open = try (0..<StatusRoutes.streamLimit).map { _ in
                    let connection = try RawConnection(port: port)
                    connection.send(Self.request)
                    _ = connection.receive(until: "event: live\n")
                    return connection
                }
                let refused = try RawConnection(port: port)
                refused.send(Self.request)
                let answer = refused.receive()
                open.removeAll()
                // Noticed at the latest when the next frame is due.
                for _ in 0..<600 {
                    let next = try RawConnection(port: port)
                    next.send(Self.request)
                    let text = next.receive(until: "retry: 2000")
                    if text.hasPrefix("HTTP/1.1 200") { return (answer, text) }
                    usleep(50_000)
                }
                return (answer, "")
            }
            #expect(refused.hasPrefix("HTTP/1.1 503"))
            #expect(refused.contains("Retry-After: 10"))
            #expect(again.hasPrefix("HTTP/1.1 200"))
        }
    }

    /// A name with line ends must not become an event of its own.
    @Test func anEventIsOneLineOfData() {
        let event = StatusRoutes.event("live", PageJSON.encode(["name": "a\nevent: end\ndata: {}\n\n"]))
        #expect(String(decoding: event, as: UTF8.self).split(separator: "\n").count == 2)
    }
}
