import Federation
import Transport

extension Limits {
    /// The transport's part of a plan's limits.
    init(_ plan: PlanLimits) {
        self.init(
            maximumControlBytes: plan.messageBytes, creditChunks: plan.chunks, totalReceivingChunks: plan.totalChunks,
            totalSendingChunks: plan.totalChunks, maximumBlobBytes: plan.blobBytes, maximumPeers: plan.peers,
            connectionsPerKey: plan.connectionsPerKey, messagesPerSecond: plan.messagesPerSecond)
    }
}
