import NIOCore
import NIOHTTP1

/// One accepted connection: reads one head, hands it on, and closes behind the answer. Lives on the event loop.
final class HttpConnection: ChannelInboundHandler, ChannelOutboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    /// How far an answer is, told by whoever gives it.
    enum Progress: Sendable {
        /// The answer lasts as long as the client stays.
        case isStream
        /// All of it has been taken over by the system.
        case isWhole
    }

    private enum State {
        case reading
        case answering
        case streaming
        case ending
    }

    private let intake: HttpIntake
    private let limits: HttpLimits
    /// Nil when all are taken: the client is told so.
    private let place: HttpPlaces.Place?
    private let accept: @Sendable (HttpExchange) -> Void
    private var state = State.reading
    private var isInputClosed = false
    /// Of the head, then of the client's closing.
    private var deadline: Scheduled<Void>?

    /// - Parameter accept: takes over a request and owes it an answer.
    init(
        intake: HttpIntake, limits: HttpLimits, place: HttpPlaces.Place?,
        accept: @escaping @Sendable (HttpExchange) -> Void
    ) {
        self.intake = intake
        self.limits = limits
        self.place = place
        self.accept = accept
    }

    func channelActive(context: ChannelHandlerContext) {
        guard place != nil else { return refuse(.crowded, context) }
        within(limits.headTime, context) { self.refuse(.timeout, context) }
    }

    func channelInactive(context: ChannelHandlerContext) {
        deadline?.cancel()
        state = .ending
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard state == .reading, case .head(let head) = unwrapInboundIn(data), let place else { return }
        do throws(HttpRefusal) {
            let request = try HttpRequest(head)
            state = .answering
            intake.close()
            deadline?.cancel()
            accept(HttpExchange(request: request, channel: context.channel, limits: limits, place: place))
        } catch {
            refuse(error, context)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch error {
        // What follows a head in the same piece may be anything.
        case is HTTPParserError where state != .reading: break
        case let refusal as HttpRefusal: refuse(refusal, context)
        case HTTPParserError.invalidVersion: refuse(.version, context)
        case HTTPParserError.headerOverflow: refuse(.tooLarge, context)
        case is HTTPParserError: refuse(.malformed, context)
        default: context.close(promise: nil)
        }
    }

    /// The client sends nothing more. Who waits for an answer may do so; a stream's client is gone.
    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case ChannelEvent.inputClosed = event else { return context.fireUserInboundEventTriggered(event) }
        isInputClosed = true
        if state != .answering { context.close(promise: nil) }
    }

    func triggerUserOutboundEvent(context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?) {
        guard let progress = event as? Progress else {
            return context.triggerUserOutboundEvent(event, promise: promise)
        }
        switch progress {
        case .isStream:
            state = .streaming
            if isInputClosed { context.close(promise: nil) }
        case .isWhole: end(context)
        }
        promise?.succeed()
    }

    private func refuse(_ refusal: HttpRefusal, _ context: ChannelHandlerContext) {
        guard state == .reading else { return }
        state = .ending
        intake.close()
        let answer = refusal.answer
        context.write(wrapOutboundOut(.head(answer.head())), promise: nil)
        context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: answer.body)))), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        // Few enough bytes for any socket. Who came when all places were taken must not keep another one.
        if refusal == .crowded { context.close(promise: nil) } else { end(context) }
    }

    /// Says that nothing more comes, and gives the client a moment to read it and close.
    private func end(_ context: ChannelHandlerContext) {
        state = .ending
        if isInputClosed { return context.close(promise: nil) }
        context.close(mode: .output, promise: nil)
        within(limits.lingerTime, context) { context.close(promise: nil) }
    }

    private func within(_ time: TimeAmount, _ context: ChannelHandlerContext, _ late: @escaping () -> Void) {
        deadline?.cancel()
        deadline = context.eventLoop.assumeIsolated().scheduleTask(in: time, late)
    }
}
