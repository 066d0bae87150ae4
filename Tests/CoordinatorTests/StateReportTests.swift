import Foundation
import Ledger
import ModelGraph
import Monitor
import Tensors
import Testing
import UpdateCodec

@testable import Coordinator
@testable import Federation

/// A state folder as a coordinator leaves it, with a run of one training round and an evaluation.
private final class StateFolder {
    let path: String
    let ledger: Ledger
    let blobs: BlobStore
    private(set) var history: RunHistory

    static let plan = """
        name: told
        seed: 7
        model: {architecture: mlp, input: [4], classes: 2, width: 3}
        data: "synthetic:digits?seed=1"
        fleet: {workers: 1}
        stages:
          - train: {rounds: 1, epochs: 2, learningRate: 0.125}
        export: {target: float32, measure: false}

        """

    init() throws {
        path = FileManager.default.temporaryDirectory.appendingPathComponent("told-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        ledger = try Ledger.open(directory: path)
        blobs = try BlobStore(directory: path + "/blobs")
        history = RunHistory(plan: try Plan.parse(Self.plan, path: "plan.yaml", environment: [:]))
        try ledger.setMetadata("plan", Self.plan)
        try ledger.setMetadata("planPath", "my plans/plan.yaml")
    }

    func append(_ records: [LedgerRecord]) throws {
        try ledger.append(records)
        for record in records { history.apply(record) }
    }

    /// Up to the end of the training round.
    func begin() throws -> SnapshotFacts {
        let graph = try ModelBuilder.build(architecture: "mlp", inputShape: [4], classes: 2, width: 3, seed: 7)
        let skeleton = PackedBlob.pack(graph.serializedSkeleton())
        let reference = BlobReference(digest: try blobs.put(skeleton), byteCount: skeleton.count)
        let bytes = Snapshot(graph: reference.digest, parameters: graph.parameterTensors()).serialized()
        let facts = SnapshotFacts(
            version: 0, snapshot: BlobReference(digest: try blobs.put(bytes), byteCount: bytes.count), graph: reference,
            maskEpoch: 0, sparsity: 0, size: ModelSize(of: graph))
        let model = ModelFacts(source: "mlp", parameters: 26, bytes: 400, sampleShape: [4], classes: 2)
        var metrics = TaskMetrics(samples: 50)
        metrics.seconds = 1.5
        let submission = Submission(
            round: 0, blob: BlobReference(digest: reference.digest, byteCount: 321), metrics: metrics)
        try append([
            .runStarted(run: "r1", plan: "told", model: model, teachers: [:]), .snapshotPublished(facts),
            .roundOpened(round: 0, stage: 0, task: "train"),
            .contributionRefused(round: 0, worker: "eve <b>", reason: "the update's norm 9 exceeds the bound 1"),
            .contributionAccepted(
                ContributionFacts(
                    round: 0, worker: "alice", submission: submission, base: facts.snapshot.digest, weight: 1)),
            .stepFinished(
                round: 0, stage: 0, outcome: StepOutcome(loss: 0.5), snapshot: nil,
                traffic: StepTraffic(wireBytesUp: 10, wireBytesDown: 20, float32BytesUp: 100, float32BytesDown: 100),
                seconds: 1),
        ])
        return facts
    }

    /// As the coordinator ends a run.
    func finish(_ facts: SnapshotFacts) throws {
        try append([
            .roundOpened(round: 1, stage: 0, task: "evaluate"),
            .stepFinished(
                round: 1, stage: 0, outcome: StepOutcome(loss: 0.4, accuracy: 0.75), snapshot: nil,
                traffic: StepTraffic(wireBytesUp: 1, wireBytesDown: 2), seconds: 0.5),
            .stageFinished(stage: 0, seconds: 1.5),
        ])
        var exporter = Exporter(plan: history.plan, directory: path, blobs: blobs)
        exporter.ledger = ledger
        let numerics = try CoordinatorNumerics(plan: history.plan, blobs: blobs, directory: path, facts: facts)
        let exported = try exporter.export(history, numerics: numerics)
        try append([.exported(exported), .runFinished(seconds: history.seconds)])
    }

    func bytes(_ name: String) -> [UInt8] { Array(FileManager.default.contents(atPath: path + "/" + name) ?? Data()) }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// Reports from a state folder alone.
@Suite struct StateReportTests {
    @Test func aFinishedRunIsToldAgainToTheByte() throws {
        let folder = try StateFolder()
        try folder.finish(try folder.begin())
        let written = folder.bytes("out/report.html")
        #expect(!written.isEmpty)
        let (report, remarks) = try Report.ofState(folder.path)
        #expect(remarks == [])
        #expect(report.page() == written)
        #expect(report.serialized() == folder.bytes("out/report.json"))
        #expect(report.state == "finished")
        #expect(report.workers.map(\.name) == ["alice", "eve <b>"])
        #expect(report.workers.map(\.contributions) == [1, 0] && report.workers.map(\.refusals) == [0, 1])
        #expect(report.workers[0].bytes == 321 && report.workers[0].seconds == 1.5 && report.workers[0].samples == 50)
        #expect(report.roundDetails.map(\.loss) == [0.5, 0.4] && report.roundDetails.map(\.accuracy) == [nil, 0.75])
        #expect(report.roundDetails.map(\.wireBytesFloat32) == [200, 0])
        let told = try #require(report.stages[0].settings).joined(separator: " ")
        #expect(told.contains("A round is 2 passes over the shard") && told.contains("learning rate 0.125"))
        #expect(report.files.map(\.name) == ["compact.onnx", "compact.safetensors"])
        #expect(report.files[0].bytes == folder.bytes("out/compact.onnx").count)
        #expect(report.tensors.count == 3 && report.tensors[0].shapeBefore == report.tensors[0].shapeAfter)
        #expect(report.tensors.allSatisfy { $0.bits == 32 && $0.alive != nil })
        let origin = try #require(report.origin)
        #expect(origin.planPath == "my plans/plan.yaml" && origin.planText == StateFolder.plan && origin.seed == "7")
        #expect(origin.data == "synthetic:digits?seed=1")
        let page = String(decoding: written, as: UTF8.self)
        #expect(page.contains("pleach run &#39;my plans/plan.yaml&#39; --workers 1"))
        #expect(page.contains("eve &lt;b&gt;") && !page.contains("eve <b>"))
    }

    @Test func aRunThatHasNotEndedIsToldFromItsLedger() throws {
        let folder = try StateFolder()
        _ = try folder.begin()
        let (report, remarks) = try Report.ofState(folder.path)
        #expect(remarks == [])
        #expect(report.state == "stopped", "no process holds the folder")
        #expect(report.rounds == 1 && report.stagesPlanned == 1 && report.stages[0].state == "running")
        #expect(report.parametersBefore == report.parametersAfter && report.parametersAfter != nil)
        #expect(report.tensors.count == 3 && report.files.isEmpty && report.startedAt != nil)
        #expect(String(decoding: report.page(), as: UTF8.self).contains("The run was stopped and can be resumed"))
        #expect(!FileManager.default.fileExists(atPath: folder.path + "/out"), "who looks changes nothing")
    }

    @Test func whatIsLostIsSaidAndNotInvented() throws {
        let folder = try StateFolder()
        try folder.finish(try folder.begin())
        try Data("{".utf8).write(to: URL(fileURLWithPath: folder.path + "/out/report.json"))
        let (report, remarks) = try Report.ofState(folder.path)
        #expect(remarks.count == 1 && remarks[0].contains("/out/report.json is missing, damaged"))
        #expect(report.state == "finished" && report.millisecondsAfter == nil && report.accuracyAfter == 0.75)
        #expect(report.files.count == 2 && report.origin != nil)
    }

    @Test func noRunIsNoReport() throws {
        #expect(throws: CoordinatorError.self) { try Report.ofState("/nowhere/state") }
        let folder = try StateFolder()
        #expect {
            try Report.ofState(folder.path)
        } throws: { "\($0)".contains("never started") }
    }
}
