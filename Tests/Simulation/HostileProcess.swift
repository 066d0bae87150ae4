import Federation
import Tensors

/// What a worker that is allowed and means no good, or is broken, does all the time.
enum HostileKind: CaseIterable, Sendable {
    case garbage, mutator, replayer, wrongRounds, hugeClaims, badMetrics, badResults, neverSends, flooder
    case heartbeatsOnly, decliner, leaseThief, oldVersion, forger
}

/// A worker with a key of its own, hence a name of its own, and no machine.
final class HostileProcess {
    let index: Int
    let name: String
    let kind: HostileKind
    let peer: Int
    var offer: TaskOffer?
    var isWelcome = false

    init(_ index: Int, _ kind: HostileKind, peer: Int) {
        self.index = index
        self.kind = kind
        self.peer = peer
        name = "x\(index)"
    }

    /// Whether its blobs are announced and never come.
    var sendsNoBlobs: Bool { kind == .neverSends }

    /// One in three stays to the end: what it does must not keep a run from finishing.
    var staysWhenCalm: Bool { index == 0 }

    func hear(_ message: CoordinatorMessage) {
        switch message {
        case .welcome: isWelcome = true
        case .task(let offer): self.offer = offer
        case .verdict, .withdrawal: offer = nil
        case .refusal, .wait, .finished: break
        }
    }
}

extension SimulatedWorld {
    func greet(_ process: HostileProcess) {
        process.isWelcome = false
        process.offer = nil
        say(hello(process), process)
    }

    private func hello(_ process: HostileProcess) -> WorkerMessage {
        var hello = WorkerProcess.hello(1000)
        if process.kind == .oldVersion {
            note(.hostileVersion)
            hello.minimumVersion = 0
            hello.maximumVersion = 0
        }
        return .hello(hello)
    }

    private func say(_ message: WorkerMessage, _ process: HostileProcess) {
        sendUp(message.encoded(), from: process.peer)
    }

    /// One act; the next follows soon.
    func act(_ process: HostileProcess) {
        if isCalm, !process.staysWhenCalm { return }
        schedule(.hostileAct(process.index), in: isCalm ? 2 : random.between(0.2, 2))
        guard links[process.peer].connection != 0 else { return }
        let round = process.offer?.round ?? mirror.openRound ?? 0
        if process.isWelcome, process.offer == nil { say(.ready(held: []), process) }
        switch process.kind {
        case .garbage:
            note(.hostileGarbage)
            sendUp(
                (0..<random.integer(0...200)).map { _ in UInt8(truncatingIfNeeded: random.next()) }, from: process.peer)
        case .mutator: mutate(process, round)
        case .replayer:
            guard !overheard.isEmpty else { return }
            note(.hostileReplay)
            sendUp(random.pick(overheard), from: process.peer)
        case .wrongRounds:
            note(.hostileRound)
            submit(process, round: random.pick([round + 1, round - 1, 0, 1 << 39, round + 100].filter { $0 >= 0 }))
        case .hugeClaims:
            note(.hostileSize)
            submit(process, round: round, byteCount: random.pick([4 << 30, 1 << 31, 0]))
        case .badMetrics:
            note(.hostileMetrics)
            submit(process, round: round, metrics: badMetrics())
        case .badResults:
            note(.hostileResult)
            submit(process, round: round)
        case .neverSends: submit(process, round: round)
        case .flooder:
            note(.hostileFlood)
            for _ in 0..<20 { say(random.chance(0.5) ? .ready(held: []) : hello(process), process) }
        case .heartbeatsOnly:
            note(.hostileHeartbeat)
            say(.heartbeat(round: round, progress: random.between(0, 1)), process)
        case .decliner:
            note(.hostileDecline)
            say(.decline(round: round, reason: "no"), process)
            process.offer = nil
        case .leaseThief:
            note(.hostileClaim)
            say(.heartbeat(round: max(0, round + random.integer(-2...2)), progress: 1), process)
            submit(process, round: max(0, round - 1))
        case .oldVersion: say(hello(process), process)
        case .forger: forge(process, round)
        }
    }

    private func submit(
        _ process: HostileProcess, round: Int, byteCount: Int = SimulatedNumerics.resultBytes,
        metrics: TaskMetrics? = nil
    ) {
        let content = mixed(UInt64(process.index), UInt64(round), 31)
        let blob = SimulatedNumerics.reference(content, byteCount)
        // Something is there to be fetched: it is an update for a snapshot that never was.
        if process.kind == .badResults {
            results[blob.digest] = ResultTruth(
                worker: nil, round: round, base: 1, residual: 0, nextResidual: 0, isTraining: true)
        }
        let carriesBlob = process.offer?.work.yieldsBlob ?? random.chance(0.8)
        let metrics = metrics ?? TaskMetrics(samples: 1000, measured: 1000)
        say(.submission(Submission(round: round, blob: carriesBlob ? blob : nil, metrics: metrics)), process)
    }

    private func badMetrics() -> TaskMetrics {
        switch random.index(below: 5) {
        case 0: TaskMetrics(samples: 1 << 40)
        case 1: TaskMetrics(samples: 0)
        case 2: TaskMetrics(samples: 10, lossSum: .nan, measured: 10)
        case 3: TaskMetrics(samples: 10, lossSum: 1e308, correct: 10, measured: 1 << 40)
        default: TaskMetrics(samples: 10, lossSum: -.infinity, residualNorm: .infinity)
        }
    }

    private func mutate(_ process: HostileProcess, _ round: Int) {
        note(.hostileMutation)
        let message: WorkerMessage =
            switch random.index(below: 4) {
            case 0: hello(process)
            case 1: .ready(held: [.simulated(1)])
            case 2: .submission(Submission(round: round, blob: nil, metrics: TaskMetrics(samples: 1)))
            default: .heartbeat(round: round, progress: 0.5)
            }
        var bytes = message.encoded()
        if random.chance(0.5) { bytes = Array(bytes.prefix(random.index(below: bytes.count + 1))) }
        for _ in 0..<random.integer(0...3) where !bytes.isEmpty {
            bytes[random.index(below: bytes.count)] = UInt8(truncatingIfNeeded: random.next())
        }
        sendUp(bytes, from: process.peer)
    }

    /// The transport says who speaks, so this cannot be sent; the machine refuses it all the same.
    private func forge(_ process: HostileProcess, _ round: Int) {
        guard coordinator.isUp, coordinator.stalledUntil <= now else { return }
        let victims = coordinator.connections.filter { $0.value.peer < workers.count }.keys.sorted()
        guard let session = victims.first else { return }
        note(.hostileForgery)
        let message = random.pick([
            WorkerMessage.decline(round: round, reason: "forged"), .goodbye(reason: "forged"), .ready(held: []),
            .submission(Submission(round: round, blob: nil, metrics: TaskMetrics(samples: 1))),
        ])
        let event = CoordinatorEvent.received(message, session: session, worker: process.name)
        let actions = coordinator.machine.receive(event, at: coordinator.clock.local(now))
        guard case .send(.refusal(.unknownSession, _), session)? = actions.first, actions.count == 1 else {
            // A run that is over tells whoever speaks.
            if case .send(.finished, _)? = actions.first { return }
            return violate("a message on another's session was answered with \(actions)")
        }
    }
}
