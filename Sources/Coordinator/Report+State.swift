import Federation
import Foundation
import Ledger
import Monitor
import Shell
import Tensors

// A report from a state folder alone, whether the run goes on, was stopped or has finished.

extension Report {
    /// What a state folder tells of its run. Nothing in the folder is changed, and a coordinator may be at it.
    /// - Returns: for a finished run what `out/report.json` holds, as long as that is there; and what is missing, for people.
    /// - Throws: `CoordinatorError.state` where there is no run, `LedgerError` for a damaged ledger.
    public static func ofState(_ directory: String) throws -> (report: Report, remarks: [String]) {
        let (ledger, history) = try RunState.look(into: directory)
        guard history.run != nil, history.snapshot != nil else {
            throw CoordinatorError.state("\(directory) holds a run that never started: nothing can be told of it")
        }
        var report = Report(ofFinished: history, directory: directory)
        var remarks: [String] = []
        let wasMeasured = report.parametersAfter != nil
        if !wasMeasured {
            report.takeSizes(of: history)
            if history.export != nil {
                remarks.append(
                    "\(Exporter.reportPath(directory)) is missing, damaged or of another run: what was timed when the "
                        + "run ended is not told")
                report.notMeasured = "the report of the run's end is lost"
            }
        }
        if history.export == nil, StateLock.holder(directory: directory) == nil { report.state = "stopped" }
        if report.origin == nil { try report.take(ledger, history) }
        let blobs = try BlobStore(directory: directory + "/blobs", readOnly: true)
        if report.tensors.isEmpty { report.tensors = tensors(history, blobs: blobs) }
        if report.quantization == nil, let explanation = history.quantization?.explanation,
            let bytes = try? blobs.get(explanation.digest), let found = try? FileExplanation(parsing: bytes)
        {
            report.take(found)
        }
        if history.export != nil, report.files.isEmpty { report.files = files(in: directory + "/out") }
        return (report, remarks)
    }

    /// Takes over what the run follows from, and when it was.
    mutating func take(_ ledger: Ledger, _ history: RunHistory) throws(LedgerError) {
        var found = Origin(
            software: softwareVersion, seed: String(history.plan.seed), model: history.model?.source ?? "",
            classes: history.model?.classes, sampleShape: history.model?.sampleShape ?? [],
            workers: history.plan.fleet.workers, target: history.plan.export.target.rawValue)
        found.openingSnapshot = history.snapshots.first?.snapshot.digest.hex
        found.data = history.plan.data
        found.planPath = try ledger.metadata(RunState.planPathKey)
        if let text = try ledger.metadata(RunState.planKey) {
            found.planDigest = Federation.Digest(hashing: Array(text.utf8)).hex
            if text.utf8.count <= Origin.planLimit { found.planText = text }
        }
        origin = found
        startedAt = try ledger.time(ofOldest: true).map(Self.time)
        // Not the export's: a coordinator that is killed while it exports says the same when it comes to it again.
        endedAt = try ledger.time(ofOldest: false, kind: history.export == nil ? nil : "stageFinished").map(Self.time)
    }

    private static func time(_ seconds: Double) -> String { EventTime.text(Date(timeIntervalSince1970: seconds)) }

    /// What snapshots say of themselves, where nothing was counted when the run ended.
    fileprivate mutating func takeSizes(of history: RunHistory) {
        guard let first = history.snapshots.first?.size, let last = history.snapshots.last?.size else { return }
        (parametersBefore, parametersAfter) = (first.parameters, last.parameters)
        (macsBefore, macsAfter) = (first.macs, last.macs)
        var size = first
        for index in stages.indices {
            let end = history.stageSnapshots.indices.contains(index) ? history.stageSnapshots[index] : nil
            let next = end.map { history.snapshots[$0].size } ?? last
            (stages[index].parametersBefore, stages[index].parametersAfter) = (size.parameters, next.parameters)
            (stages[index].macsBefore, stages[index].macsAfter) = (size.macs, next.macs)
            size = next
        }
    }

    /// What a run leaves beside its report, as far as it is there.
    static func files(in folder: String) -> [File] {
        ["compact.onnx", "compact.safetensors"].compactMap { name in
            guard let file = try? MappedFile(path: "\(folder)/\(name)") else { return nil }
            return File(name: name, bytes: file.byteCount, sha256: Federation.Digest(hashing: file).hex)
        }
    }
}
