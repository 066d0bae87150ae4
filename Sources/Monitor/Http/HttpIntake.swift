import NIOCore

/// Lets the bytes of one head through to the parser. Stands before it, because a parser may skip, or keep, what it does not
/// count: spaces before a value, empty lines before a request. What comes behind the head is thrown away unread, a bounded
/// number of bytes: closing a socket with unread bytes resets it, and the client might never see its answer.
final class HttpIntake: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private let limits: HttpLimits
    private var headBytes = 0
    private var ignoredBytes = 0
    private var isClosed = false

    init(limits: HttpLimits) { self.limits = limits }

    /// From here on nothing reaches the parser.
    func close() { isClosed = true }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        if !isClosed, let piece = bytes.readSlice(length: min(bytes.readableBytes, limits.headBytes - headBytes)) {
            headBytes += piece.readableBytes
            // Whoever finds the head's end, or a fault, in this piece closes the intake before this returns.
            context.fireChannelRead(wrapInboundOut(piece))
            if !isClosed, headBytes >= limits.headBytes { context.fireErrorCaught(HttpRefusal.tooLarge) }
        }
        ignoredBytes += bytes.readableBytes
        if ignoredBytes > limits.ignoredBytes { context.close(promise: nil) }
    }
}
