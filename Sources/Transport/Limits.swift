/// The bounds of one node. Each is enforced on what arrives and on what is sent.
public struct Limits: Sendable, Equatable {
    /// Largest control message, in bytes.
    public var maximumControlBytes: Int
    /// Payload of one chunk, in bytes.
    public var chunkBytes: Int
    /// Chunks of one transfer that may be on the way at once.
    public var creditChunks: Int
    /// Chunks on their way to us over all transfers: asked for and not yet arrived.
    public var totalReceivingChunks: Int
    /// Chunks on their way from us over all transfers: sent and not yet known to be taken.
    public var totalSendingChunks: Int
    /// Time without movement after which the chunks of a transfer no longer hold up others.
    public var stallSeconds: Double
    /// Largest blob, in bytes.
    public var maximumBlobBytes: Int
    /// Peers a server serves at once.
    public var maximumPeers: Int
    /// Connections that one key may have at a server; without CURVE there are no keys to count by.
    public var connectionsPerKey: Int
    /// Control messages and requests that a server takes from one peer per second, on average; twice as many at once.
    public var messagesPerSecond: Int
    /// A peer's violations are told at most once in this time, with their number.
    public var violationReportSeconds: Double
    /// Transfers to one peer, and as many from it, that run at once; more fetches wait their turn.
    public var maximumTransfersPerPeer: Int
    /// Fetches from one peer that may wait their turn.
    public var maximumWaitingFetches: Int
    /// Silence after which a transfer is asked for again; after as much silence again it has failed.
    public var transferTimeoutSeconds: Double
    /// Control messages a client keeps while it has no connection; the oldest give way.
    public var maximumUnsentMessages: Int
    /// Bytes of events waiting to be consumed; beyond it, no more is read from the sockets.
    public var maximumEventBytes: Int

    public init(
        maximumControlBytes: Int = 4 << 20, chunkBytes: Int = 1 << 20, creditChunks: Int = 4,
        totalReceivingChunks: Int = 64, totalSendingChunks: Int = 64, stallSeconds: Double = 5,
        maximumBlobBytes: Int = 4 << 30, maximumPeers: Int = 1024,
        connectionsPerKey: Int = 4, messagesPerSecond: Int = 100, violationReportSeconds: Double = 1,
        maximumTransfersPerPeer: Int = 8, maximumWaitingFetches: Int = 1024, transferTimeoutSeconds: Double = 30,
        maximumUnsentMessages: Int = 1024,
        maximumEventBytes: Int = 64 << 20
    ) {
        precondition(maximumControlBytes > 0 && maximumControlBytes <= 1 << 30, "maximumControlBytes is 1 to 1 GiB")
        precondition(chunkBytes > 0 && chunkBytes <= 1 << 30, "chunkBytes is 1 to 1 GiB")
        precondition(maximumBlobBytes > 0 && maximumBlobBytes / chunkBytes < 1 << 31, "a blob has under 2^31 chunks")
        precondition(creditChunks > 0 && creditChunks <= 256, "creditChunks is 1 to 256, not \(creditChunks)")
        precondition(totalReceivingChunks > 0 && totalSendingChunks > 0, "windows have room for a chunk")
        precondition(stallSeconds > 0, "stallSeconds is positive")
        precondition(maximumPeers > 0 && maximumTransfersPerPeer > 0, "peer limits are positive")
        precondition(connectionsPerKey > 0 && messagesPerSecond > 0, "limits on keys and messages are positive")
        precondition(transferTimeoutSeconds > 0, "transferTimeoutSeconds is positive")
        self.maximumControlBytes = maximumControlBytes
        self.chunkBytes = chunkBytes
        self.creditChunks = creditChunks
        self.totalReceivingChunks = totalReceivingChunks
        self.totalSendingChunks = totalSendingChunks
        self.stallSeconds = stallSeconds
        self.maximumBlobBytes = maximumBlobBytes
        self.maximumPeers = maximumPeers
        self.connectionsPerKey = connectionsPerKey
        self.messagesPerSecond = messagesPerSecond
        self.violationReportSeconds = violationReportSeconds
        self.maximumTransfersPerPeer = maximumTransfersPerPeer
        self.maximumWaitingFetches = maximumWaitingFetches
        self.transferTimeoutSeconds = transferTimeoutSeconds
        self.maximumUnsentMessages = maximumUnsentMessages
        self.maximumEventBytes = maximumEventBytes
    }

    /// What ZeroMQ may accept as one frame: the larger of both kinds and room for CURVE's box around it.
    var frameBytes: Int { max(maximumControlBytes, chunkBytes) + 1024 }

    /// Messages ZeroMQ may queue to one peer: all chunks that credit permits and some control messages. It is the last
    /// bound on what a peer can make us hold that grants credit without reading.
    var queuedMessages: Int {
        min(maximumTransfersPerPeer * creditChunks, max(totalReceivingChunks, totalSendingChunks)) + 64
    }
}
