import Federation
import ModelGraph
import UpdateCodec

extension RunForecast {
    /// Estimates a run by going through its rounds: the stages' own machines say which there are, rehearsed models how large
    /// they are, and the codec what that takes.
    /// - Parameter publicSamples: of the public set of ensembles; nil where it is not known.
    /// - Throws: `CodecError` for a scheme that no container can have.
    public init(plan: Plan, examined: ExaminedModel, publicSamples: Int? = nil) throws {
        var walk = try RoundWalk(plan: plan, examined: examined, publicSamples: publicSamples)
        for (stage, rehearsed) in zip(plan.stages, examined.stages) { try walk.go(through: stage, rehearsed) }
        let opening = ModelOutline(examined.graph)
        self.init(
            source: examined.source, parameters: opening.size.parameters, macs: opening.size.macs,
            modelBytes: opening.size.bytes, stages: walk.stages, workers: plan.fleet.workers,
            bytesFloat32: walk.bytesFloat32 * plan.fleet.workers, remarks: walk.remarks)
        let memory = MemoryForecast(
            plan: plan, graph: examined.graph, outline: opening, teacherBytes: walk.teacherBytes)
        (coordinatorMemoryBytes, workerMemoryBytes) = (memory.coordinator, memory.worker)
        (coordinatorDiskBytes, workerDiskBytes) = (walk.coordinatorDisk(plan), walk.workerDisk)
    }
}

/// Rough sums of what processes need at once; ARCHITECTURE.md, "Memory of the coordinator", has the terms.
struct MemoryForecast {
    let coordinator: Int
    let worker: Int

    /// Program, libraries, sockets, threads.
    private static let coordinatorBase = 150 << 20
    private static let workerBase = 300 << 20

    init(plan: Plan, graph: Graph, outline: ModelOutline, teacherBytes: Int) {
        let elements = outline.elements
        let largest = outline.parts.map(\.elements).max() ?? 0
        coordinator =
            Self.coordinatorBase + (plan.fleet.workers + plan.fleet.overSelect) * 100_000
            + 2 * plan.limits.totalChunks << 20 + 16 * elements + elements / 8 + 30 * largest
        let recipes = plan.stages.compactMap(\.recipe)
        let batch = recipes.map(\.batch).max() ?? 64
        // Weights, gradients, and what the optimizer keeps; snapshot, residual and the update in the making.
        let moments = recipes.contains { $0.optimizer != .sgd } ? 2 : 1
        let activations = (try? graph.summary(fileBytes: 0, batch: batch))?.activationBytes?.training ?? 0
        worker = Self.workerBase + 4 * elements * (5 + moments) + 2 * activations + 2 * teacherBytes
    }
}

extension StagePlan {
    /// How its training rounds train; nil where it has none.
    var recipe: TrainingRecipe? {
        switch self {
        case .train(let plan): plan.recipe
        case .distill(let plan): plan.recipe
        case .prune(let plan): plan.recipe
        case .factorize(let plan): plan.recipe
        case .quantize(let plan): plan.rounds > 0 ? plan.recipe : nil
        case .evaluate: nil
        }
    }
}
