import Compression
import Federation
import Foundation
import Ledger
import ModelGraph
import Monitor
import Shell

/// Writes `out/compact.onnx`, `out/compact.safetensors`, `out/report.json` and `out/report.html`, each atomically.
struct Exporter: Sendable {
    let plan: Plan
    let directory: String
    let blobs: BlobStore
    var probe = RuntimeProbe()
    /// Where the report finds the run's plan and times.
    var ledger: Ledger?

    /// The bytes depend on the snapshot, what the fleet has measured and the plan only.
    func export(_ history: RunHistory, numerics: CoordinatorNumerics) throws -> ExportFacts {
        let folder = directory + "/out"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let path = folder + "/compact.onnx"
        let target = plan.export.target
        let explanation = try explanation(history)
        let byteCount: Int
        do {
            let bytes = try file(history, numerics)
            byteCount = bytes.count
            let graph = try Graph.load(bytes, path: path)
            try AtomicFile.write(bytes, to: path)
            try CompactTensors.write(
                graph, target: target, bits: explanation?.bits ?? [:], to: folder + "/compact.safetensors")
        }
        let facts = ExportFacts(target: target.rawValue, path: path, byteCount: byteCount)
        var finished = history
        finished.apply(.exported(facts))
        var report = Report(history: finished)
        report.take(StageCosts(finished, blobs: blobs, timer: timer))
        if let explanation { report.take(explanation) }
        report.tensors = Report.tensors(finished, blobs: blobs)
        report.files = Report.files(in: folder)
        if let ledger { try report.take(ledger, finished) }
        try report.write(to: Self.reportPath(directory))
        try report.writePage(to: Self.pagePath(directory))
        return facts
    }

    /// What was verified when it was made, or a file in floats, verified now.
    private func file(_ history: RunHistory, _ numerics: CoordinatorNumerics) throws -> [UInt8] {
        if plan.export.target.hasIntegerWeights {
            guard let compact = history.compact else { preconditionFailure("a quantize stage makes files of integers") }
            return try blobs.get(compact.digest)
        }
        let graph = try CompactFile.floats(numerics.currentGraph(), plan.export.target, opset: plan.export.opset)
        try graph.requireFileSize()
        let bytes = graph.serialized()
        _ = try CompactFile.check(bytes, graph)
        return bytes
    }

    private func explanation(_ history: RunHistory) throws -> FileExplanation? {
        try history.quantization?.explanation.map { try FileExplanation(parsing: blobs.get($0.digest)) }
    }

    static func reportPath(_ directory: String) -> String { directory + "/out/report.json" }
    static func pagePath(_ directory: String) -> String { directory + "/out/report.html" }

    var timer: ModelTimer? {
        guard plan.export.measure else { return nil }
        return ModelTimer(directory: directory + "/out/measured", opset: plan.export.opset, probe: probe)
    }
}

extension CompactFile {
    /// A file for a target without integer weights.
    /// - Throws: `ModelError` for an opset that cannot say it.
    static func floats(_ graph: Graph, _ target: ExportTarget, opset: Int) throws -> Graph {
        try ModelQuantizer(graph, settings: QuantizationSettings(float: target, opset: opset))
            .quantize(QuantizationEvidence()).graph
    }
}
