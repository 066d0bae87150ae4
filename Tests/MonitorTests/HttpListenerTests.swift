import Foundation
import Synchronization
import Testing

@testable import Monitor

/// Connections and tasks, with answers that no page has.
@Suite struct HttpListenerTests {
    private static let request = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"

    private func listening(
        on address: String = "127.0.0.1:0", limits: HttpLimits = HttpLimits(),
        serve: @escaping @Sendable (HttpExchange) async -> Void
    ) async throws -> HttpListener {
        try await HttpListener(ServingAddress(parsing: address), limits: limits, serve: serve)
    }

    /// A client that reads nothing gives its place back, and the task that answers it ends.
    @Test func whoeverDoesNotReadIsCutOff() async throws {
        var limits = HttpLimits()
        limits.connections = 1
        limits.pieceTime = .milliseconds(50)
        limits.socketBytes = 8 << 10
        let (outcomes, outcome) = AsyncStream<Bool>.makeStream()
        let isFirst = Mutex(true)
        let listener = try await listening(limits: limits) { exchange in
            guard
                isFirst.withLock({ first in
                    defer { first = false }
                    return first
                })
            else { return await exchange.send(HttpAnswer(.ok, text: "next\n")) }
            _ = await exchange.begin(HttpAnswer(.ok, text: ""))
            // More than any socket buffers.
            outcome.yield(await exchange.send([UInt8](repeating: 0, count: 64 << 20)))
        }
        let port = listener.port
        let silent = try await RawConnection.onThread {
            let connection = try RawConnection(port: port)
            connection.send(Self.request)
            return connection
        }
        var iterator = outcomes.makeAsyncIterator()
        #expect(await iterator.next() == false)
        let text = try await RawConnection.onThread {
            for _ in 0..<600 {
                let connection = try RawConnection(port: port)
                connection.send(Self.request)
                let text = connection.receive()
                if text.hasSuffix("next\n") { return text }
                usleep(20_000)
            }
            return ""
        }
        withExtendedLifetime(silent) { #expect(text.hasPrefix("HTTP/1.1 200")) }
        await listener.stop(grace: .zero)
    }

    /// An answer larger than a piece and than the socket's buffer arrives whole.
    @Test func aLongAnswerArrives() async throws {
        var limits = HttpLimits()
        limits.pieceBytes = 1000
        limits.socketBytes = 8 << 10
        let listener = try await listening(limits: limits) { exchange in
            await exchange.send(HttpAnswer(.ok, text: String(repeating: "0123456789", count: 100_001)))
        }
        let port = listener.port
        let text = try await RawConnection.onThread {
            let connection = try RawConnection(port: port)
            connection.send(Self.request)
            return connection.receive()
        }
        #expect(text.contains("Content-Length: 1000010\r\n"))
        #expect(text.hasSuffix("\r\n\r\n" + String(repeating: "0123456789", count: 100_001)))
        await listener.stop(grace: .zero)
    }

    /// A task that gets no thread for longer than a piece may take, as beside much computing: the client took each piece at
    /// once, and gets the next one.
    @Test func aTaskThatWaitsForAThreadCutsNobodyOff() async throws {
        var limits = HttpLimits()
        limits.pieceBytes = 10
        limits.pieceTime = .seconds(2)
        let listener = try await listening(limits: limits) { exchange in
            await withTaskExecutorPreference(LateExecutor(delaySeconds: 2.5)) {
                await exchange.send(HttpAnswer(.ok, text: "0123456789abc\n"))
            }
        }
        let port = listener.port
        let text = try await RawConnection.onThread {
            let connection = try RawConnection(port: port)
            connection.send(Self.request)
            return connection.receive()
        }
        #expect(text.hasSuffix("\r\n\r\n0123456789abc\n"), "\(text)")
        await listener.stop(grace: .zero)
    }

    /// Clients that come and go do not leave more work behind than there are places.
    @Test func whatIsBeingAnsweredHoldsItsPlace() async throws {
        var limits = HttpLimits()
        limits.connections = 1
        let (steps, step) = AsyncStream<String>.makeStream()
        let listener = try await listening(limits: limits) { exchange in
            step.yield("asked")
            while exchange.isOpen { try? await Task.sleep(for: .milliseconds(5)) }
            step.yield("gone")
            try? await Task.sleep(for: .seconds(3600))
        }
        let port = listener.port
        var iterator = steps.makeAsyncIterator()
        let client = try await RawConnection.onThread {
            let client = try RawConnection(port: port)
            client.send(Self.request)
            return client
        }
        #expect(await iterator.next() == "asked")
        client.reset()
        #expect(await iterator.next() == "gone")
        let refused = try await RawConnection.onThread { try RawConnection(port: port, receiveSeconds: 5).receive() }
        #expect(refused.hasPrefix("HTTP/1.1 503"))
        await listener.stop(grace: .zero)
    }

    /// Idle connections, and answers that never come, do not keep a stop waiting.
    @Test func stopCutsWhatDoesNotEnd() async throws {
        let (beginnings, beginning) = AsyncStream<Void>.makeStream()
        let isOver = Mutex(false)
        let listener = try await listening { _ in
            beginning.yield()
            try? await Task.sleep(for: .seconds(3600))
            isOver.withLock { $0 = true }
        }
        let port = listener.port
        let connections = try await RawConnection.onThread {
            let (idle, waiting) = (try RawConnection(port: port), try RawConnection(port: port))
            idle.send("GET /")
            waiting.send(Self.request)
            return [idle, waiting]
        }
        for await _ in beginnings { break }
        await listener.stop(grace: .milliseconds(10))
        #expect(isOver.withLock { $0 })
        for connection in connections {
            #expect(try await RawConnection.onThread { connection.receive() }.isEmpty)
        }
        await #expect(throws: RawConnection.NoConnection.self) {
            try await RawConnection.onThread { _ = try RawConnection(port: port) }
        }
    }

    /// What the page is made of can hold no line ends; if it did, nothing of it would be sent.
    @Test func aHeaderCannotBecomeTwo() async throws {
        let listener = try await listening { exchange in
            var answer = HttpAnswer(.ok, text: "body\n")
            answer.headers = ["X": "a\r\nSet-Cookie: b"]
            await exchange.send(answer)
        }
        let port = listener.port
        let text = try await RawConnection.onThread {
            let connection = try RawConnection(port: port)
            connection.send(Self.request)
            return connection.receive()
        }
        #expect(text.isEmpty)
        await listener.stop(grace: .zero)
    }

    private static let hasVersion6 =
        (try? String(contentsOfFile: "/proc/net/if_inet6", encoding: .utf8))?
        .contains("00000000000000000000000000000001") ?? false

    @Test(.enabled(if: hasVersion6)) func servesVersion6() async throws {
        let listener = try await listening(on: "[::1]:0") { await $0.send(HttpAnswer(.ok, text: "six\n")) }
        let answer = try await StatusServerTests.get("http://[::1]:\(listener.port)", "/")
        #expect(answer.code == 200)
        #expect(answer.body == Array("six\n".utf8))
        await listener.stop(grace: .zero)
    }

    @Test func anAddressOfAnotherMachineIsNamed() async throws {
        // Reserved for documentation (RFC 5737).
        await #expect(throws: MonitorError.self) {
            try await listening(on: "192.0.2.1:0") { _ in }
        }
    }
}

/// Runs each part of a task only after a while.
private final class LateExecutor: TaskExecutor {
    private let delaySeconds: Double

    init(delaySeconds: Double) { self.delaySeconds = delaySeconds }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        Thread.detachNewThread { [self] in
            Thread.sleep(forTimeInterval: delaySeconds)
            job.runSynchronously(on: asUnownedTaskExecutor())
        }
    }
}
