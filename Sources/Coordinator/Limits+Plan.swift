import Federation
import Transport

extension Limits {
    /// The transport's part of a plan's limits.
    init(_ plan: PlanLimits) {
        self.init(
            maximumControlBytes: plan.messageBytes, creditChunks: plan.chunks, maximumBlobBytes: plan.blobBytes,
            maximumPeers: plan.peers)
    }
}
