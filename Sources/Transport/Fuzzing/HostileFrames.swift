/// A node's blob exchange in the hands of two peers that may send anything at any time (`make fuzz TARGET=frames`).
///
/// A script is a list of steps. One byte says what happens: 0 time passes, 1 the node sends, 2 it could send but the
/// network is full, 3 a peer is gone, 4 the node wants the blob from the other peer too; anything else is a message of
/// peer A (odd) or B (even): the header's length, the header, the payload's length + 1 (0: none), the payload.
package enum HostileFrames {
    private static let limits = Limits(
        maximumControlBytes: 64, chunkBytes: 16, creditChunks: 2, totalReceivingChunks: 3, totalSendingChunks: 3,
        maximumBlobBytes: 200, maximumTransfersPerPeer: 2, maximumWaitingFetches: 2, transferTimeoutSeconds: 2)
    private static let owned = [UInt8](repeating: 1, count: Header.digestBytes)
    private static let wanted = [UInt8](repeating: 2, count: Header.digestBytes)
    private static let wantedBytes = 40
    private static let peers = [UInt8(10), 11].map { PeerID(routingID: [$0], name: nil, publicKey: nil) }

    /// Plays the script and checks what must hold whatever the peers do.
    /// - Returns: what went wrong, or nil.
    package static func play(_ script: [UInt8]) -> String? {
        var node = Node()
        var reader = script[...]
        while let step = reader.popFirst(), node.fault == nil { node.take(step, &reader) }
        return node.fault
    }

    /// Scripts of honest peers.
    package static func seeds() -> [[UInt8]] {
        let request = Header.request(digest: owned, attempt: 7, offset: 0, allowedChunks: 2)
        let grant = Header.grant(digest: owned, attempt: 7, allowedChunks: 3, takenChunks: 1)
        let download = message(request) + [1, 1] + message(grant) + [1, 1, 1]
        let chunks = stride(from: 0, to: wantedBytes, by: 16).map { offset in
            let length = min(16, wantedBytes - offset)
            return message(
                .chunk(digest: wanted, attempt: 1, offset: offset, total: wantedBytes, length: length),
                [UInt8](repeating: 9, count: length))
        }
        let upload = chunks.flatMap { $0 }
        return [
            download, upload, download + upload, chunks[0] + [0, 0, 0] + upload, [4] + chunks[0] + [3] + upload,
            message(.refusal(digest: wanted, attempt: 1, .missing)), message(.cancel(digest: owned, attempt: 7)),
            message(.control, [1, 2, 3]), message(.dismissal) + message(.probe), [2] + download + [2, 2],
        ]
    }

    private static func message(_ header: Header, _ payload: [UInt8]? = nil) -> [UInt8] {
        let head = header.encoded
        return [5, UInt8(head.count)] + head + (payload.map { [UInt8($0.count + 1)] + $0 } ?? [0])
    }

    // Everything happens on one thread, but the sink's closures must be `Sendable`.
    private final class Sink: @unchecked Sendable {
        var appended = 0
        var ends = 0
    }

    private struct Node {
        var exchange: BlobExchange
        var fault: String?
        private let sink: Sink
        private var begins = 0

        init() {
            let sink = Sink()
            self.sink = sink
            exchange = BlobExchange(
                limits: limits,
                blobs: BlobAccess(
                    open: { $0 == owned ? BlobSource(bytes: [UInt8](repeating: 3, count: 100)) : nil },
                    receive: { _, _ throws(BlobFailure) in
                        sink.appended = 0
                        return BlobSink(
                            offset: 0, append: { bytes throws(BlobFailure) in sink.appended += bytes.count },
                            finish: { () throws(BlobFailure) in sink.ends += 1 }, abandon: { sink.ends += 1 })
                    }), isPaused: false)
            exchange.fetch(wanted, byteCount: wantedBytes, from: peers[0])
            check()
        }

        mutating func take(_ step: UInt8, _ script: inout ArraySlice<UInt8>) {
            switch step {
            case 0:
                exchange.now += 1
                exchange.tick()
            case 1, 2:
                _ = exchange.pump { _, _, _ in step == 1 ? .sent : .blocked }
            case 3: exchange.forget(peers[0], reason: "gone")
            case 4: exchange.fetch(wanted, byteCount: wantedBytes, from: peers[1])
            default: receive(&script, from: peers[Int(step & 1)])
            }
            check()
        }

        /// As the socket threads read a message.
        private mutating func receive(_ script: inout ArraySlice<UInt8>, from peer: PeerID) {
            let head = Self.part(script.popFirst().map { Int($0) } ?? 0, of: &script)
            let length = script.popFirst().map { Int($0) } ?? 0
            let payload = length > 0 ? Self.part(length - 1, of: &script) : nil
            guard let header = Self.header(head) else { return }
            if Self.header(header.encoded) != header { fault = "a header that was accepted is read as another" }
            guard header.hasPayload == (payload != nil), header.isForExchange,
                (try? header.check(payloadBytes: payload?.count ?? 0, limits: limits)) != nil
            else { return }
            (payload ?? []).withUnsafeBytes { exchange.receive(header, $0, from: peer) }
        }

        private static func header(_ bytes: [UInt8]) -> Header? {
            bytes.withUnsafeBytes { try? Header(decoding: $0, limits: limits) }
        }

        private static func part(_ count: Int, of script: inout ArraySlice<UInt8>) -> [UInt8] {
            let part = Array(script.prefix(count))
            script = script.dropFirst(part.count)
            return part
        }

        private mutating func check() {
            _ = exchange.takeActions()
            if sink.appended > wantedBytes { fault = "more bytes were stored than were asked for" }
            if exchange.incoming.held > limits.totalReceivingChunks { fault = "too many chunks are asked for" }
            if exchange.outgoing.held > limits.totalSendingChunks { fault = "too many chunks are on their way" }
            if exchange.incoming.lent > limits.totalReceivingChunks
                || exchange.outgoing.lent > limits.totalSendingChunks
            {
                fault = "too many chunks are lent"
            }
            if exchange.streams.count > peers.count * limits.maximumTransfersPerPeer { fault = "too many streams" }
        }
    }
}
