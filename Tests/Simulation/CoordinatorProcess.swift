import Federation
import Tensors

/// The coordinator: what dies with its process and what is on its disk.
struct CoordinatorProcess {
    /// One thing for the numerics thread.
    enum Job {
        case openFold(
            FoldRule, round: Int, base: SnapshotFacts, restoring: [ContributionFacts], widths: [ModelWidth])
        case examine(ContributionFacts)
        case compute(StepComputation)
        case export
    }

    // Durable.
    var records: [LedgerRecord]
    var disk = SimulatedDisk()

    // Of the process.
    var machine: CoordinatorMachine
    var life = 0
    var isUp = false
    var clock: SimulatedClock
    var stalledUntil = 0.0
    var sessions: [UInt64: SessionID] = [:]
    var connections: [SessionID: (connection: UInt64, peer: Int)] = [:]
    var nextSession: UInt64 = 1
    var openContributions: [ContributionFacts] = []
    var fetched: Set<Digest> = []
    var shared: Set<Digest> = []
    /// Clock's time of the last word about the open round.
    var lastWordAt = 0.0

    // Of its numerics thread.
    var jobs: [Job] = []
    var foldRound: Int?
    var foldSum: UInt64 = 0
    /// From a step's computation to the next step.
    var isComputing = false

    init(plan: Plan, records: [LedgerRecord]) {
        self.records = records
        machine = CoordinatorMachine(history: RunHistory(plan: plan, records: records))
        var random = SeededGenerator(seed: 0)
        clock = SimulatedClock(bornAt: 0, random: &random)
        for content in [SimulatedNumerics.firstSnapshot, SimulatedNumerics.graph, SimulatedNumerics.teacher] {
            disk.put(.simulated(content))
        }
    }

    /// Whether workers may read a blob, and it is there.
    func shares(_ digest: Digest) -> Bool { shared.contains(digest) && disk.contains(digest) }

    /// Makes everything the history has published readable.
    mutating func publish() {
        let history = machine.history
        shared = Set(history.teachers.values.map(\.digest) + history.widthChanges)
        for facts in history.snapshots {
            shared.insert(facts.snapshot.digest)
            shared.insert(facts.graph.digest)
            if let delta = facts.delta { shared.insert(delta.blob.digest) }
        }
        if let compact = history.compact {
            shared.insert(compact.digest)
        }
    }
}

extension SimulatedWorld {
    /// What `SimulatedWorld` says of a run that does not finish.
    var status: String {
        guard coordinator.isUp else { return "the coordinator is down" }
        let status = coordinator.machine.status(at: coordinator.clock.local(now))
        let round = status.round.map { "round \($0.number) (\($0.task)): " } ?? ""
        return round + (status.waitingFor ?? status.state)
    }

    // MARK: Life

    func startCoordinator() {
        guard !coordinator.isUp else { return }
        tell("the coordinator starts")
        let history = RunHistory(plan: plan, records: coordinator.records)
        coordinator.life += 1
        coordinator.isUp = true
        coordinator.stalledUntil = 0
        coordinator.clock = SimulatedClock(bornAt: now, random: &random)
        coordinator.machine = CoordinatorMachine(history: history)
        coordinator.sessions = [:]
        coordinator.connections = [:]
        coordinator.nextSession = 1
        coordinator.openContributions = history.openRound?.accepted ?? []
        coordinator.fetched = []
        coordinator.jobs = []
        coordinator.foldRound = nil
        coordinator.isComputing = false
        coordinator.lastWordAt = coordinator.clock.local(now)
        // An open round's uploads are still arriving: they go on at their offsets.
        if history.openRound == nil { coordinator.disk.keepOnly(history.namedBlobs) }
        checkBlobs(of: history)
        coordinator.publish()
        toCoordinator(.started)
        // It may have died at its first action.
        if coordinator.isUp { schedule(.coordinatorTick(life: coordinator.life), in: tickSeconds) }
    }

    /// Ends the process, whatever it was doing; only what is durable is left.
    func killCoordinator(losingPower: Bool, restartIn delay: Double) {
        guard coordinator.isUp else { return }
        tell(losingPower ? "the coordinator loses power" : "the coordinator dies")
        checkReplay(isAtRest: false)
        coordinator.isUp = false
        coordinator.life += 1
        if losingPower {
            if broken == .losesLastRecord, coordinator.records.count > 2 { coordinator.records.removeLast() }
            for digest in coordinator.disk.partialNames {
                note(.tornBlob)
                coordinator.disk.tear(digest, at: random.integer(0...coordinator.disk.received(digest)))
            }
        }
        for peer in links.indices { breakConnection(peer) }
        schedule(.startCoordinator, in: delay)
    }

    var tickSeconds: Double { workers.count <= 6 ? 0.25 : 1 }

    func tickCoordinator(life: Int) {
        guard life == coordinator.life else { return }
        schedule(.coordinatorTick(life: life), in: tickSeconds / coordinator.clock.rate)
        if broken != .neverTicks { toCoordinator(.ticked) }
        checkWaiting()
        if random.chance(0.01) { checkReplay(isAtRest: true) }
    }

    // MARK: What arrives

    func deliverUp(_ bytes: [UInt8], connection: UInt64, peer: Int) {
        guard coordinator.isUp, links[peer].connection == connection else { return }
        let blockedUntil = links[peer].upBlockedUntil
        guard blockedUntil <= now else {
            guard links[peer].holdsMessages else { return note(.messageLost) }
            return queue.push(.toCoordinator(bytes, connection: connection, peer: peer), at: blockedUntil)
        }
        let session = session(of: connection, peer)
        do {
            let message = try WorkerMessage(decoding: bytes)
            toCoordinator(.received(message, session: session, worker: name(peer)))
        } catch {
            toCoordinator(.malformed(reason: "\(error)", session: session, worker: name(peer)))
        }
    }

    /// A session begins with a peer's first message.
    private func session(of connection: UInt64, _ peer: Int) -> SessionID {
        if let session = coordinator.sessions[connection] { return session }
        let session = SessionID(coordinator.nextSession)
        coordinator.nextSession += 1
        coordinator.sessions[connection] = session
        coordinator.connections[session] = (connection, peer)
        return session
    }

    func depart(_ connection: UInt64) {
        guard let session = coordinator.sessions.removeValue(forKey: connection) else { return }
        coordinator.connections[session] = nil
        toCoordinator(.departed(session: session))
    }

    func transferArrived(_ digest: Digest, _ connection: UInt64) -> Happening {
        let session = coordinator.sessions[connection] ?? SessionID(0)
        return .coordinatorEvent(.blobArrived(digest, session: session), life: coordinator.life)
    }

    func uploadFailed(_ transfer: Transfer, isWrong: Bool) -> CoordinatorEvent? {
        coordinator.sessions[transfer.connection].map {
            let fault = isWrong ? BlobFault.wrong(reason: "simulated") : .broken(reason: "simulated")
            return .blobFailed(transfer.blob.digest, session: $0, fault)
        }
    }

    func progressed(_ transfer: Transfer) {
        if transfer.isUp {
            guard let session = coordinator.sessions[transfer.connection] else { return }
            toCoordinator(.blobProgressed(transfer.blob.digest, session: session))
        } else {
            let share = Double(transfer.offset) / Double(transfer.blob.byteCount)
            toWorker(.blobProgressed(share: share), workers[transfer.peer])
        }
    }
}
