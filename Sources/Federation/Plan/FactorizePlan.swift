/// How larger kernels become products (`Compression.FactorizationChoice`).
public enum FactorizationMethodKind: UInt8, Sendable, Equatable, CaseIterable {
    // Raw values are on the wire; never renumber them.
    /// Of each layer what leaves least.
    case auto = 0
    /// Dense layers and convolutions of one pixel alone.
    case svd = 1
    /// k x 1, then 1 x k.
    case spatial = 2
    /// 1 x 1, k x k, 1 x 1.
    case tucker = 3
}

/// How much of each layer is left.
public enum RankAmount: Sendable, Equatable {
    /// At least this share of its energy; above 0, at most 1.
    case energy(Double)
    /// What stands out of noise (empirical variational Bayes).
    case evbmf
    /// Shares, above 0 and below 1, of the parameters or multiply-accumulates that the stage begins with.
    case parameters(Double)
    case macs(Double)
}

/// Whose parameters or multiply-accumulates a budget is a share of.
public enum RankScope: String, Sendable, Equatable, CaseIterable {
    case model
    /// The layers that may be factorized.
    case layers
}

/// Which layers may be factorized: all that a worker must know of a stage to measure what its decision needs.
public struct FactorizableSelection: Sendable, Equatable {
    public var method: FactorizationMethodKind
    /// Weights or nodes; empty is all.
    public var only: [String]
    /// Weights or nodes that stay as they are.
    public var excluded: [String]

    public init(method: FactorizationMethodKind = .auto, only: [String] = [], excluded: [String] = []) {
        (self.method, self.only, self.excluded) = (method, only, excluded)
    }
}

/// What a factorization decides by.
public struct FactorizeRules: Sendable, Equatable {
    public var amount: RankAmount
    public var scope: RankScope
    /// Ranks are multiples of this where such a rank saves.
    public var multiple: Int
    public var selection: FactorizableSelection

    public init(
        amount: RankAmount, scope: RankScope = .model, multiple: Int = 8,
        selection: FactorizableSelection = FactorizableSelection()
    ) {
        (self.amount, self.scope, self.multiple, self.selection) = (amount, scope, multiple, selection)
    }
}

/// `factorize`: layers become products of smaller ones, then rounds of training.
public struct FactorizePlan: Sendable, Equatable {
    public var rules: FactorizeRules
    /// That each worker shows the model, so that what is cut costs the layers' outputs least; 0 looks at the weights alone.
    public var samples: Int
    public var rounds: Int
    public var recipe: TrainingRecipe
    public var server: ServerOptimizer
    /// Whom the rounds learn from beside the labels.
    public var teacher: TeacherPlan?

    public init(
        rules: FactorizeRules, samples: Int = 1024, rounds: Int = 5, recipe: TrainingRecipe = TrainingRecipe(),
        server: ServerOptimizer = ServerOptimizer(), teacher: TeacherPlan? = nil
    ) {
        (self.rules, self.samples, self.rounds) = (rules, samples, rounds)
        (self.recipe, self.server, self.teacher) = (recipe, server, teacher)
    }
}
