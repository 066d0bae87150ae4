/// What is remembered of each transfer.
extension BlobExchange {
    /// A blob asked for, before its transfer starts.
    struct Wanted {
        var digest: [UInt8]
        var byteCount: Int
    }

    /// An arriving blob.
    struct Fetch {
        var peer: PeerID
        let digest: [UInt8]
        let byteCount: Int
        let sink: BlobSink
        /// Counts up from fetch to fetch: the order in which they are gone through.
        let number: Int
        /// The next byte expected.
        var offset: Int
        /// The attempt that is running; 0 while the fetch waits for its first chunk in the window.
        var attempt: UInt32 = 0
        /// Chunks granted and received in this attempt.
        var allowedChunks: UInt32 = 0
        var receivedChunks: UInt32 = 0
        var lastHeardSeconds: Double
        var hasBeenSilent = false
        /// Attempts begun since the last chunk that fitted.
        var restarts = 0
        /// Other peers that offered the same blob, in order; the next one takes over when this one fails.
        var waiters: [PeerID] = []
    }

    /// A leaving blob.
    struct Stream {
        let source: BlobSource
        let attempt: UInt32
        var offset: Int
        /// As the receiver says; believed only as far as our own credit goes.
        var allowedChunks: UInt32
        var takenChunks: UInt32 = 0
        var sentChunks: UInt32 = 0
        var sentBytes = 0
        var lastHeardSeconds: Double
        /// Whether the stream stands in `ready`.
        var isQueued = false

        func hasCredit(_ limits: Limits) -> Bool {
            sentChunks < allowedChunks && Int(sentChunks) < Int(takenChunks) + limits.creditChunks
        }
    }

    struct StreamKey: Hashable {
        let peer: PeerID
        let digest: [UInt8]

        /// Any fixed order will do.
        static func precedes(_ a: StreamKey, _ b: StreamKey) -> Bool {
            if a.peer == b.peer { return a.digest.lexicographicallyPrecedes(b.digest) }
            return a.peer.routingID.lexicographicallyPrecedes(b.peer.routingID)
        }
    }

    /// A chunk that is read and that ZeroMQ does not take yet.
    final class UnsentChunk {
        let key: StreamKey
        let header: [UInt8]
        var payload: OutgoingFrame

        init(key: StreamKey, header: [UInt8], payload: consuming OutgoingFrame) {
            self.key = key
            self.header = header
            self.payload = payload
        }
    }
}
