import Federation
import Ledger
import ModelGraph
import UpdateCodec

/// The model a run begins with, checked before any worker is asked for anything, and stored.
struct OpeningModel {
    let records: [LedgerRecord]

    /// Examines the plan's model and stores the first snapshot.
    /// - Parameter timer: for budgets of milliseconds.
    init(plan: Plan, blobs: BlobStore, timer: ModelTimer) throws {
        let examined = try ExaminedModel(plan: plan, timer: timer)
        let graph = examined.graph
        let skeleton = try blobs.put(PackedBlob.pack(graph.serializedSkeleton()))
        let snapshot = Snapshot(graph: skeleton, parameters: graph.parameterTensors())
        let reference = try blobs.write(.durable) { writer in try snapshot.serialize { try writer.append($0) } }
        let teachers = try TeacherRehearsal(blobs: blobs).check(plan, students: examined.stageEnds)
        let shape = graph.inputs.first?.dimensions?.dropFirst().map {
            if case .fixed(let extent) = $0 { extent } else { nil as Int? }
        }
        let model = ModelFacts(
            source: examined.source, parameters: graph.parameterTensors().elementCount,
            bytes: graph.serializedByteCount,
            sampleShape: shape.map(Array.init) ?? [], classes: try graph.outputExtent())
        let skeletonBytes = try blobs.size(of: skeleton)
        records = [
            .runStarted(run: Self.runIdentifier(), plan: plan.name, model: model, teachers: teachers),
            .snapshotPublished(
                SnapshotFacts(
                    version: 0, snapshot: reference,
                    graph: BlobReference(digest: skeleton, byteCount: skeletonBytes), maskEpoch: 0, sparsity: 0,
                    size: ModelSize(of: graph), recipe: examined.recipe)),
        ]
    }

    /// Names the run for people and logs; nothing that is computed depends on it.
    private static func runIdentifier() -> String {
        String(UInt32.random(in: 0...UInt32.max), radix: 36)
    }
}
