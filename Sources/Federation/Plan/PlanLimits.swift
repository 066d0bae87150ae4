/// What a coordinator lets a fleet cost it. Every bound is finite; `protocols/plan.md` has the defaults.
public struct PlanLimits: Sendable, Equatable {
    /// Largest control message, in bytes.
    public var messageBytes: Int
    /// Largest blob, in bytes.
    public var blobBytes: Int
    /// Chunks (1 MiB) of one transfer that may be on the way at once.
    public var chunks: Int
    /// Chunks on the way at once over all transfers, in each direction.
    public var totalChunks: Int
    /// Connections served at once.
    public var peers: Int
    /// Connections of one key; a further one is turned away unless an older one turns out to be gone.
    public var connectionsPerKey: Int
    /// Control messages and blob requests of one connection per second, on average.
    public var messagesPerSecond: Int
    /// Times one worker is asked in one round before it is left out of it.
    public var attempts: Int
    /// Bytes of one log file, and how many of them are kept.
    public var logBytes: Int
    public var logFiles: Int

    public init(
        messageBytes: Int = 1 << 20, blobBytes: Int = 4 << 30, chunks: Int = 4, totalChunks: Int = 16,
        peers: Int = 1024, connectionsPerKey: Int = 4, messagesPerSecond: Int = 100, attempts: Int = 5,
        logBytes: Int = 64 << 20, logFiles: Int = 4
    ) {
        self.messageBytes = messageBytes
        self.blobBytes = blobBytes
        self.chunks = chunks
        self.totalChunks = totalChunks
        self.peers = peers
        self.connectionsPerKey = connectionsPerKey
        self.messagesPerSecond = messagesPerSecond
        self.attempts = attempts
        self.logBytes = logBytes
        self.logFiles = logFiles
    }
}

extension PlanReader {
    func limits(in top: PlanSection) throws(PlanError) -> PlanLimits {
        let standard = PlanLimits()
        let section =
            try top.section("limits", place: "limits", keys: PlanKeys.limits)
            ?? .absent(path: path, place: "limits", line: top.line, keys: PlanKeys.limits)
        let limits = PlanLimits(
            messageBytes: try section.size(
                "message", 64 << 10...MessageLimits.messageBytes, default: standard.messageBytes),
            blobBytes: try section.size("blob", 1 << 20...MessageLimits.blobBytes, default: standard.blobBytes),
            chunks: try section.integer("chunks", 1...256, default: standard.chunks),
            totalChunks: try section.integer("totalChunks", 1...65_536, default: standard.totalChunks),
            peers: try section.integer("peers", 1...100_000, default: standard.peers),
            connectionsPerKey: try section.integer("connectionsPerKey", 1...1024, default: standard.connectionsPerKey),
            messagesPerSecond: try section.integer(
                "messagesPerSecond", 1...1_000_000, default: standard.messagesPerSecond),
            attempts: try section.integer("attempts", 1...1000, default: standard.attempts),
            logBytes: try section.size("log", 64 << 10...1 << 40, default: standard.logBytes),
            logFiles: try section.integer("logFiles", 1...1000, default: standard.logFiles))
        guard limits.chunks <= limits.totalChunks else {
            throw section.error(
                section.has("chunks") ? "chunks" : "totalChunks",
                "'chunks' in limits (\(limits.chunks)) must be at most 'totalChunks' (\(limits.totalChunks))")
        }
        return limits
    }
}
