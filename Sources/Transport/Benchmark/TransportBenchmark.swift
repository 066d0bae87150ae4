/// How fast a blob streams in chunks, beside bare ZeroMQ sockets that send messages of a chunk's size as fast as they
/// can (`pleach bench transport`). Everything goes over TCP loopback within one process: two contexts, as two machines
/// would have. Bytes come from memory and are thrown away, so that only the transport is measured.
public enum TransportBenchmark {
    public struct Figures: Sendable, Codable, Equatable {
        public let megabytes: Int
        public let repetitions: Int
        /// Chunk streaming with CURVE, median; a megabyte is 10^6 bytes.
        public let chunkMegabytesPerSecond: Double
        /// Bare CURVE sockets, median.
        public let rawMegabytesPerSecond: Double
        /// Bare sockets without CURVE, median.
        public let rawPlainMegabytesPerSecond: Double
        /// The median over repetitions of chunks by bare, each pair measured side by side.
        public let ratio: Double
    }

    /// - Parameter megabytes: MiB per transfer.
    public static func run(megabytes: Int, repetitions: Int) async throws(TransportError) -> Figures {
        let byteCount = megabytes << 20
        var chunks: [Double] = []
        var raw: [Double] = []
        var plain: [Double] = []
        // One unmeasured turn each, then in turns, so that what else the machine does hits both alike.
        for repetition in -1..<repetitions {
            let bare = try RawStream(isSecure: true).megabytesPerSecond(byteCount)
            let chunked = try await ChunkStream(byteCount: byteCount).megabytesPerSecond()
            let open = try RawStream(isSecure: false).megabytesPerSecond(byteCount)
            guard repetition >= 0 else { continue }
            raw.append(bare)
            chunks.append(chunked)
            plain.append(open)
        }
        return Figures(
            megabytes: megabytes, repetitions: repetitions, chunkMegabytesPerSecond: median(chunks),
            rawMegabytesPerSecond: median(raw), rawPlainMegabytesPerSecond: median(plain),
            ratio: median(zip(chunks, raw).map { $0 / $1 }))
    }

    private static func median(_ values: [Double]) -> Double {
        let sorted = values.sorted()
        let middle = sorted.count / 2
        return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
    }
}

/// One blob from a `Server` to a `Client`.
private struct ChunkStream {
    let byteCount: Int

    func megabytesPerSecond() async throws(TransportError) -> Double {
        let digest = [UInt8](repeating: 7, count: 32)
        let bytes = [UInt8](repeating: 0x5a, count: byteCount)
        let source = BlobAccess(
            open: { _ in BlobSource(bytes: bytes) },
            receive: { _, _ throws(BlobFailure) in throw .broken(reason: "the benchmark only sends") }
        )
        let target = BlobAccess(
            open: { _ in nil }, receive: { _, _ in BlobSink(offset: 0, append: { _ in }, finish: {}, abandon: {}) })
        let (serverKeys, clientKeys) = (try KeyPair.generate(), try KeyPair.generate())
        let server = try Server(bind: "tcp://127.0.0.1:*", keys: serverKeys, blobs: source)
        defer { server.close() }
        // The server's events need a consumer.
        let drain = Task { for await _ in server.events {} }
        defer { drain.cancel() }
        let client = try Client(
            connect: server.endpoint, keys: clientKeys, serverKey: serverKeys.publicKey, blobs: target)
        defer { client.close() }
        var start = 0.0
        for await event in client.events {
            switch event {
            case .connected:
                start = monotonicSeconds()
                client.fetch(digest: digest, byteCount: byteCount)
            case .blobArrived: return Double(byteCount) / 1e6 / (monotonicSeconds() - start)
            case .blobFailed, .refused, .failed:
                throw .system(operation: "streaming chunks", reason: "\(event)")
            default: break
            }
        }
        throw .system(operation: "streaming chunks", reason: "the client has ended")
    }
}
