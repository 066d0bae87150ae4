/// `ensemble` of a `distill` stage: workers learn from what the fleet says together of a public set that all of them have.
/// Only logits travel for it, so models of different shapes take part (FedMD: Li and Wang 2019; FedDF: Lin et al. 2020).
public struct EnsemblePlan: Sendable, Equatable {
    /// T of the loss on public batches, L = alpha T^2 KL(consensus || student) + (1 - alpha) CE.
    public var temperature: Double
    /// Weight of the consensus against the public set's own labels; 1 does not look at them.
    public var alpha: Double
    /// Passes over the public set in each round.
    public var epochs: Double
    /// Whether each learns from the others alone (deep mutual learning: Zhang et al. 2018, section 2.2).
    public var isMutual: Bool

    public init(temperature: Double = 4, alpha: Double = 1, epochs: Double = 1, isMutual: Bool = false) {
        self.temperature = temperature
        self.alpha = alpha
        self.epochs = epochs
        self.isMutual = isMutual
    }
}

/// What a training task of an ensemble stage says besides its recipe.
public struct EnsembleLesson: Sendable, Equatable {
    public var rules: EnsemblePlan
    /// The mean logits of the round before; nil in a stage's first round.
    public var consensus: BlobReference?
    /// Of the consensus: how much of it is the worker's own and is left out, 0 to below 1.
    public var share: Double

    public init(_ rules: EnsemblePlan, consensus: BlobReference? = nil, share: Double = 0) {
        self.rules = rules
        self.consensus = consensus
        self.share = share
    }
}

/// Whose model a worker brings to an ensemble.
public enum StudentSource: Sendable, Equatable {
    /// The run's own.
    case shared
    /// A bundled architecture, built for the worker's data.
    case architecture(String)
    /// An ONNX file.
    case file(String)

    /// What `pleach worker --student` is given; nil where there is nothing to say.
    public var argument: String? {
        switch self {
        case .shared: nil
        case .architecture(let name): name
        case .file(let path): path
        }
    }

    /// Reads a word of a plan or command line: `shared`, an architecture, or else a path.
    public init(word: String) {
        if word == "shared" {
            self = .shared
        } else {
            self = PlanWords.architectures.contains(word) ? .architecture(word) : .file(word)
        }
    }
}

extension FleetRules {
    /// Of a worker that `pleach run` starts.
    /// - Parameter index: of the worker, from 0.
    public func student(ofWorker index: Int) -> StudentSource {
        students.isEmpty ? .shared : students[index % students.count]
    }
}

extension StagePlan {
    /// How the stage's workers learn from each other; nil where they do not.
    public var ensemble: EnsemblePlan? { if case .distill(let plan) = self { plan.ensemble } else { nil } }
}

extension Plan {
    /// Whether some stage needs a public set.
    public var hasEnsemble: Bool { stages.contains { $0.ensemble != nil } }

    /// Why the fleet is too small for the plan's ensembles, or nil.
    public var needOfMembers: String? { fleet.needOfMembers(for: stages) }
}

extension FleetRules {
    /// Why so many workers are too few for the ensembles of these stages, or nil.
    func needOfMembers(for stages: [StagePlan]) -> String? {
        let ensembles = stages.compactMap(\.ensemble)
        guard !ensembles.isEmpty else { return nil }
        if !(0..<workers).contains(where: { student(ofWorker: $0) == .shared }) {
            return
                "'students' in fleet needs 'shared' among the first \(workers): nobody would train the model that the run "
                + "exports"
        }
        guard quorum < 2, ensembles.contains(where: \.isMutual) else { return nil }
        return
            "mutual: true in ensemble needs a 'quorum' in fleet of at least 2: who learns from the others cannot be alone"
    }
}
