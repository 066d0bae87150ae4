import Federation
import Foundation
import Ledger
import Monitor
import Transport

/// Everything that can stand against a coordinator's start, looked at with what the start itself uses and in its order, without
/// starting: no folder, key, ledger or blob is made, changed or moved. The plan has been read before.
public struct StartCheck {
    public enum Subject: String, Sendable, CaseIterable {
        case folder = "state folder"
        case keys
        case address
        case run
        case model
        case page = "status page"
    }

    private let options: CoordinatorOptions
    private let startsOver: Bool
    private var history: RunHistory?
    /// What the run begins with, once `model` has been looked at and nothing has begun yet.
    public private(set) var examined: ExaminedModel?

    /// - Parameter startsOver: whether the start would forget an earlier run first (`--fresh`).
    public init(_ options: CoordinatorOptions, startsOver: Bool = false) {
        (self.options, self.startsOver) = (options, startsOver)
    }

    /// Looks at one subject; in the order of `Subject.allCases`, because the model depends on the run.
    /// - Returns: what was found, in a few words.
    /// - Throws: the error that the start would throw.
    public mutating func look(at subject: Subject) throws -> String {
        switch subject {
        case .folder: try folder()
        case .keys: try Self.keys(state: state)
        case .address: try Self.address(options.bind)
        case .run: try run()
        case .model: try model()
        case .page: try options.http.map { try Self.page($0, token: options.httpToken) } ?? "none is asked for"
        }
    }

    private var state: String { options.state }

    private func folder() throws -> String {
        guard FileManager.default.fileExists(atPath: state) else {
            guard Self.canBeMade(state) else { throw RunState.unmakeable(state) }
            return "\(state) will be made"
        }
        // Throws for what is no folder.
        try RunState.prepareFolder(state)
        try StateLock.check(directory: state)
        return "\(state) is free"
    }

    /// Whether the nearest folder above that is there can be written to.
    private static func canBeMade(_ path: String) -> Bool {
        var ancestor = URL(fileURLWithPath: path).standardizedFileURL
        var isFolder: ObjCBool = false
        while ancestor.path != "/" {
            ancestor.deleteLastPathComponent()
            guard FileManager.default.fileExists(atPath: ancestor.path, isDirectory: &isFolder) else { continue }
            return isFolder.boolValue && access(ancestor.path, W_OK | X_OK) == 0
        }
        return false
    }

    /// The coordinator's own pair, and how many it lets in.
    public static func keys(state: String) throws(TransportError) -> String {
        guard let keys = try CoordinatorKeys.existing(directory: state + "/keys") else {
            return "a key pair will be made; no worker is allowed yet"
        }
        let count = keys.allowList.list().count
        return "public key \(keys.pair.publicKey), \(count) worker\(count == 1 ? "" : "s") allowed"
    }

    /// Whether a coordinator could listen there.
    public static func address(_ bind: String) throws(TransportError) -> String {
        try Server.check(bind: bind)
        return "\(bind) is free"
    }

    private mutating func run() throws -> String {
        guard !startsOver else { return "an earlier run will be forgotten" }
        guard let ledger = try Ledger.examine(directory: state) else { return "a new one" }
        history = try RunState.admit(options.plan, planText: options.planText, to: ledger, directory: state)
        guard let history else { return "a new one" }
        try RunState.verifyBlobs(history, blobs: BlobStore(directory: state + "/blobs", readOnly: true))
        return history.isFinished
            ? "run \(history.run ?? "") has finished"
            : "run \(history.run ?? "") goes on behind round \(history.roundsClosed) of \(history.roundsExpected)"
    }

    private mutating func model() throws -> String {
        guard history == nil else { return "is in the ledger; its blobs are whole" }
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("pleach-check-\(UUID().uuidString)")
        let examined = try ExaminedModel(plan: options.plan, measuringIn: folder.path)
        self.examined = examined
        let teachers = options.plan.stages.reduce(0) { $0 + ($1.teacher?.members.count ?? 0) }
        let count = options.plan.stages.count
        return "\(examined.source), \(examined.graph.trainableElementCount) parameters; \(count) stage"
            + (count == 1 ? "" : "s") + " rehearsed"
            + (teachers == 0 ? "" : ", \(teachers) of their teachers looked at")
    }

    /// Whether its status page could be served there.
    public static func page(_ address: String, token: AccessToken?) throws(MonitorError) -> String {
        try StatusServer.checkFree(address: address, token: token)
        return "\(address) is free"
    }
}

extension ExaminedModel {
    /// Examines a plan's model and teachers as a start does, and stores nothing.
    /// - Parameter folder: for models that are timed, where a budget is milliseconds; it goes away again.
    public init(plan: Plan, measuringIn folder: String) throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try self.init(plan: plan, timer: ModelTimer(plan, directory: folder))
        _ = try TeacherRehearsal(blobs: nil).check(plan, students: stageEnds)
    }
}
