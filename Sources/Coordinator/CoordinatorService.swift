import Compression
import Engine
import Federation
import Foundation
import Ledger
import Monitor
import Tensors
import Transport
import UpdateCodec

/// The coordinator's shell: feeds events to a `CoordinatorMachine` and performs its actions in order. Holds no protocol
/// decision; numerics run on a thread of their own and answer with events.
public actor CoordinatorService {
    let options: CoordinatorOptions
    let state: RunState
    let server: Server
    let sink: @Sendable (LogEvent) -> Void
    private let inputs: AsyncStream<ShellInput>
    let feed: AsyncStream<ShellInput>.Continuation
    let numerics: NumericsThread
    let shared: SharedBlobs
    var machine: CoordinatorMachine
    var peers = PeerTable()
    var openContributions: [ContributionFacts]
    /// Blobs asked of workers since the last step; what the ledger does not name by its end is removed.
    var fetched: Set<Digest> = []
    private var outcome: CoordinatorOutcome?
    /// What the page was last told of the rounds so far.
    private var course: RunCourse?
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

    /// The run as the status page and `/metrics` show it.
    public func picture() -> RunPicture {
        if course?.revision != machine.history.revision { course = RunCourse(history: machine.history) }
        let newest = course ?? RunCourse(history: machine.history)
        return RunPicture(
            status: status(), course: newest, times: machine.history.roundTimes, layers: numerics.layers.newest)
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
        let server = try StatusServer(address: address, token: options.httpToken) { [self] in await self.picture() }
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
                    "roundsCompleted": .int(history.roundsClosed), "roundsPlanned": .int(history.roundsExpected),
                ]))
    }
}
