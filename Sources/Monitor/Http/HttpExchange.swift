import NIOCore
import NIOHTTP1

/// A request that waits for its answer, for a task beside the event loop. Nothing piles up: a piece of an answer is handed over
/// when the one before it has been taken, and a client that takes none in time is cut off.
struct HttpExchange: Sendable {
    let request: HttpRequest
    let channel: any Channel
    let limits: HttpLimits
    /// Held for as long as this is worked at, even if the client has gone: who comes and goes takes no more than who stays.
    let place: HttpPlaces.Place

    /// Whether there is still somebody to answer.
    var isOpen: Bool { channel.isActive }

    /// Gives the whole answer.
    func send(_ answer: HttpAnswer) async {
        let body = request.method == .HEAD ? [] : answer.body
        guard await send(body, behind: answer.head()) else { return }
        await end()
    }

    /// Begins an answer that lasts; `answer` holds its first bytes. Returns whether they were taken.
    func begin(_ answer: HttpAnswer) async -> Bool {
        guard (try? await channel.triggerUserOutboundEvent(HttpConnection.Progress.isStream)) != nil else {
            return false
        }
        return await send(answer.body, behind: answer.head(isStream: true))
    }

    /// Whether all of it was taken in time.
    func send(_ bytes: [UInt8]) async -> Bool {
        await send(bytes, behind: nil)
    }

    /// Nothing more comes.
    func end() async { try? await channel.triggerUserOutboundEvent(HttpConnection.Progress.isWhole) }

    private func send(_ bytes: [UInt8], behind head: HTTPResponseHead?) async -> Bool {
        if let head { channel.write(HTTPServerResponsePart.head(head), promise: nil) }
        var offset = 0
        repeat {
            let piece = bytes[offset..<min(offset + limits.pieceBytes, bytes.count)]
            offset = piece.endIndex
            let late = channel.eventLoop.scheduleTask(in: limits.pieceTime) { [channel] in channel.close(promise: nil) }
            let part = HTTPServerResponsePart.body(.byteBuffer(ByteBuffer(bytes: piece)))
            let taken: EventLoopFuture<Void> = channel.writeAndFlush(part)
            // On the event loop: how long this task waits for a thread, while others compute, is not the client's fault.
            taken.whenComplete { _ in late.cancel() }
            do {
                try await taken.get()
            } catch {
                channel.close(promise: nil)
                return false
            }
        } while offset < bytes.count
        return true
    }
}
