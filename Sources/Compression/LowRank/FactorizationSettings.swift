import Tensors

/// How ranks are chosen.
public enum RankRule: Sendable, Equatable {
    /// Each layer keeps at least this share of its energy; above 0, at most 1.
    case energy(Double)
    /// What stands out of noise by empirical variational Bayes.
    case evbmf
    case budget(RankBudget)
}

/// What is factorized, and how far.
public struct FactorizationSettings: Sendable, Equatable {
    public var rule: RankRule
    /// Ranks are multiples of this where such a rank saves.
    public var multiple: Int
    public var selection: LayerSelection

    /// - Parameters:
    ///   - only: weights or nodes, when not all; each must be factorized, or an error says why not.
    ///   - excluded: weights or nodes that stay as they are.
    public init(
        rule: RankRule, choice: FactorizationChoice = .auto, multiple: Int = 8, only: [String]? = nil,
        excluded: [String] = []
    ) {
        self.init(
            rule: rule, multiple: multiple,
            selection: LayerSelection(choice: choice, only: only, excluded: excluded))
    }

    public init(rule: RankRule, multiple: Int = 8, selection: LayerSelection) {
        (self.rule, self.multiple, self.selection) = (rule, multiple, selection)
    }

    /// Whether a layer that was asked for and saves nothing is an error.
    var needsAll: Bool { selection.only != nil && selection.checksNames }

    /// - Throws: `CompressionError.valueOutOfRange`.
    func validate() throws(CompressionError) {
        guard (1...65_536).contains(multiple) else {
            throw .valueOutOfRange("ranks of a multiple of \(multiple) are impossible: give 1 to 65536")
        }
        switch rule {
        case .energy(let share):
            guard share > 0, share <= 1 else {
                throw .valueOutOfRange("an energy of \(share) is out of range: it must be above 0 and at most 1")
            }
        case .evbmf: break
        case .budget(let budget):
            guard budget.share > 0, budget.share < 1 else {
                throw .valueOutOfRange(
                    "a share of \(budget.share) of the \(budget.measure.rawValue) is out of range: it must be above 0 and "
                        + "below 1")
            }
        }
    }
}
