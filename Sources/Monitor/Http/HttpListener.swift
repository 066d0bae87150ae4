import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix

// A small HTTP server for one purpose: a few read-only answers of a coordinator that must not be harmed by whoever reaches the
// port. SwiftNIO accepts, parses and writes, on one thread; answers are made by tasks beside it, one for each request.
//
// Invariants:
// - at most `HttpLimits.connections` are open or being answered, whoever opens more is told so and closed;
// - nothing of a request is kept that is longer than the limits, and no client can hold a connection without reading or
//   writing;
// - the event loop waits for nobody: what an answer is made of is never computed there;
// - `stop` returns when every connection, every task and the thread have ended.
//
// Left out: bodies, keep-alive, pipelining, TLS (a proxy's or ssh's task).

/// Accepts connections and has each answered by a task of its own.
final class HttpListener: Sendable {
    let port: UInt16
    private let group: MultiThreadedEventLoopGroup
    private let server: any Channel
    private let places: HttpPlaces
    private let exchanges: AsyncStream<HttpExchange>.Continuation
    private let serving: Task<Void, Never>

    /// Binds and listens; connections are accepted from then on.
    init(
        _ address: ServingAddress, limits: HttpLimits = HttpLimits(),
        serve: @escaping @Sendable (HttpExchange) async -> Void
    ) async throws(MonitorError) {
        // As many requests wait in it as there are places.
        let (requests, exchanges) = AsyncStream<HttpExchange>.makeStream()
        let places = HttpPlaces(count: limits.connections)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        do {
            server = try await Self.bootstrap(group, limits: limits, places: places, exchanges: exchanges)
                .bind(to: try SocketAddress(ipAddress: address.host, port: Int(address.port))).get()
        } catch {
            try? await group.shutdownGracefully()
            throw Self.failure(error, address)
        }
        port = UInt16(server.localAddress?.port ?? 0)
        (self.group, self.places, self.exchanges) = (group, places, exchanges)
        serving = Task {
            await withDiscardingTaskGroup { tasks in
                for await exchange in requests { tasks.addTask { await serve(exchange) } }
            }
        }
    }

    /// Only for who did not `stop`: cuts everything, waits for nothing.
    deinit {
        serving.cancel()
        group.shutdownGracefully { _ in }
    }

    /// Binds and lets go again. Blocks: not for an event loop.
    static func checkFree(_ address: ServingAddress) throws(MonitorError) {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        defer { try? group.syncShutdownGracefully() }
        do {
            try ServerBootstrap(group: group).serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .bind(to: SocketAddress(ipAddress: address.host, port: Int(address.port))).wait().close().wait()
        } catch {
            throw failure(error, address)
        }
    }

    private static func bootstrap(
        _ group: MultiThreadedEventLoopGroup, limits: HttpLimits, places: HttpPlaces,
        exchanges: AsyncStream<HttpExchange>.Continuation
    ) -> ServerBootstrap {
        ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 64)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try closeInChildren(channel) }
            }
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelOption(.socketOption(.so_sndbuf), value: .init(limits.socketBytes))
            .childChannelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 4096))
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try closeInChildren(channel)
                    let intake = HttpIntake(limits: limits)
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.addHandler(intake)
                    var encoding = HTTPResponseEncoder.Configuration()
                    // A stream ends with its connection, for HTTP/1.0 as for 1.1.
                    encoding.automaticallySetFramingHeaders = false
                    try pipeline.configureHTTPServerPipeline(
                        withPipeliningAssistance: false, withErrorHandling: false, withEncoderConfiguration: encoding)
                    try pipeline.addHandler(
                        HttpConnection(intake: intake, limits: limits, place: places.take(channel)) {
                            exchanges.yield($0)
                        })
                }
            }
    }

    /// SwiftNIO's sockets would outlive us in the processes that we start.
    private static func closeInChildren(_ channel: any Channel) throws {
        try channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) { descriptor in
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        }
    }

    private static func failure(_ error: any Error, _ address: ServingAddress) -> MonitorError {
        guard let error = error as? IOError else {
            return .serverFailed(address: address.text, reason: "\(error)")
        }
        return error.errnoCode == EADDRINUSE
            ? .addressInUse(address.text)
            : .serverFailed(address: address.text, reason: String(cString: strerror(error.errnoCode)))
    }

    /// Ends accepting, gives connections `grace` to end by themselves, then cuts them. Returns when everything has ended.
    func stop(grace: TimeAmount) async {
        try? await server.close()
        let cutting = server.eventLoop.scheduleTask(in: grace) { [places] in
            for channel in places.channels { channel.close(promise: nil) }
        }
        for channel in places.channels { try? await channel.closeFuture.get() }
        cutting.cancel()
        exchanges.finish()
        serving.cancel()
        await serving.value
        try? await group.shutdownGracefully()
    }
}
