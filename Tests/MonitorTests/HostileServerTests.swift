import Federation
import Foundation
import Testing

@testable import Monitor

/// `pleach status --url` against servers that are no coordinator.
@Suite struct HostileServerTests {
    /// Listens on a port of loopback and answers one connection with pieces, a pause after each.
    private static func answering(
        _ pieces: [[UInt8]], pause: useconds_t = 0, _ body: @escaping @Sendable (_ url: String) throws -> Void
    ) async throws {
        let listening = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(listening) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        inet_pton(AF_INET, "127.0.0.1", &address.sin_addr)
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listening, $0, size) == 0 && listen(listening, 4) == 0 && getsockname(listening, $0, &size) == 0
            }
        }
        try #require(isBound)
        let port = UInt16(bigEndian: address.sin_port)
        Thread.detachNewThread {
            let connection = accept(listening, nil, nil)
            guard connection >= 0 else { return }
            // Closing with unread bytes would reset the connection.
            var request = [UInt8](repeating: 0, count: 4096)
            _ = recv(connection, &request, request.count, 0)
            for piece in pieces {
                guard send(connection, piece, piece.count, Int32(MSG_NOSIGNAL)) == piece.count else { break }
                if pause > 0 { usleep(pause) }
            }
            close(connection)
        }
        try await RawConnection.onThread { try body("http://127.0.0.1:\(port)") }
    }

    private static func answering(_ text: String, _ body: @escaping @Sendable (String) throws -> Void) async throws {
        try await answering([Array(text.utf8)], body)
    }

    @Test(arguments: [
        "", "\r\n\r\n", "nonsense", "HTTP/1.1 200 OK", "HTTP/1.1\r\n\r\n", "HTTP/1.1 OK 200\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n{}", "HTTP/1.1 200 OK\r\n\r\n[[[[", "HTTP/1.1 404 x\r\n\r\n",
        "HTTP/1.1 99999999999999999999 x\r\n\r\n", "SSH-2.0-OpenSSH\u{1B}[2J\r\n",
    ]) func otherAnswersAreOneLine(text: String) async throws {
        try await Self.answering(text) { url in
            do {
                _ = try StatusClient.status(url: url, timeoutSeconds: 120)
                Issue.record("\(text)")
            } catch {
                #expect("\(error)".hasPrefix("no status from http://127.0.0.1:"))
                #expect(!"\(error)".unicodeScalars.contains(where: isUnsafeOnTerminal))
            }
        }
    }

    @Test func figuresOfAnySizeAreShown() async throws {
        var status = StatusServerTests.status()
        (status.wireBytesUp, status.wireBytesDown, status.wireBytesFloat32) = (.max, .max, .max)
        (status.stage, status.roundsCompleted, status.contributionsAccepted) = (.max, .min, .max)
        status.round?.ageSeconds = 1e308
        status.workers[0].samples = .max
        status.workers[0].secondsSinceSeen = -1e308
        let body = String(decoding: status.json(), as: UTF8.self)
        try await Self.answering("HTTP/1.1 200 OK\r\n\r\n" + body) { url in
            let read = try StatusClient.status(url: url, timeoutSeconds: 120)
            #expect(read.wireBytesDown == .max)
            #expect(read.text().contains("all 2 stages are done"))
        }
    }

    @Test func anAnswerWithoutAnEndIsCutOff() async throws {
        let piece = [UInt8](repeating: UInt8(ascii: "x"), count: 1 << 20)
        try await Self.answering(Array(repeating: piece, count: 40)) { url in
            #expect(throws: MonitorError.request(url: url + "/status.json", reason: "its answer is too long")) {
                try StatusClient.status(url: url, timeoutSeconds: 120)
            }
        }
    }

    /// A byte now and then is always in time for the next one, and never a whole answer.
    @Test(.timeLimit(.minutes(5))) func anAnswerInDripsIsGivenUp() async throws {
        try await Self.answering(Array(repeating: [UInt8(ascii: "x")], count: 4000), pause: 50_000) { url in
            #expect(throws: MonitorError.self) { try StatusClient.status(url: url, timeoutSeconds: 1) }
        }
    }
}
