import Compression
import Federation
import ModelGraph
import Tensors
import UpdateCodec

// A plan's words for masks as the numerics know them.

extension PruningSettings {
    package init(_ rules: MaskRules) {
        let unit: PrunedUnit =
            switch rules.granularity {
            case .weight: .weights(.weight)
            case .block: .weights(.block(rows: rules.blockRows, columns: rules.blockColumns))
            case .twoOfFour: .weights(.nOfM(kept: 2, of: 4))
            case .channel: .channels(.channels)
            case .head: .channels(.heads)
            case .layer: .blocks
            }
        self.init(
            unit: unit, criterion: PruningCriterion(rules.criterion), scope: PruningScope(rules.scope),
            multiple: rules.granularity == .channel ? rules.multiple : 1, normalized: rules.normalized,
            borders: rules.keepsBorders ? .keep : .absorb,
            excluded: rules.excluded)
    }
}

extension PruningCriterion {
    package init(_ kind: PruningCriterionKind) {
        self =
            switch kind {
            case .l1: .l1
            case .l2: .l2
            case .taylor: .taylor
            case .gradientNorm: .gradientNorm
            case .stability: .stability
            case .fisher: .fisher
            case .bnScale: .bnScale
            case .fpgm: .fpgm
            case .lamp: .lamp
            case .movement: .movement
            }
    }
}

extension PruningScope {
    package init(_ kind: PruningScopeKind) {
        self =
            switch kind {
            case .local: .local
            case .global: .global
            case .isomorphic: .isomorphic
            }
    }
}

extension VoteRule {
    /// - Returns: nil where scores decide.
    package init?(_ rules: MaskRules) {
        switch rules.rule {
        case .scores: return nil
        case .majority: self = .majority
        case .union: self = .union
        case .intersection: self = .intersection
        case .threshold: self = .threshold(rules.threshold)
        }
    }
}

extension PruningAmount {
    /// - Returns: nil for milliseconds, which only a measurement turns into something to decide by.
    package init?(_ amount: MaskDecision.Amount) {
        switch amount {
        case .sparsity(let share): self = .sparsity(share)
        case .keep(let share): self = .keep(share)
        case .remove(let count): self = .remove(count)
        case .weights(let count): self = .weights(count)
        case .macs(let count): self = .macs(count)
        case .bytes(let count): self = .bytes(count)
        case .milliseconds: return nil
        }
    }
}

extension MaskDecision {
    /// What the tensors of this decision's scores are aligned to. What may revive is scored too.
    package func alignment(to masks: MaskSet) -> MaskSet { regrow > 0 ? MaskSet(epoch: masks.epoch) : masks }

    /// What the fleet's mean is to this decision.
    package func evidence(_ mean: NamedTensors) -> PruningEvidence {
        VoteRule(rules).map { .votes(mean, $0) } ?? .statistics(mean)
    }

    /// How scores travel: they are ranked, not added to weights. Signed means in blocks of 32 small enough to keep small scores
    /// apart, at 8.5 bits each; squares over their whole range; what is one number a channel, exactly.
    package var scoreScheme: WireScheme {
        let isSmall = rules.granularity == .channel || rules.granularity == .head
        let values: ValueFormat
        switch rules.criterion {
        // 0 and 1 are exact, and zeros and ones pack well.
        case _ where rules.rule != .scores: values = isSmall ? .float32 : .float16
        case .gradientNorm: values = .float32
        case .stability, .fisher: values = .bfloat16
        default: values = regrow > 0 ? .bfloat16 : .int8
        }
        return WireScheme(
            selection: .dense, values: values, blockSize: 32, smallTensorElements: 0, errorFeedback: false)
    }
}
