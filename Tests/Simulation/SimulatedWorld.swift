// A whole federation in memory, decided by one seed: the real machines behind simulated shells, network, clocks, disks
// and crashes (after TigerBeetle's VOPR and FoundationDB's simulation).
//
// What is simulated: everything in `SimulatedFault`. One coordinator and 1 to 50 workers, some of them hostile, on
// connections with delay, loss, duplication and reordering; blobs that take their time, break off and resume; processes
// with clocks of their own that stall, die between any two actions (losing what was not synced when the power fails) and
// are started again; disks that fill up. At a time the seed chooses all of it stops.
//
// Invariants, checked as things happen (`LedgerMirror`, `SimulatedWorld+Checks`):
// - (round, worker) is accepted at most once, in the round that is open, and rounds take no more than the plan says;
// - a snapshot is made of exactly the contributions that the ledger accepted for it, each counted once;
// - a worker's residual is the one that follows from its accepted contributions: never skipped, repeated or ahead;
// - at most one step is in progress, and no completed round is repeated;
// - nothing is sent that depends on a fact before the fact is durable, on either side;
// - the ledger replays to the history the live machine has, and the blobs it needs are there;
// - an open round is explained at least every ten seconds; another's session is refused;
// - once nothing goes wrong any more the run finishes in bounded time, and where every honest worker must contribute to
//   every round, with the snapshot of the undisturbed run.
//
// Left out: real numbers (`SimulatedNumerics` hashes instead), files below the level of a blob, keys (a worker's name is
// what the transport says it is), several coordinators.

import Federation
import Tensors

/// How a simulated run ended.
public struct SimulationOutcome: Sendable {
    public let seed: UInt64
    public var finished = false
    public var violations: [String] = []
    public var faults = FaultCounts()
    public var snapshot: Digest?
    public var roundsClosed = 0
    public var events = 0
    public var simulatedSeconds = 0.0
    /// Depends on every event and its time: equal runs have equal fingerprints.
    public var fingerprint: UInt64 = 0
}

public final class SimulatedWorld {
    enum Happening {
        case startCoordinator
        case coordinatorTick(life: Int)
        case coordinatorEvent(CoordinatorEvent, life: Int)
        case numericsDone(life: Int)
        case toCoordinator([UInt8], connection: UInt64, peer: Int)
        case departed(connection: UInt64, life: Int)
        case startWorker(Int)
        case workerTick(Int, life: Int)
        case workerEvent(WorkerEvent, worker: Int, life: Int)
        case taskStep(Int, life: Int)
        case toWorker([UInt8], connection: UInt64, peer: Int)
        case connect(peer: Int, life: Int)
        case noticeBreak(peer: Int, life: Int)
        case transfer(Int)
        case hostileAct(Int)
        case blow
        case calm
    }

    let scenario: SimulationScenario
    let plan: Plan
    let broken: BrokenShell?
    let trace: ((String) -> Void)?
    /// Takes what the machines log: the event, and whose log it stands in.
    let log: ((LogEvent, String) -> Void)?
    var random: SeededGenerator
    var now = 0.0
    var queue = EventHeap<Happening>()
    var isCalm: Bool
    var isOver = false
    var outcome: SimulationOutcome
    var coordinator: CoordinatorProcess
    var workers: [WorkerProcess] = []
    var hostile: [HostileProcess] = []
    /// By peer: honest workers first, then hostile ones.
    var links: [SimulatedLink] = []
    var peerOfName: [String: Int] = [:]
    var nextConnection: UInt64 = 1
    var transfers: [Int: Transfer] = [:]
    var nextTransfer = 0
    var mirror: LedgerMirror
    var results: [Digest: ResultTruth] = [:]
    /// The last messages of honest workers, for those who repeat what others said.
    var overheard: [[UInt8]] = []

    public init(
        _ scenario: SimulationScenario, broken: BrokenShell? = nil, trace: ((String) -> Void)? = nil,
        log: ((LogEvent, String) -> Void)? = nil
    ) {
        self.scenario = scenario
        self.broken = broken
        self.trace = trace
        self.log = log
        plan = scenario.plan
        random = SeededGenerator(seed: scenario.seed, labels: "world")
        outcome = SimulationOutcome(seed: scenario.seed)
        isCalm = scenario.calmAt == 0
        let records = SimulatedNumerics.records(of: plan, withRecipe: random.chance(0.3))
        mirror = LedgerMirror(plan: plan, honestWorkers: scenario.honestWorkers)
        coordinator = CoordinatorProcess(plan: plan, records: records)
        for record in records { if let fault = mirror.commit(record, world: nil) { preconditionFailure(fault) } }
        for index in 0..<scenario.honestWorkers {
            workers.append(WorkerProcess(index, random: &random))
            addPeer(workers[index].name)
            queue.push(.startWorker(index), at: random.between(0, 0.5))
        }
        for (index, kind) in scenario.hostile.enumerated() {
            hostile.append(HostileProcess(index, kind, peer: links.count))
            addPeer(hostile[index].name)
            queue.push(.connect(peer: hostile[index].peer, life: 0), at: random.between(0, 2))
            queue.push(.hostileAct(index), at: random.between(1, 3))
        }
        queue.push(.startCoordinator, at: 0)
        if !isCalm {
            queue.push(.calm, at: scenario.calmAt)
            if !scenario.rates.blows.isEmpty { queue.push(.blow, at: random.between(0, scenario.rates.blowSeconds)) }
        }
    }

    private func addPeer(_ name: String) {
        peerOfName[name] = links.count
        links.append(SimulatedLink(rates: scenario.rates, random: &random))
    }

    /// Runs until the run has finished, an invariant is violated or the time is up.
    public func run() -> SimulationOutcome {
        let limit = scenario.calmAt + scenario.boundSeconds
        while !isOver, outcome.violations.isEmpty, let entry = queue.pop() {
            if let until = stall(of: entry.event), until > entry.time {
                queue.postpone(entry, to: until)
                continue
            }
            now = entry.time
            guard now <= limit else {
                violate("the run has not finished \(Int(scenario.boundSeconds)) s after the last fault: \(status)")
                break
            }
            outcome.events += 1
            outcome.fingerprint = mixed(outcome.fingerprint, now.bitPattern)
            happen(entry.event)
        }
        outcome.simulatedSeconds = now
        outcome.snapshot = mirror.snapshots.last.map { .simulated($0) }
        outcome.roundsClosed = mirror.roundsClosed
        return outcome
    }

    func schedule(_ event: Happening, in delay: Double) { queue.push(event, at: now + delay) }

    func note(_ fault: SimulatedFault) { outcome.faults.note(fault) }

    func violate(_ what: String) {
        outcome.violations.append(what)
        tell("VIOLATION \(what)")
    }

    func tell(_ line: @autoclosure () -> String) {
        guard let trace else { return }
        trace(
            "\(String(repeating: " ", count: max(0, 9 - "\(Int(now * 1000))".count)))\(Int(now * 1000)) ms  \(line())")
    }

    /// When the process that an event is for goes on, if it is stalled.
    private func stall(of event: Happening) -> Double? {
        switch event {
        case .coordinatorTick, .coordinatorEvent, .toCoordinator, .departed: coordinator.stalledUntil
        case .workerTick(let index, _), .workerEvent(_, let index, _): workers[index].stalledUntil
        case .toWorker(_, _, let peer), .noticeBreak(let peer, _):
            peer < workers.count ? workers[peer].stalledUntil : nil
        case .startCoordinator, .numericsDone, .startWorker, .taskStep, .connect, .transfer, .hostileAct, .blow, .calm:
            nil
        }
    }

    private func happen(_ event: Happening) {
        switch event {
        case .startCoordinator: startCoordinator()
        case .coordinatorTick(let life): tickCoordinator(life: life)
        case .coordinatorEvent(let event, let life): if life == coordinator.life { toCoordinator(event) }
        case .numericsDone(let life): if life == coordinator.life { finishNumerics() }
        case .toCoordinator(let bytes, let connection, let peer): deliverUp(bytes, connection: connection, peer: peer)
        case .departed(let connection, let life): if life == coordinator.life { depart(connection) }
        case .startWorker(let index): startWorker(workers[index])
        case .workerTick(let index, let life): tickWorker(workers[index], life: life)
        case .workerEvent(let event, let index, let life):
            if workers[index].life == life { toWorker(event, workers[index]) }
        case .taskStep(let index, let life): if workers[index].life == life { stepTask(workers[index]) }
        case .toWorker(let bytes, let connection, let peer): deliverDown(bytes, connection: connection, peer: peer)
        case .connect(let peer, let life): connect(peer, life: life)
        case .noticeBreak(let peer, let life): noticeBreak(peer, life: life)
        case .transfer(let id): stepTransfer(id)
        case .hostileAct(let index): act(hostile[index])
        case .blow: blow()
        case .calm: becomeCalm()
        }
    }
}
