import Compression
import Engine
import Federation
import Foundation
import Ledger
import Monitor
import Tensors
import Transport
import UpdateCodec

/// How to start a coordinator.
public struct CoordinatorOptions: Sendable {
    public var plan: Plan
    public var planText: String
    /// Where the plan was read; paths in it are relative to its folder.
    public var planPath: String
    public var bind: String
    public var state: String
    /// Address of the status page; nil for none.
    public var http: String?
    /// Threads that fold and compress.
    public var threads: Int

    public init(
        plan: Plan, planText: String, planPath: String, bind: String, state: String, http: String?, threads: Int = 1
    ) {
        self.plan = plan
        self.planText = planText
        self.planPath = planPath
        self.bind = bind
        self.state = state
        self.http = http
        self.threads = threads
    }
}

/// How a coordinator's process ended.
public struct CoordinatorOutcome: Sendable {
    public var succeeded: Bool
    public var reason: String
    public var failure: RunFailure?
    /// The closing figures, when the run finished.
    public var report: Report?
}

/// The coordinator's shell: feeds events to a `CoordinatorMachine` and performs its actions in order. Holds no protocol
/// decision; numerics run on a thread of their own and answer with events.
public actor CoordinatorService {
    private let options: CoordinatorOptions
    private let state: RunState
    private let server: Server
    private let sink: @Sendable (LogEvent) -> Void
    private let inputs: AsyncStream<ShellInput>
    private let feed: AsyncStream<ShellInput>.Continuation
    private let numerics: NumericsThread
    private let shared: SharedBlobs
    private var machine: CoordinatorMachine
    private var peers = PeerTable()
    private var openContributions: [ContributionFacts]
    /// Blobs asked of workers since the last step; what the ledger does not name by its end is removed.
    private var fetched: Set<Digest> = []
    private var outcome: CoordinatorOutcome?
    private let startedAt = ContinuousClock.now

    /// What reaches the loop.
    enum ShellInput: Sendable {
        case event(CoordinatorEvent)
        case transport(ServerEvent)
        case computed(ComputedStep)
    }

    /// Binds the socket, opens the state, checks the model. Throws before anything is half-done: nothing of a run is
    /// written before the socket is bound.
    public init(_ options: CoordinatorOptions, sink: @escaping @Sendable (LogEvent) -> Void) throws {
        self.options = options
        self.sink = sink
        EngineRuntime.setThreads(1)
        // Before the first thread: what malloc gave a thread of its own it keeps.
        EngineRuntime.returnFreedMemory()
        let lock = try RunState.lock(directory: options.state)
        let keys = try CoordinatorKeys.open(directory: options.state + "/keys")
        publicKey = keys.pair.publicKey
        (inputs, feed) = AsyncStream.makeStream(of: ShellInput.self)
        let feed = feed
        shared = SharedBlobs()
        let allowList = keys.allowList
        server = try Server(
            bind: options.bind, keys: keys.pair, allow: { allowList.lookup($0) }, limits: Limits(options.plan.limits),
            blobs: shared.access)
        do {
            state = try RunState.open(
                directory: options.state, lock: lock, plan: options.plan, planText: options.planText,
                planPath: options.planPath)
        } catch {
            shared.open(nil)
            throw error
        }
        shared.publish(state.history)
        shared.open(state.blobs)
        guard let facts = state.history.snapshot else { preconditionFailure("an opened run has a snapshot") }
        machine = CoordinatorMachine(history: state.history)
        openContributions = state.history.openRound?.accepted ?? []
        numerics = try NumericsThread(plan: options.plan, state: state, facts: facts, threads: options.threads) {
            feed.yield($0)
        }
        try AtomicFile.write(Array((server.endpoint + "\n").utf8), to: options.state + "/endpoint")
    }

    /// Where workers connect.
    public nonisolated var endpoint: String { server.endpoint }
    public nonisolated let publicKey: String

    /// Asks the coordinator to stop; the run can be resumed.
    public nonisolated func stop() { feed.yield(.event(.stopRequested)) }

    /// The run as the status page shows it.
    public func status() -> RunStatus {
        var status = machine.status(at: now)
        let counters = server.counters
        if status.state != "finished" {
            status.wireBytesUp = max(status.wireBytesUp, machine.history.traffic.wireBytesUp + uncommitted(counters).up)
            status.wireBytesDown = max(
                status.wireBytesDown, machine.history.traffic.wireBytesDown + uncommitted(counters).down)
        }
        return status
    }

    private func uncommitted(_ counters: TransportCounters) -> (up: Int, down: Int) {
        let committed = machine.committedWireBytes
        return (max(0, counters.bytesReceived - committed.up), max(0, counters.bytesSent - committed.down))
    }

    /// Runs to the end of the plan, or until stopped or failed.
    public func run() async throws -> CoordinatorOutcome {
        defer { try? FileManager.default.removeItem(atPath: options.state + "/endpoint") }
        let statusServer = try await startStatusServer()
        let feed = feed
        let server = server
        // What the network brings waits in the transport's bounded queue until it is taken here, one after another.
        let forwarding = Task { for await event in server.events { self.take(.transport(event)) } }
        let ticking = Task {
            while !Task.isCancelled {
                try? await Task.sleep(for: .milliseconds(250))
                feed.yield(.event(.ticked))
            }
        }
        logStart()
        take(.event(.started))
        for await input in inputs {
            take(input)
            if outcome != nil { break }
        }
        ticking.cancel()
        numerics.finish()
        server.close()
        forwarding.cancel()
        await statusServer?.stop()
        return outcome ?? CoordinatorOutcome(succeeded: false, reason: "the event stream ended", failure: .stopped)
    }

    /// Feeds one input to the machine and carries out what it says; nothing more once the run has ended.
    private func take(_ input: ShellInput) {
        guard outcome == nil else { return }
        for event in events(of: input) {
            for action in machine.receive(event, at: now) {
                guard let end = perform(action) else { continue }
                outcome = end
                feed.finish()
                return
            }
        }
    }

    private var now: Double { (ContinuousClock.now - startedAt) / .seconds(1) }

    private func startStatusServer() async throws -> StatusServer? {
        guard let address = options.http else { return nil }
        let server = try StatusServer(address: address) { [self] in
            await self.status()
        }
        try await server.start()
        return server
    }

    private func logStart() {
        let history = machine.history
        sink(
            LogEvent(
                state.isResumed ? "run.resumed" : "run.started",
                [
                    "run": .string(history.run ?? ""), "plan": .string(options.plan.name),
                    "seed": .string(String(options.plan.seed)), "stages": .strings(options.plan.stages.map(\.kind)),
                    "workers": .int(options.plan.fleet.workers), "model": .string(history.model?.source ?? ""),
                    "parameters": .int(history.model?.parameters ?? 0), "endpoint": .string(server.endpoint),
                    "roundsCompleted": .int(history.roundsClosed), "roundsPlanned": .int(options.plan.roundsPlanned),
                ]))
    }

    /// Translates what arrived into machine events.
    private func events(of input: ShellInput) -> [CoordinatorEvent] {
        switch input {
        case .event(let event): return [event]
        case .computed(let step):
            let counters = server.counters
            return [.stepComputed(step, wireBytesUp: counters.bytesReceived, wireBytesDown: counters.bytesSent)]
        case .transport(let event): return transportEvents(event)
        }
    }

    private func transportEvents(_ event: ServerEvent) -> [CoordinatorEvent] {
        switch event {
        case .message(let peer, let bytes):
            guard let worker = peer.name else { return [] }
            let session = peers.begin(peer)
            do {
                return [.received(try WorkerMessage(decoding: bytes), session: session, worker: worker)]
            } catch {
                return [.malformed(reason: "\(error)", session: session, worker: worker)]
            }
        case .departed(let peer): return peers.end(peer).map { [.departed(session: $0)] } ?? []
        case .blobArrived(let peer, let digest):
            guard let digest = Digest(bytes: digest), let session = peers.session(of: peer) else { return [] }
            return [.blobArrived(digest, session: session)]
        case .blobProgress(let peer, let digest, _, _):
            guard let digest = Digest(bytes: digest), let session = peers.session(of: peer) else { return [] }
            return [.blobProgressed(digest, session: session)]
        // Our own disk's failure is no worker's: the run stops, and goes on from here once it is mended.
        case .blobFailed(_, _, .storage(let reason, let isDiskFull)):
            return [.failed(reason: reason, isDiskFull ? .diskFull : .corruptState)]
        case .blobFailed(let peer, let digest, let failure):
            guard let digest = Digest(bytes: digest), let session = peers.session(of: peer) else { return [] }
            return [.blobFailed(digest, session: session, BlobFault(failure))]
        case .turnedAway(let key, let address, let reason):
            sink(
                LogEvent(
                    "worker.refused", level: .warning,
                    [
                        "key": .string(key), "address": .string(address),
                        "reason": .string(reason.advice(key: key, options)),
                    ]))
            return []
        case .violation(let peer, let what, let count):
            let message = count == 1 ? what : "\(what) (\(count) violations since the last that was told)"
            sink(
                LogEvent(
                    "diagnostic", level: .warning,
                    ["worker": .string(peer.name ?? "unknown"), "message": .string(message)]))
            return []
        // A peer that does not read loses its messages; its lease runs out by itself. The run is not its to end.
        case .failed(.unsentMessages(let count, _)):
            sink(
                LogEvent(
                    "diagnostic", level: .warning, ["message": .string("\(count) messages to a peer were dropped")]))
            return []
        case .failed(let error): return [.failed(reason: "\(error)", .network)]
        case .blobSent: return []
        }
    }

    /// Does one action; returns the outcome when the machine is done.
    private func perform(_ action: CoordinatorAction) -> CoordinatorOutcome? {
        switch action {
        case .commit(let records):
            do {
                try state.ledger.append(records)
                shared.publish(machine.history)
                try tidy(after: records)
            } catch {
                // Without the ledger nothing may be promised: stop here; the folder resumes from its last record.
                sink(LogEvent("run.failed", level: .error, ["reason": .string("\(error)")]))
                return CoordinatorOutcome(succeeded: false, reason: "\(error)", failure: RunFailure(error))
            }
        case .send(let message, let session):
            if let peer = peers.peer(of: session) { server.send(message.encoded(), to: peer) }
        case .fetch(let blob, let session):
            fetched.insert(blob.digest)
            if let peer = peers.peer(of: session) {
                server.fetch(digest: blob.digest.bytes, byteCount: blob.byteCount, from: peer)
            } else {
                feed.yield(.event(.departed(session: session)))
            }
        case .openFold(let rule, _, let base, let restoring): numerics.openFold(rule, base: base, restoring: restoring)
        case .examine(let facts): numerics.examine(facts)
        case .compute(let computation): numerics.compute(computation)
        case .export: numerics.export(machine.history)
        case .log(var event):
            if event.name == EventName.roundClosed {
                event.fields.append(("residentBytes", .int(ProcessMemory.residentBytes)))
            }
            sink(event)
        case .finish(let succeeded, let reason, let failure):
            return finish(succeeded: succeeded, reason: reason, failure: failure)
        }
        return nil
    }

    /// Removes blobs that the committed records made obsolete; the ledger no longer names them.
    private func tidy(after records: [LedgerRecord]) throws {
        for record in records {
            if case .contributionAccepted(let facts) = record { openContributions.append(facts) }
            guard case .stepFinished = record else { continue }
            // Equal results have one blob: another worker's may still wait for its examination.
            for digest in machine.history.blobsMadeObsolete(by: record, contributions: openContributions)
            where !machine.blobsInFlight.contains(digest) {
                try state.blobs.remove(digest)
            }
            openContributions = []
            try removeStrays()
        }
    }

    /// Removes what workers sent in vain: refused results and those that came too late.
    private func removeStrays() throws {
        let needed = machine.history.namedBlobs.union(machine.blobsInFlight)
        for digest in fetched.subtracting(needed) { try state.blobs.discard(digest) }
        fetched.formIntersection(needed)
    }

    private func finish(succeeded: Bool, reason: String, failure: RunFailure?) -> CoordinatorOutcome {
        guard succeeded else { return CoordinatorOutcome(succeeded: false, reason: reason, failure: failure) }
        let report = Report(history: machine.history)
        sink(report.finishedEvent)
        return CoordinatorOutcome(succeeded: true, reason: reason, report: report)
    }
}
