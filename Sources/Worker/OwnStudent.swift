import Engine
import Federation
import Ledger
import ModelGraph
import Tensors

/// The model that a worker brings to ensembles instead of the run's.
struct OwnStudent: Sendable {
    private enum Origin: Sendable {
        case architecture(String, inputShape: [Int])
        case file(Graph)
    }

    /// As it was given: names it in the file that is kept.
    let word: String
    /// Elements of all its parameters.
    let parameterCount: Int
    /// Outputs of a file; nil for what is built with as many as the run's model has.
    let fixedClasses: Int?
    private let origin: Origin

    /// Whether its first weights are random: until it has trained it has nothing to say.
    var beginsAtRandom: Bool { if case .architecture = origin { true } else { false } }

    /// Builds or loads it once, so that what cannot work ends the start.
    /// - Returns: nil for the run's own model.
    /// - Throws: `WorkerError.data`, `ModelError`, `DataError` where it does not fit the data.
    init?(_ source: StudentSource, data: WorkerData) throws {
        switch source {
        case .shared: return nil
        case .architecture(let name):
            word = name
            origin = .architecture(name, inputShape: data.training.sampleShape.dimensions)
        case .file(let path):
            word = path
            origin = .file(try Graph.load(path: path))
        }
        guard let publicSet = data.publicSet else {
            throw WorkerError.data("--student \(word) needs --public: only ensembles know workers' own models")
        }
        let sets = [data.training, data.test, publicSet.data]
        // A shard may lack classes that others have.
        let graph = try Self.graph(origin, classes: max(2, sets.map(\.classCount).max() ?? 0), seed: 0)
        try graph.validateOperators(supported: SupportedOperators.table)
        for set in sets { try set.checkFits(graph) }
        parameterCount = graph.parameterTensors().elementCount
        guard parameterCount > 0 else {
            throw WorkerError.model("the student \(word) has nothing to train: give one with parameters")
        }
        if case .file = origin { fixedClasses = try graph.outputExtent() } else { fixedClasses = nil }
    }

    /// The student as it begins.
    /// - Parameters:
    ///   - classes: outputs that it needs.
    ///   - seed: of the weights of a bundled architecture.
    func graph(classes: Int, seed: UInt64) throws -> Graph {
        let graph = try Self.graph(origin, classes: classes, seed: seed)
        guard let own = try graph.outputExtent(), own == classes else {
            throw TaskFailure(
                "the student \(word) has not the \(classes) outputs of the run's model, so neither can learn from the other"
            )
        }
        return graph
    }

    private static func graph(_ origin: Origin, classes: Int, seed: UInt64) throws -> Graph {
        switch origin {
        case .file(let graph): graph
        case .architecture(let name, let shape):
            try ModelBuilder.build(architecture: name, inputShape: shape, classes: classes, seed: seed)
        }
    }
}
