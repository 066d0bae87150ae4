import Compression
import Foundation
import Ledger
import ModelGraph
import Monitor
import Tensors
import Testing
import UpdateCodec

@testable import Coordinator
@testable import Federation

/// A run of two stages on disk, the second with a narrower model, and a folder for what is measured.
private final class Run {
    let path: String
    let blobs: BlobStore
    let history: RunHistory
    let graphs: [Graph]

    init(export: String = "{}") throws {
        path = FileManager.default.temporaryDirectory.appendingPathComponent("costs-\(UUID().uuidString)").path
        let blobs = try BlobStore(directory: path + "/blobs")
        self.blobs = blobs
        let plan = try Plan.parse(
            """
            model: {architecture: mlp}
            fleet: {workers: 1}
            stages: [{train: {rounds: 1}}, {train: {rounds: 1}}, {train: {rounds: 1}}]
            export: \(export)
            """, path: "plan", environment: [:])
        graphs = try [64, 64, 32].map { width in
            try ModelBuilder.build(architecture: "mlp", inputShape: nil, classes: nil, width: width, seed: 1)
        }
        let facts = try graphs.enumerated().map { version, graph in try Self.store(graph, version, blobs) }
        let model = ModelFacts(source: "mlp", parameters: 1, bytes: 999_999, sampleShape: [], classes: 10)
        var records: [LedgerRecord] = [
            .runStarted(run: "r", plan: "p", model: model, teachers: [:]), .snapshotPublished(facts[0]),
        ]
        for stage in 0..<3 {
            records += [
                .roundOpened(round: stage, stage: stage, task: "train"),
                .stepFinished(
                    round: stage, stage: stage, outcome: StepOutcome(accuracy: 0.9), snapshot: facts[min(stage + 1, 2)],
                    traffic: StepTraffic(wireBytesUp: 10, wireBytesDown: 20), seconds: 1),
                .stageFinished(stage: stage, seconds: 1),
            ]
        }
        history = RunHistory(plan: plan, records: records)
    }

    private static func store(_ graph: Graph, _ version: Int, _ blobs: BlobStore) throws -> SnapshotFacts {
        let skeleton = PackedBlob.pack(graph.serializedSkeleton())
        let graphReference = BlobReference(digest: try blobs.put(skeleton), byteCount: skeleton.count)
        let bytes = Snapshot(graph: graphReference.digest, parameters: graph.parameterTensors()).serialized()
        return SnapshotFacts(
            version: version, snapshot: BlobReference(digest: try blobs.put(bytes), byteCount: bytes.count),
            graph: graphReference, maskEpoch: 0, sparsity: 0,
            size: ModelSize(of: graph))
    }

    /// A timer whose Python is a shell script.
    func timer(_ script: String) throws -> ModelTimer {
        let python = path + "/python"
        try "#!/bin/sh\n\(script)\n".write(toFile: python, atomically: true, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: python)
        return ModelTimer(
            directory: path + "/measured", opset: 17,
            probe: RuntimeProbe(candidates: [PythonCandidate(path: python)]))
    }

    func bytes(_ graph: Graph) throws -> Int { try CompactModel.float32(graph: graph, opset: 17).serializedByteCount }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}

private func answer(_ times: [Double]) -> String {
    let models = times.map { #"{"milliseconds": \#($0), "minimumMilliseconds": \#($0), "runs": 1}"# }
    return #"{"version": "9", "models": [\#(models.joined(separator: ","))]}"#
}

@Suite struct StageCostsTests {
    @Test func everyStructureIsCountedAndTimedOnce() throws {
        let run = try Run()
        // The files are there while Python runs, and only then.
        let timer = try run.timer("ls -l \(run.path)/measured > \(run.path)/list; echo '\(answer([4, 1]))'")
        let costs = StageCosts(run.history, blobs: run.blobs, timer: timer)
        let large = StageCosts.Cost(
            parameters: 784 * 64 + 64 + 64 * 64 + 64 + 64 * 10 + 10, macs: 784 * 64 + 64 * 64 + 64 * 10,
            bytes: try run.bytes(run.graphs[0]), milliseconds: 4)
        let small = StageCosts.Cost(
            parameters: 784 * 32 + 32 + 32 * 32 + 32 + 32 * 10 + 10, macs: 784 * 32 + 32 * 32 + 32 * 10,
            bytes: try run.bytes(run.graphs[2]), milliseconds: 1)
        #expect(costs.models == [large, large, small, small])
        #expect(costs.runtime == "onnxruntime")
        #expect(costs.runtimeVersion == "9")
        #expect(costs.notMeasured == nil)
        let list = try String(contentsOfFile: run.path + "/list", encoding: .utf8)
        #expect(list.contains("0.onnx") && list.contains("1.onnx") && !list.contains("2.onnx"))
        #expect(!FileManager.default.fileExists(atPath: run.path + "/measured"))
    }

    @Test func theReportTakesThemOver() throws {
        let run = try Run()
        var report = Report(history: run.history)
        report.take(StageCosts(run.history, blobs: run.blobs, timer: try run.timer("echo '\(answer([4, 1]))'")))
        let (large, small) = (try run.bytes(run.graphs[0]), try run.bytes(run.graphs[2]))
        #expect(report.stages.map(\.bytesBefore) == [999_999, large, small])
        #expect(report.stages.map(\.bytesAfter) == [large, small, small])
        #expect(report.stages.map(\.millisecondsBefore) == [4, 4, 1])
        #expect(report.stages.map(\.millisecondsAfter) == [4, 1, 1])
        #expect(report.stages[1].parametersBefore == report.parametersBefore)
        #expect(report.stages[1].macsAfter == report.macsAfter)
        #expect((report.millisecondsBefore, report.millisecondsAfter) == (4, 1))
        #expect(report.roundDetails.map(\.wireBytesDown) == [20, 20, 20])
        #expect(report.roundDetails.map(\.stage) == [0, 1, 2])
    }

    /// A finished run that is started again tells what was measured when it ended.
    @Test func whatWasMeasuredIsReadBack() throws {
        let run = try Run()
        var written = Report(history: run.history)
        written.take(StageCosts(run.history, blobs: run.blobs, timer: try run.timer("echo '\(answer([4, 1]))'")))
        try FileManager.default.createDirectory(atPath: run.path + "/out", withIntermediateDirectories: true)
        try written.write(to: run.path + "/out/report.json")
        #expect(Report(ofFinished: run.history, directory: run.path) == written)
        written.run = "another"
        try written.write(to: run.path + "/out/report.json")
        #expect(Report(ofFinished: run.history, directory: run.path) == Report(history: run.history))
        try Data("garbage".utf8).write(to: URL(fileURLWithPath: run.path + "/out/report.json"))
        #expect(Report(ofFinished: run.history, directory: run.path) == Report(history: run.history))
    }

    @Test(arguments: ["exit 7", "echo garbage", "kill -9 $$"])
    func aFailingChildLeavesTheRest(_ script: String) throws {
        let run = try Run()
        let costs = StageCosts(run.history, blobs: run.blobs, timer: try run.timer(script))
        #expect(costs.models.map(\.milliseconds) == [nil, nil, nil, nil])
        #expect(costs.models[3].bytes == (try run.bytes(run.graphs[2])))
        #expect(costs.models[3].macs == 784 * 32 + 32 * 32 + 32 * 10)
        #expect(costs.notMeasured?.isEmpty == false)
    }

    @Test func aLostModelHasNoFiguresButWhatTheLedgerKnows() throws {
        let run = try Run()
        try run.blobs.remove(run.history.snapshots[3].snapshot.digest)
        let costs = StageCosts(run.history, blobs: run.blobs, timer: try run.timer("echo '\(answer([4]))'"))
        #expect(costs.models.map(\.milliseconds) == [4, 4, nil, nil])
        #expect(costs.models[3] == StageCosts.Cost(parameters: run.graphs[2].trainableElementCount))
        #expect(costs.notMeasured?.hasPrefix("1 of the models") == true)
    }

    @Test func whatCannotBeWrittenIsNotTimed() throws {
        let run = try Run()
        var timer = try run.timer("echo '\(answer([4, 1]))'")
        // A file where the folder should be made, which root may not make either.
        timer = ModelTimer(directory: "/proc/none/measured", opset: 17, probe: timer.probe)
        let costs = StageCosts(run.history, blobs: run.blobs, timer: timer)
        #expect(costs.notMeasured?.hasPrefix("a model could not be written") == true)
        #expect(costs.models.map(\.macs) == [54_912, 54_912, 26_432, 26_432])
    }

    @Test func thePlanMayTurnItOff() throws {
        let run = try Run(export: "{measure: false}")
        let exporter = Exporter(plan: run.history.plan, directory: run.path, blobs: run.blobs)
        #expect(exporter.timer == nil)
        let costs = StageCosts(run.history, blobs: run.blobs, timer: nil)
        #expect(costs.notMeasured == "the plan says export: {measure: false}")
        #expect(costs.models.allSatisfy { $0.macs != nil && $0.bytes != nil && $0.milliseconds == nil })
    }

    @Test func graphsAreMeasuredForBudgets() throws {
        let run = try Run()
        let models = run.graphs.map { graph in { graph } }
        #expect(try run.timer("echo '\(answer([3, 2, 1]))'").milliseconds(models) == [3, 2, 1])
        for broken in ["echo '\(answer([3, 2]))'", "exit 1"] {
            #expect(throws: LatencyError.self) { try run.timer(broken).milliseconds(models) }
        }
    }

    /// With a real ONNX Runtime, where there is one.
    @Test(.enabled(if: ProcessInfo.processInfo.environment["PLEACH_PYTHON"] != nil))
    func onnxRuntimeRunsThem() throws {
        let run = try Run()
        let wide = try ModelBuilder.build(
            architecture: "mlp", inputShape: nil, classes: nil, width: 1500, seed: 1)
        var timer = ModelTimer(directory: run.path + "/measured", opset: 17)
        timer.options.secondsEach = 0.3
        let times = try timer.milliseconds([{ wide }, { run.graphs[2] }])
        // Not a question of speed: the one has a hundred times the work of the other.
        #expect(times.count == 2 && times[0] > times[1] && times[1] > 0)
        let costs = StageCosts(run.history, blobs: run.blobs, timer: timer)
        #expect(costs.notMeasured == nil)
        #expect(costs.runtimeVersion?.isEmpty == false)
        #expect(costs.models.allSatisfy { $0.milliseconds ?? 0 > 0 })
    }
}
