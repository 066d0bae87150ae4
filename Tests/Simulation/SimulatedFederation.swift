// A federation in memory: the real machines, a seeded network, clock, disk and crashes. Numerics are replaced by
// hashes: an update is a hash of (worker, round, snapshot, residual), a fold is a hash of the set of updates, so two
// runs end with the same snapshot exactly when the same contributions, with the same residuals, were counted once each.
//
// Invariant checked after every event: a round never counts a worker twice. What the network may do: delay, break a
// connection (losing what is in flight on it). Processes may die at any event and come back. Messages on one connection
// keep their order, as TCP does.

import Federation
import Tensors

/// What may go wrong, as probabilities per event.
public struct Faults: Sendable {
    public var connectionBreaks: Double
    public var coordinatorCrashes: Double
    public var workerCrashes: Double
    public var blobFailures: Double

    public init(
        connectionBreaks: Double = 0, coordinatorCrashes: Double = 0, workerCrashes: Double = 0,
        blobFailures: Double = 0
    ) {
        self.connectionBreaks = connectionBreaks
        self.coordinatorCrashes = coordinatorCrashes
        self.workerCrashes = workerCrashes
        self.blobFailures = blobFailures
    }

    public static let none = Faults()
}

/// How a simulated run ended.
public struct SimulatedOutcome: Sendable, Equatable {
    public var finished: Bool
    public var snapshot: Digest?
    public var history: [LedgerRecord]
    public var crashes: Int
    public var violations: [String]
}

public final class SimulatedFederation {
    enum Happening {
        case toCoordinator(WorkerMessage, worker: Int, connection: UInt64)
        case toWorker(CoordinatorMessage, worker: Int, connection: UInt64)
        case coordinatorBlob(Digest, worker: Int, connection: UInt64)
        case workerBlob(Digest, worker: Int, life: Int)
        case workerEvent(WorkerEvent, worker: Int, life: Int)
        case coordinatorEvent(CoordinatorEvent, life: Int)
        case connect(worker: Int, life: Int)
        case tick
    }

    struct SimulatedWorker {
        var machine: WorkerMachine
        var memory = WorkerMemory()
        var held: [Digest] = []
        var blobs: Set<Digest> = []
        var connection: UInt64 = 0
        var life = 0
        var isConnected = false
    }

    let plan: Plan
    let faults: Faults
    /// Faults stop at this time; from then on the run must finish.
    let calmAfter: Double
    var random: SeededGenerator
    var now = 0.0
    var queue: [(time: Double, order: Int, what: Happening)] = []
    var order = 0
    var records: [LedgerRecord]
    var coordinator: CoordinatorMachine
    var coordinatorLife = 0
    var workers: [SimulatedWorker] = []
    var sessions: [SessionID: Int] = [:]
    var nextConnection: UInt64 = 1
    var crashes = 0
    var ended = false
    var succeeded = false
    var violations: [String] = []

    public init(plan: Plan, workers count: Int, seed: UInt64, faults: Faults, calmAfter: Double = 200) {
        self.plan = plan
        self.faults = faults
        self.calmAfter = calmAfter
        random = SeededGenerator(seed: seed, labels: "simulation")
        let first = SnapshotFacts(
            version: 0, snapshot: BlobReference(digest: .simulated("first"), byteCount: 1000),
            graph: BlobReference(digest: .simulated("graph"), byteCount: 100), maskEpoch: 0, sparsity: 0)
        let model = ModelFacts(source: "simulated", parameters: 250, bytes: 1000, sampleShape: [], classes: nil)
        records = [
            .runStarted(run: "run", plan: plan.name, model: model, teachers: [:]), .snapshotPublished(first),
        ]
        coordinator = CoordinatorMachine(history: RunHistory(plan: plan, records: records))
        for index in 0..<count {
            workers.append(SimulatedWorker(machine: Self.machine(WorkerMemory(), held: [], at: 0)))
            schedule(.connect(worker: index, life: 0), in: 0.01)
        }
        schedule(.coordinatorEvent(.started, life: 0), in: 0)
        schedule(.tick, in: 0.25)
    }

    static func machine(_ memory: WorkerMemory, held: [Digest], at now: Double) -> WorkerMachine {
        WorkerMachine(
            hello: Hello(
                software: "simulated", trainingSamples: 10, testSamples: 10, classes: 2, sampleShape: [], threads: 1),
            memory: memory, held: held, patienceSeconds: 1e9, at: now)
    }

    /// Runs until the run ends or `limit` simulated seconds have passed.
    public func run(limit: Double = 5000) -> SimulatedOutcome {
        while !ended, now < limit, let next = popEarliest() {
            now = next.time
            happen(next.what)
            if now < calmAfter { injectFaults() }
            checkInvariants()
        }
        let history = RunHistory(plan: plan, records: records)
        return SimulatedOutcome(
            finished: succeeded, snapshot: history.snapshot?.snapshot.digest, history: records, crashes: crashes,
            violations: violations)
    }

    func schedule(_ what: Happening, in delay: Double) {
        queue.append((now + delay, order, what))
        order += 1
    }

    private func popEarliest() -> (time: Double, order: Int, what: Happening)? {
        guard
            let index = queue.indices.min(by: { (queue[$0].time, queue[$0].order) < (queue[$1].time, queue[$1].order) })
        else { return nil }
        return queue.remove(at: index)
    }

    func chance(_ probability: Double) -> Bool { Double(random.uniform()) < probability }

    private func happen(_ what: Happening) {
        switch what {
        case .toCoordinator(let message, let worker, let connection):
            guard workers[worker].connection == connection else { return }
            // The wire format is part of what is simulated.
            guard let message = try? WorkerMessage(decoding: message.encoded()) else {
                return violations.append("a worker message does not survive its encoding")
            }
            toCoordinator(.received(message, session: SessionID(connection), worker: "w\(worker)"))
        case .toWorker(let message, let worker, let connection):
            guard workers[worker].connection == connection, workers[worker].isConnected else { return }
            guard let message = try? CoordinatorMessage(decoding: message.encoded()) else {
                return violations.append("a coordinator message does not survive its encoding")
            }
            toWorker(.received(message), worker)
        case .coordinatorBlob(let digest, let worker, let connection):
            guard workers[worker].connection == connection else { return }
            let failed = chance(now < calmAfter ? faults.blobFailures : 0)
            let session = SessionID(connection)
            toCoordinator(
                failed
                    ? .blobFailed(digest, session: session, .broken(reason: "simulated"))
                    : .blobArrived(digest, session: session))
        case .workerBlob(let digest, let worker, let life):
            guard workers[worker].life == life else { return }
            if chance(now < calmAfter ? faults.blobFailures : 0) {
                return toWorker(.blobFailed(digest, reason: "simulated"), worker)
            }
            workers[worker].blobs.insert(digest)
            toWorker(.blobArrived(digest), worker)
        case .workerEvent(let event, let worker, let life):
            if workers[worker].life == life { toWorker(event, worker) }
        case .coordinatorEvent(let event, let life):
            if life == coordinatorLife { toCoordinator(event) }
        case .connect(let worker, let life):
            guard workers[worker].life == life else { return }
            workers[worker].connection = nextConnection
            nextConnection += 1
            workers[worker].isConnected = true
            sessions[SessionID(workers[worker].connection)] = worker
            toWorker(.connected, worker)
        case .tick:
            toCoordinator(.ticked)
            for worker in workers.indices { toWorker(.ticked, worker) }
            schedule(.tick, in: 0.25)
        }
    }

    private func injectFaults() {
        if chance(faults.connectionBreaks) { breakConnection(random.index(below: workers.count)) }
        if chance(faults.workerCrashes) { crashWorker(random.index(below: workers.count)) }
        if chance(faults.coordinatorCrashes) { crashCoordinator() }
    }

    private func checkInvariants() {
        var counted: Set<String> = []
        for case .contributionAccepted(let facts) in records
        where !counted.insert("\(facts.round)/\(facts.worker)").inserted {
            violations.append("round \(facts.round) counts \(facts.worker) twice")
        }
    }
}

extension Digest {
    /// A digest-shaped hash for simulations (FNV-1a, four lanes); not cryptographic.
    public static func simulated(_ text: String) -> Digest {
        var bytes: [UInt8] = []
        for lane in 0..<4 {
            var generator = SeededGenerator(seed: UInt64(lane), labels: text)
            let value = generator.next()
            for shift in stride(from: 0, to: 64, by: 8) {
                bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(shift)))
            }
        }
        guard let digest = Digest(bytes: bytes) else { preconditionFailure("32 bytes are a digest") }
        return digest
    }
}
