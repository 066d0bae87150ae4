import Federation
import Foundation
import Ledger
import ModelGraph
import Monitor
import UpdateCodec

/// A run's state folder, opened: the ledger and blobs on disk, and the history replayed from them.
public struct RunState: Sendable {
    let directory: String
    let ledger: Ledger
    let blobs: BlobStore
    let lock: StateLock
    let plan: Plan
    var history: RunHistory
    let isResumed: Bool

    static let planKey = "plan"
    static let planPathKey = "planPath"
    private static let environmentKey = "environment"
    private static let workersKey = "workers"

    /// Makes the folder if need be and takes it for this process.
    static func lock(directory: String) throws -> StateLock {
        try prepareFolder(directory)
        return try StateLock(directory: directory)
    }

    /// Opens or creates the state of `plan`. A folder that holds another plan's run is refused.
    static func open(
        directory: String, lock: StateLock, plan: Plan, planText: String, planPath: String
    ) throws -> RunState {
        // Before the model is built or loaded, so that both peaks do not add up.
        ProcessMemory.releaseUnusedFilePages()
        let ledger = try Ledger.open(directory: directory)
        let blobs = try BlobStore(directory: directory + "/blobs")
        let earlier = try admit(plan, planText: planText, to: ledger, directory: directory)
        var history = earlier ?? RunHistory(plan: plan)
        if earlier == nil {
            try ledger.setMetadata(planKey, planText)
            try ledger.setMetadata(planPathKey, planPath)
            try ledger.setMetadata(workersKey, String(plan.fleet.workers))
            try ledger.setMetadata(
                environmentKey, String(decoding: JSONEncoder().encode(variables(in: planText)), as: UTF8.self))
            let opening = try OpeningModel(plan: plan, blobs: blobs, timer: ModelTimer(plan, directory: directory))
            let opened = opening.records
            try ledger.append(opened)
            history = RunHistory(plan: plan, records: opened)
        } else {
            try verifyBlobs(history, blobs: blobs)
            try collectGarbage(history, blobs: blobs)
        }
        return RunState(
            directory: directory, ledger: ledger, blobs: blobs, lock: lock, plan: plan, history: history,
            isResumed: earlier != nil)
    }

    /// Whether a folder's run is this plan's. Changes nothing.
    /// - Returns: the run so far; nil where none has begun.
    /// - Throws: `CoordinatorError.planChanged`.
    static func admit(
        _ plan: Plan, planText: String, to ledger: Ledger, directory: String
    ) throws -> RunHistory? {
        // Before its first records a run has not begun: whatever plan came to nothing then may be mended.
        let records = try ledger.ledgerRecords()
        if !records.isEmpty, let recorded = try ledger.metadata(planKey), recorded != planText {
            throw CoordinatorError.planChanged(
                "\(directory) holds a run of another plan (or this plan was edited since): "
                    + "use another --state, restore the plan, or start over with --fresh")
        }
        if !records.isEmpty, let recorded = try ledger.metadata(workersKey).flatMap({ Int($0) }),
            recorded != plan.fleet.workers
        {
            // Shards and quorum follow from it: another number would be another run.
            throw CoordinatorError.planChanged(
                "\(directory) holds a run with \(recorded) workers, not \(plan.fleet.workers): give --workers "
                    + "\(recorded), use another --state, or start over with --fresh")
        }
        let history = try replay(records.map(\.record), plan, directory: directory)
        guard history.run != nil, history.snapshot != nil else { return nil }
        if let path = plan.stages.lazy.flatMap({ $0.teacher?.files ?? [] }).first(where: {
            history.teachers[$0] == nil
        }) {
            throw CoordinatorError.planChanged(
                "\(directory) holds a run whose teachers were named by other paths than \(path): start the plan by the same "
                    + "path and with the same variables as at first, or start over with --fresh")
        }
        return history
    }

    /// Makes a state folder, before anything is put into it.
    /// - Throws: `CoordinatorError.state` with the path and the system's reason.
    public static func prepareFolder(_ directory: String) throws(CoordinatorError) {
        do {
            try FileManager.default.createDirectory(
                atPath: directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch {
            throw unmakeable(directory)
        }
    }

    static func unmakeable(_ directory: String) -> CoordinatorError {
        .state("state folder \(directory) cannot be made: check that its parent exists, is a folder and can be written")
    }

    /// Hashes every blob that the run still needs, once: what is damaged or missing ends the start, not a round.
    static func verifyBlobs(_ history: RunHistory, blobs: BlobStore) throws {
        let contributions = Dictionary(
            (history.openRound?.accepted ?? []).compactMap { facts in
                facts.submission.blob.map { ($0.digest, "contribution of \(facts.worker) to round \(facts.round)") }
            }, uniquingKeysWith: { first, _ in first })
        for digest in history.namedBlobs.sorted() {
            do {
                try blobs.verify(digest)
            } catch {
                throw CoordinatorError.state("\(contributions[digest].map { "the \($0): " } ?? "")\(error)")
            }
        }
    }

    /// Opens a state folder's ledger and history for those who only look, whether or not a coordinator is at it.
    /// - Throws: `CoordinatorError.state` where there is no run, `LedgerError` where it is damaged.
    public static func look(into directory: String) throws -> (ledger: Ledger, history: RunHistory) {
        guard FileManager.default.fileExists(atPath: directory + "/ledger.sqlite") else {
            throw CoordinatorError.state("\(directory) holds no run: name the folder given to --state")
        }
        let ledger = try Ledger.open(directory: directory, readOnly: true)
        return (ledger, try readHistory(ledger, directory: directory))
    }

    /// Reads a run's history from its ledger, for those who only look.
    public static func readHistory(_ ledger: Ledger, directory: String) throws -> RunHistory {
        guard let text = try ledger.metadata(planKey) else {
            throw CoordinatorError.state("\(directory)/ledger.sqlite holds no plan: the run never started")
        }
        let recorded = try ledger.metadata(environmentKey).flatMap { text in
            try? JSONDecoder().decode([String: String].self, from: Data(text.utf8))
        }
        let path = try ledger.metadata(planPathKey) ?? "the plan recorded in \(directory)"
        var plan = try Plan.parse(text, path: path, environment: recorded ?? ProcessInfo.processInfo.environment)
        if let recorded = try ledger.metadata(workersKey) {
            guard let workers = Int(recorded), FleetRules.workerCounts.contains(workers) else {
                throw LedgerError.notALedger(
                    path: directory + "/ledger.sqlite", reason: "'\(recorded)' is no number of workers")
            }
            plan.fleet.ask(workers: workers)
        }
        return try replay(try ledger.ledgerRecords().map(\.record), plan, directory: directory)
    }

    private static func replay(
        _ records: [LedgerRecord], _ plan: Plan, directory: String
    ) throws(LedgerError) -> RunHistory {
        do throws(HistoryFault) {
            return try RunHistory(plan: plan, reading: records)
        } catch {
            throw .notALedger(path: directory + "/ledger.sqlite", reason: error.description)
        }
    }

    /// The environment variables that a plan's `${NAME}` and `${NAME:-default}` read: without them it cannot be read again.
    private static func variables(in text: String) -> [String: String] {
        let environment = ProcessInfo.processInfo.environment
        let names = text.components(separatedBy: "${").dropFirst().map { part in
            String(part.prefix { $0.isLetter || $0.isNumber || $0 == "_" })
        }
        return Dictionary(
            names.compactMap { name in environment[name].map { (name, $0) } }, uniquingKeysWith: { a, _ in a })
    }

    /// Removes blobs that no record names, left by a crash between writing and committing.
    private static func collectGarbage(_ history: RunHistory, blobs: BlobStore) throws {
        // An open round's uploads are still arriving: they go on at their offsets.
        guard history.openRound == nil else { return }
        try blobs.garbageCollect(keeping: history.namedBlobs)
    }

    /// Deletes a run's ledger, blobs and outputs but keeps the keys, so that workers stay allowed.
    public static func erase(directory: String) throws {
        guard FileManager.default.fileExists(atPath: directory) else { return }
        let lock = try StateLock(directory: directory)
        for name in ["ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm", "blobs", "out", "logs", "endpoint"] {
            let path = directory + "/" + name
            if FileManager.default.fileExists(atPath: path) { try FileManager.default.removeItem(atPath: path) }
        }
        withExtendedLifetime(lock) {}
    }
}
