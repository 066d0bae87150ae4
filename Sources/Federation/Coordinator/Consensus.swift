/// What the members of an ensemble said of the public set in one round.
public struct Consensus: Sendable, Equatable {
    /// The mean of their logits, a container of kind logits.
    public var blob: BlobReference
    /// Of it, each worker's own part; together 1.
    public var shares: [String: Double]

    init(blob: BlobReference, contributions: [ContributionFacts]) {
        self.blob = blob
        let total = contributions.reduce(0.0) { $0 + Double($1.weight) }
        shares = Dictionary(
            contributions.map { ($0.worker, Double($0.weight) / max(total, 1)) }, uniquingKeysWith: { $1 })
    }

    /// What a worker is told to leave out; 0 where everybody learns from all.
    func share(leftOutBy worker: String, _ rules: EnsemblePlan) -> Double {
        guard rules.isMutual, let share = shares[worker], share < 1 else { return 0 }
        return share
    }
}
