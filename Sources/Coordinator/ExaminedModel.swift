import Compression
import Engine
import Federation
import ModelGraph

/// A plan's model with every stage rehearsed on it: what has to hold before a run begins. Nothing is stored, so `--check` and
/// `plan explain` look at what a start looks at.
public struct ExaminedModel: Sendable {
    public let graph: Graph
    /// The architecture's name, or the file's path.
    public let source: String
    /// How workers build it themselves; nil where they must fetch it.
    let recipe: Recipe?
    /// What became of the model in each stage.
    let stages: [RehearsedStage]

    var stageEnds: [Graph] { stages.map(\.end) }

    /// Builds or loads the model and rehearses the stages on it.
    /// - Parameter timer: for budgets of milliseconds.
    /// - Throws: `ModelError`, `CoordinatorError.model` with the stage's number and what helps.
    init(plan: Plan, timer: ModelTimer) throws {
        let source: String
        var recipe: Recipe?
        var graph: Graph
        switch plan.model {
        case .architecture(let name, let options):
            graph = try ModelBuilder.build(
                architecture: name, inputShape: options.inputShape, classes: options.classes, width: options.width,
                seed: plan.seed)
            source = name
            recipe = Recipe(
                architecture: name, inputShape: options.inputShape, classes: options.classes, width: options.width,
                seed: plan.seed)
        case .file(let path):
            graph = try Graph.load(path: path)
            source = path
        }
        if let step = plan.keepEvery {
            do { graph = try graph.shallower(keepingEvery: step).graph } catch {
                throw CoordinatorError.model("keepEvery: \(step) of model \(source): \(error)")
            }
            // A recipe builds the whole.
            recipe = nil
        }
        try graph.validateOperators(supported: SupportedOperators.table)
        stages = try StageRehearsal.rehearse(plan, graph: graph, time: timer.milliseconds)
        try ChannelNesting.check(plan, graph: graph)
        try plan.checkEnsembles(graph)
        (self.graph, self.source, self.recipe) = (graph, source, recipe)
    }
}
