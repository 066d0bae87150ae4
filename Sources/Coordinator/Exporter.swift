import Compression
import Federation
import Foundation
import Ledger
import ModelGraph
import Monitor

/// Writes `out/compact.onnx` and `out/report.json`, each atomically.
struct Exporter: Sendable {
    let plan: Plan
    let directory: String
    let blobs: BlobStore
    var probe = RuntimeProbe()

    /// The bytes depend on the snapshot, the calibration and the plan only.
    func export(_ history: RunHistory, numerics: CoordinatorNumerics) throws -> ExportFacts {
        let folder = directory + "/out"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let path = folder + "/compact.onnx"
        let byteCount: Int
        switch plan.export.target {
        case .x86:
            guard let compact = history.compact else { preconditionFailure("an x86 export follows a quantize stage") }
            let bytes = try blobs.get(compact.compact.digest)
            try AtomicFile.write(bytes, to: path)
            byteCount = bytes.count
        case .float32:
            let graph = try CompactModel.float32(graph: numerics.currentGraph(), opset: Int64(plan.export.opset))
            try AtomicFile.write(to: path) { append in graph.serialize(to: append) }
            byteCount = graph.serializedByteCount
        }
        let facts = ExportFacts(target: plan.export.target.rawValue, path: path, byteCount: byteCount)
        var finished = history
        finished.apply(.exported(facts))
        var report = Report(history: finished)
        report.take(StageCosts(finished, blobs: blobs, timer: timer))
        try report.write(to: Self.reportPath(directory))
        return facts
    }

    static func reportPath(_ directory: String) -> String { directory + "/out/report.json" }

    var timer: ModelTimer? {
        guard plan.export.measure else { return nil }
        return ModelTimer(directory: directory + "/out/measured", opset: plan.export.opset, probe: probe)
    }
}
