/// What is masked or removed as one.
public enum PruningGranularity: UInt8, Sendable, Equatable, CaseIterable {
    // Raw values are on the wire; never renumber them.
    /// Single weights: masked.
    case weight = 0
    /// Channels of whole groups: removed, the model becomes smaller.
    case channel = 1
    /// Attention heads: removed.
    case head = 2
    /// Whole residual blocks: removed.
    case layer = 3
    /// Rectangles of a weight's matrix: masked.
    case block = 4
    /// Two of every four neighbours along the inputs: masked.
    case twoOfFour = 5

    /// The word in plans, logs and reports.
    public var word: String { self == .twoOfFour ? "2:4" : "\(self)" }

    /// Whether the model loses what is pruned, so that its graph changes.
    public var isStructural: Bool {
        switch self {
        case .channel, .head, .layer: true
        case .weight, .block, .twoOfFour: false
        }
    }
}

/// How importance is told (`Compression.PruningCriterion` has the formulas).
public enum PruningCriterionKind: UInt8, Sendable, Equatable, CaseIterable {
    // Raw values are on the wire; never renumber them.
    case l1 = 0
    case l2 = 1
    case taylor = 2
    case gradientNorm = 3
    case stability = 4
    case fisher = 5
    case bnScale = 6
    case fpgm = 7
    case lamp = 8
    case movement = 9

    /// Whether workers must look at their data.
    public var readsData: Bool {
        switch self {
        case .taylor, .gradientNorm, .stability, .fisher, .movement: true
        case .l1, .l2, .bnScale, .fpgm, .lamp: false
        }
    }

    /// Whether it says something of what this granularity prunes.
    public func fits(_ granularity: PruningGranularity) -> Bool {
        switch self {
        case .l1, .l2, .taylor, .stability, .fisher, .movement: true
        case .lamp: granularity != .layer
        case .gradientNorm: granularity == .channel || granularity == .head
        case .bnScale, .fpgm: granularity == .channel
        }
    }
}

/// What importance is compared with.
public enum PruningScopeKind: UInt8, Sendable, Equatable, CaseIterable {
    // Raw values are on the wire; never renumber them.
    /// Only with others of the same tensor or group: each loses the same share.
    case local = 0
    case global = 1
    /// With tensors or groups of the same structure (Fang et al. 2024, "Isomorphic Pruning").
    case isomorphic = 2
}

/// How the coordinator makes one mask of what workers say.
public enum MaskRuleKind: UInt8, Sendable, Equatable, CaseIterable {
    // Raw values are on the wire; never renumber them.
    /// Scores are folded and ranked.
    case scores = 0
    /// Each worker sends its own mask: kept is what more than half of the fleet (by samples) keeps,
    case majority = 1
    /// what anybody keeps,
    case union = 2
    /// what everybody keeps,
    case intersection = 3
    /// or what a given share of the fleet keeps.
    case threshold = 4
}

public enum SparsityScheduleKind: String, Sendable, Equatable, CaseIterable {
    case oneShot
    case linear
    case cubic
    /// Iterative pruning of a constant share of what is left, each time back to an early snapshot's weights (Frankle & Carbin
    /// 2019; rewinding: Frankle et al. 2020).
    case lottery
    /// At the final sparsity from the first step; then each step prunes a share of the weights and revives as many (RigL,
    /// Evci et al. 2020).
    case dynamic
}

/// How much is left at a stage's end.
public enum PruneTarget: Sendable, Equatable {
    /// Share that is pruned: of prunable weights, channels, heads or layers.
    case sparsity(Double)
    /// Share of the parameters, or of the multiply-accumulates, that the stage begins with.
    case weights(Double)
    case macs(Double)
    /// Of the float32 file.
    case bytes(Int)
    /// In ONNX Runtime on the coordinator's machine, one thread, batch 1.
    case milliseconds(Double)
}

/// How masks are decided, the same in all steps of a stage.
public struct MaskRules: Sendable, Equatable {
    public var granularity: PruningGranularity
    public var criterion: PruningCriterionKind
    public var scope: PruningScopeKind
    public var rule: MaskRuleKind
    /// Share of the fleet for `MaskRuleKind.threshold`, above 0, at most 1.
    public var threshold: Double
    /// Of `PruningGranularity.block`: outputs and inputs of one block.
    public var blockRows: Int
    public var blockColumns: Int
    /// What is left of a width is a multiple of this (channels only).
    public var multiple: Int
    /// Whether groups are pruned too whose channels a normalisation takes its statistics over.
    public var normalized: Bool
    /// Whether channels stay whose constant would meet a padded border.
    public var keepsBorders: Bool
    /// Weights, groups and blocks that stay as they are, by name.
    public var excluded: [String]

    public init(
        granularity: PruningGranularity = .weight, criterion: PruningCriterionKind = .l2,
        scope: PruningScopeKind = .global, rule: MaskRuleKind = .scores, threshold: Double = 0.5, blockRows: Int = 4,
        blockColumns: Int = 4, multiple: Int = 16, normalized: Bool = false, keepsBorders: Bool = false,
        excluded: [String] = []
    ) {
        self.granularity = granularity
        self.criterion = criterion
        self.scope = scope
        self.rule = rule
        self.threshold = threshold
        self.blockRows = blockRows
        self.blockColumns = blockColumns
        self.multiple = multiple
        self.normalized = normalized
        self.keepsBorders = keepsBorders
        self.excluded = excluded
    }
}

/// `prune`: in steps, each a mask that the coordinator decides, followed by recovery rounds.
public struct PrunePlan: Sendable, Equatable {
    public var rules: MaskRules
    public var target: PruneTarget
    public var schedule: SparsityScheduleKind
    public var steps: Int
    public var roundsPerStep: Int
    /// Of `lottery`: the stage whose end survivors go back to; nil is the model that the run began with.
    public var rewindStage: Int?
    /// Of `dynamic`: share of the alive weights that change places at the first step after the first mask.
    public var regrow: Double
    public var recipe: TrainingRecipe
    public var server: ServerOptimizer
    /// Whom the recovery rounds learn from beside the labels.
    public var teacher: TeacherPlan?
    /// Samples each worker scores per step (criteria that read data only).
    public var scoreSamples: Int

    public init(
        rules: MaskRules = MaskRules(), target: PruneTarget = .sparsity(0.8), schedule: SparsityScheduleKind = .cubic,
        steps: Int = 4, roundsPerStep: Int = 1, rewindStage: Int? = nil, regrow: Double = 0.3,
        recipe: TrainingRecipe = TrainingRecipe(), server: ServerOptimizer = ServerOptimizer(),
        teacher: TeacherPlan? = nil, scoreSamples: Int = 1024
    ) {
        self.rules = rules
        self.target = target
        self.schedule = schedule
        self.steps = schedule == .oneShot ? 1 : steps
        self.roundsPerStep = roundsPerStep
        self.rewindStage = rewindStage
        self.regrow = regrow
        self.recipe = recipe
        self.server = server
        self.teacher = teacher
        self.scoreSamples = scoreSamples
    }

    /// The share of prunable weights that are masked at the end; nil for stages that remove structure.
    public var maskedShare: Double? {
        guard !rules.granularity.isStructural else { return nil }
        return switch target {
        case .sparsity(let share): share
        case .weights(let left): 1 - left
        case .macs, .bytes, .milliseconds: nil
        }
    }

    /// Whether the `step`th mask (from 1) needs a round of scores before it.
    public func asksForScores(atStep step: Int) -> Bool {
        rules.criterion.readsData || regrows(atStep: step)
    }

    /// Whether the `step`th mask revives weights.
    public func regrows(atStep step: Int) -> Bool { schedule == .dynamic && step > 1 }
}
