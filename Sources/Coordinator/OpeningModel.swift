import Compression
import Engine
import Federation
import Ledger
import ModelGraph
import Monitor
import Shell
import UpdateCodec

/// The model a run begins with, checked before any worker is asked for anything.
struct OpeningModel {
    let records: [LedgerRecord]

    /// Builds or loads the plan's model and stores the first snapshot.
    /// - Parameter timer: for budgets of milliseconds.
    init(plan: Plan, blobs: BlobStore, timer: ModelTimer) throws {
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
        let stageEnds = try StageRehearsal.check(plan, graph: graph, time: timer.milliseconds)
        try ChannelNesting.check(plan, graph: graph)
        try plan.checkEnsembles(graph)
        let skeleton = try blobs.put(PackedBlob.pack(graph.serializedSkeleton()))
        let snapshot = Snapshot(graph: skeleton, parameters: graph.parameterTensors())
        let reference = try blobs.write(.durable) { writer in try snapshot.serialize { try writer.append($0) } }
        let teachers = try TeacherRehearsal(blobs: blobs).check(plan, students: stageEnds)
        let shape = graph.inputs.first?.dimensions?.dropFirst().map {
            if case .fixed(let extent) = $0 { extent } else { nil as Int? }
        }
        let model = ModelFacts(
            source: source, parameters: graph.parameterTensors().elementCount, bytes: graph.serializedByteCount,
            sampleShape: shape.map(Array.init) ?? [], classes: try graph.outputExtent())
        let skeletonBytes = try blobs.size(of: skeleton)
        records = [
            .runStarted(run: Self.runIdentifier(), plan: plan.name, model: model, teachers: teachers),
            .snapshotPublished(
                SnapshotFacts(
                    version: 0, snapshot: reference,
                    graph: BlobReference(digest: skeleton, byteCount: skeletonBytes), maskEpoch: 0, sparsity: 0,
                    size: ModelSize(of: graph), recipe: recipe)),
        ]
    }

    /// Names the run for people and logs; nothing that is computed depends on it.
    private static func runIdentifier() -> String {
        String(UInt32.random(in: 0...UInt32.max), radix: 36)
    }
}
