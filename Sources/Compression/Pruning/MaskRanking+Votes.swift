import Tensors

/// How votes become a decision; a vote's share is what part of the voters' weight keeps the weight or channel.
public enum VoteRule: Sendable, Equatable {
    /// More than half.
    case majority
    /// Anybody.
    case union
    /// Everybody.
    case intersection
    /// At least this share, above 0 and at most 1.
    case threshold(Double)

    /// - Throws: `CompressionError.valueOutOfRange`.
    public func validate() throws(CompressionError) {
        guard case .threshold(let share) = self else { return }
        guard share > 0, share <= 1 else {
            throw .valueOutOfRange("votes are kept from a share of \(share): give one above 0 and at most 1")
        }
    }

    /// Whether a share keeps. Shares are folded means, so everybody's may be a rounding below 1.
    func keeps(_ share: Double) -> Bool {
        switch self {
        case .majority: share > 0.5
        case .union: share > 0
        case .intersection: share >= 1 - Self.rounding
        case .threshold(let least): share >= least - Self.rounding
        }
    }

    private static let rounding = 0x1p-20
}

extension MaskRanking {
    /// A worker's vote: 1 for weights that its own mask keeps, 0 for the others.
    /// - Parameter layout: names and shapes of the prunable weights; those without a bitmap are kept whole.
    public static func vote(of masks: MaskSet, layout: [(name: String, shape: Shape)]) -> NamedTensors {
        NamedTensors(
            layout.map { name, shape in
                var tensor = Tensor([Float](repeating: 1, count: shape.elementCount), shape: shape)
                tensor.withMutableElements(as: Float.self) { masks.apply(to: $0, of: name) }
                return (name, tensor)
            })
    }

    /// The mask by votes. Dead weights stay dead; each tensor keeps at least the weight with the most votes, the first of
    /// several. How many weights stay is the voters' matter. Epoch: previous + 1.
    /// - Parameter votes: the mean of `vote(of:layout:)` over voters, by their weight: shares in 0...1.
    /// - Throws: `CompressionError.valueOutOfRange` for a rule or share out of range, `.scoresMisfit`, `.scoresNotFinite`.
    public static func kept(
        byVotes votes: NamedTensors, rule: VoteRule, previous: MaskSet
    ) throws(CompressionError) -> MaskSet {
        try rule.validate()
        var next = MaskSet(epoch: previous.epoch &+ 1, bitmaps: previous.bitmaps)
        for (name, tensor) in votes.ordered {
            let alive = previous[name] ?? Bitmap(repeating: true, count: tensor.elementCount)
            let candidates = try MaskCandidates(name: name, scores: tensor, among: alive, sparesBest: true)
            guard tensor.withElements(as: Float.self, { $0.allSatisfy { $0 <= 1.001 } }) else {
                throw .valueOutOfRange("the votes on '\(name)' are no shares: they must lie between 0 and 1")
            }
            var bitmap = alive
            candidates.visit { index, key in
                if !rule.keeps(Double(Float(bitPattern: key))) { bitmap[index] = false }
            }
            next.bitmaps[name] = bitmap
        }
        return next
    }
}
