import CZeroMQ
import Foundation
import Synchronization
import Testing

@testable import Transport

/// 32 bytes that depend on every byte of the blob: a stand-in for SHA-256, which this target does not import.
func fingerprint(_ bytes: [UInt8]) -> [UInt8] {
    var state: UInt64 = UInt64(bytes.count) &+ 0xcbf2_9ce4_8422_2325
    // Whole words, since tests run without optimization.
    bytes.withUnsafeBytes { bytes in
        var offset = 0
        while offset + 8 <= bytes.count {
            state = (state ^ bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)) &* 0x100_0000_01b3
            state ^= state >> 29
            offset += 8
        }
        while offset < bytes.count {
            state = (state ^ UInt64(bytes[offset])) &* 0x100_0000_01b3
            offset += 1
        }
    }
    return (1...4).flatMap { word in
        withUnsafeBytes(of: (state &* (2 &* word &+ 1)).littleEndian) { Array($0) }
    }
}

/// Bytes that differ from chunk to chunk and from seed to seed.
func pattern(_ count: Int, seed: UInt64) -> [UInt8] {
    var words = [UInt64](repeating: 0, count: (count + 7) / 8)
    var state = seed &* 0x9e37_79b9_7f4a_7c15 | 1
    var index = 0
    while index < words.count {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        words[index] = state
        index += 1
    }
    return words.withUnsafeBytes { Array($0.prefix(count)) }
}

struct Unreadable: Error {}

/// For a node that only sends.
let takesNothing: @Sendable ([UInt8], Int) throws(BlobFailure) -> BlobSink = { _, _ throws(BlobFailure) in
    throw .storage(reason: "takes nothing", isDiskFull: false)
}

/// Blobs in memory, with partial ones kept, as the shells' stores keep them on disk.
final class MemoryBlobs: Sendable {
    struct State {
        var whole: [[UInt8]: [UInt8]] = [:]
        var partial: [[UInt8]: [UInt8]] = [:]
        var receivedBytes = 0
        var abandoned = 0
    }

    let state = Mutex(State())
    let hidden: [[UInt8]]
    /// Called before bytes are stored, with their offset.
    let beforeAppend: @Sendable (Int) -> Void

    init(
        _ blobs: [[UInt8]] = [], hidden: [[UInt8]] = [], beforeAppend: @escaping @Sendable (Int) -> Void = { _ in }
    ) {
        self.hidden = hidden
        self.beforeAppend = beforeAppend
        state.withLock { state in for blob in blobs { state.whole[fingerprint(blob)] = blob } }
    }

    subscript(digest: [UInt8]) -> [UInt8]? { state.withLock { $0.whole[digest] } }

    func partialCount(_ digest: [UInt8]) -> Int { state.withLock { $0.partial[digest]?.count ?? 0 } }

    var access: BlobAccess {
        BlobAccess(
            open: { digest in self[digest].map { BlobSource(bytes: $0) } },
            receive: { digest, _ in self.sink(digest) },
            mayRead: { _, digest in !self.hidden.contains(digest) })
    }

    private func sink(_ digest: [UInt8]) -> BlobSink {
        BlobSink(
            offset: partialCount(digest),
            append: { bytes in
                self.beforeAppend(self.partialCount(digest))
                self.state.withLock { state in
                    state.partial[digest, default: []] += bytes
                    state.receivedBytes += bytes.count
                }
            },
            finish: { () throws(BlobFailure) in
                let isRight = self.state.withLock { state in
                    let bytes = state.partial.removeValue(forKey: digest) ?? []
                    if fingerprint(bytes) == digest { state.whole[digest] = bytes }
                    return fingerprint(bytes) == digest
                }
                if !isRight { throw .wrong(reason: "its digest does not match") }
            },
            abandon: { self.state.withLock { $0.abandoned += 1 } })
    }
}

/// Lets one thread wait until another opens it; then it stays open.
final class Gate: Sendable {
    private let semaphore = DispatchSemaphore(value: 0)

    func open() { semaphore.signal() }

    func wait() {
        semaphore.wait()
        semaphore.signal()
    }
}

struct StreamEnded: Error {}

/// Events of one server or client, awaited one after the other.
final class Events<Event: Sendable> {
    private var iterator: AsyncStream<Event>.Iterator

    init(_ stream: AsyncStream<Event>) { iterator = stream.makeAsyncIterator() }

    /// The first event that `match` makes something of; others are passed over.
    func first<Result>(
        isolation: isolated (any Actor)? = #isolation, _ match: (Event) -> Result?
    ) async throws -> Result {
        while let event = await iterator.next(isolation: isolation) {
            if let result = match(event) { return result }
        }
        throw StreamEnded()
    }

    /// All that is left until the stream ends.
    func rest(isolation: isolated (any Actor)? = #isolation) async -> [Event] {
        var events: [Event] = []
        while let event = await iterator.next(isolation: isolation) { events.append(event) }
        return events
    }
}

extension Events where Event: Equatable {
    func wait(isolation: isolated (any Actor)? = #isolation, for event: Event) async throws {
        try await first { $0 == event ? () : nil }
    }
}

extension Events<ServerEvent> {
    func message(isolation: isolated (any Actor)? = #isolation) async throws -> (PeerID, [UInt8]) {
        try await first { if case .message(let peer, let bytes) = $0 { (peer, bytes) } else { nil } }
    }

    func violation(isolation: isolated (any Actor)? = #isolation) async throws -> String {
        try await first { if case .violation(_, let reason, _) = $0 { reason } else { nil } }
    }
}

/// A server with the client's key on its list, and what a client needs to reach it.
struct Fixture {
    let server: Server
    let serverKeys: KeyPair
    let events: Events<ServerEvent>

    /// - Parameter names: allowed keys and their names.
    init(
        names: [String: String], limits: Limits = Limits(), blobs: MemoryBlobs = MemoryBlobs(),
        bind: String = "tcp://127.0.0.1:*", keys: KeyPair? = nil
    ) throws {
        serverKeys = try keys ?? KeyPair.generate()
        server = try Server(
            bind: bind, keys: serverKeys, allow: { names[$0] }, limits: limits, blobs: blobs.access)
        events = Events(server.events)
    }

    func client(_ keys: KeyPair, limits: Limits = Limits(), blobs: MemoryBlobs = MemoryBlobs()) throws -> Client {
        try Client(
            connect: server.endpoint, keys: keys, serverKey: serverKeys.publicKey, limits: limits, blobs: blobs.access)
    }
}

/// A folder that is removed with the test.
final class TemporaryFolder {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "pleach-transport-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// A bare DEALER that can send anything and sees every frame; it blocks its thread, with a time limit.
final class RawDealer {
    private let context: UnsafeMutableRawPointer
    private let socket: UnsafeMutableRawPointer

    init(_ endpoint: String, keys: KeyPair? = nil, serverKey: String? = nil) {
        context = zmq_ctx_new()
        socket = zmq_socket(context, ZMQ_DEALER)
        var linger: Int32 = 0
        var timeout: Int32 = 20_000
        zmq_setsockopt(socket, ZMQ_LINGER, &linger, 4)
        zmq_setsockopt(socket, ZMQ_RCVTIMEO, &timeout, 4)
        if let keys, let serverKey {
            zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, serverKey, 41)
            zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, keys.publicKey, 41)
            zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, keys.secretKey, 41)
        }
        zmq_connect(socket, endpoint)
    }

    deinit {
        zmq_close(socket)
        zmq_ctx_term(context)
    }

    func send(_ frames: [UInt8]...) {
        for (index, frame) in frames.enumerated() {
            zmq_send(socket, frame, frame.count, index + 1 < frames.count ? ZMQ_SNDMORE : 0)
        }
    }

    func send(_ header: Header) { send(header.encoded) }

    /// The next message's header and payload; nil after 20 silent seconds.
    func receive() -> (header: Header, payload: [UInt8])? {
        var frames: [[UInt8]] = []
        var more: Int32 = 1
        while more != 0 {
            var buffer = [UInt8](repeating: 0, count: 1 << 20)
            let count = zmq_recv(socket, &buffer, buffer.count, 0)
            guard count >= 0 else { return nil }
            frames.append(Array(buffer.prefix(Int(count))))
            var size = MemoryLayout<Int32>.size
            zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &size)
        }
        let header = frames[0].withUnsafeBytes { try? Header(decoding: $0, limits: Limits()) }
        return header.map { ($0, frames.count > 1 ? frames[1] : []) }
    }
}
