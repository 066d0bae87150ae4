import Federation

/// What the ledger says, kept apart from the machine's own history: every record is judged when it becomes durable, and
/// every message by the records that are durable when it is sent.
struct LedgerMirror {
    private let plan: Plan
    private let honestWorkers: Int
    private(set) var snapshots: [UInt64] = []
    private(set) var isFinished = false
    private(set) var roundsOpened = 0
    private(set) var roundsClosed = 0
    private(set) var openRound: Int?
    /// Sum of the open round's contributions, as a fold would have it.
    private(set) var openSum: UInt64 = 0
    private(set) var openCount = 0
    /// The open round's server optimizer, if it trains with one that has moments.
    private var openServer: (stage: Int, optimizer: ServerOptimizer)?
    /// What that of the newest such round left, and the stage it was of.
    private var moments: (stage: Int, content: ServerMoments)?
    /// The newest narrower models, and the stage and graph that they are for.
    private var nesting: (stage: Int, graph: Digest, widths: [ModelWidth])?
    private var graph: Digest?
    /// Snapshot each round was opened on.
    private var bases: [UInt64] = []
    private var accepted: Set<UInt64> = []
    /// By peer.
    private var acceptedRounds: [Int: Int] = [:]
    /// The residual that follows from each honest worker's accepted contributions.
    private(set) var residuals: [UInt64]

    init(plan: Plan, honestWorkers: Int) {
        self.plan = plan
        self.honestWorkers = honestWorkers
        residuals = [UInt64](repeating: 0, count: honestWorkers)
    }

    private func key(_ round: Int, _ peer: Int) -> UInt64 { UInt64(round) << 32 | UInt64(peer) }

    /// Takes over a durable record.
    /// - Returns: what is wrong with it, or nil.
    mutating func commit(_ record: LedgerRecord, world: SimulatedWorld?) -> String? {
        switch record {
        case .runStarted: return nil
        case .snapshotPublished(let facts):
            snapshots.append(facts.snapshot.digest.content)
            graph = facts.graph.digest
        case .roundOpened(let round, let stage, let task):
            guard openRound == nil, round == roundsOpened else {
                return
                    "round \(round) is opened after \(roundsOpened), with \(openRound.map(String.init) ?? "none") open"
            }
            roundsOpened += 1
            openRound = round
            openSum = 0
            openCount = 0
            openServer = nil
            if task == "train", let server = plan.stages[stage].server, server.kind != .average {
                openServer = (stage, server)
            }
            bases.append(snapshots.last ?? 0)
            if task == "train", plan.fleet.hasWidths, nesting?.stage != stage || nesting?.graph != graph {
                return "round \(round) trains without narrower models that fit"
            }
        case .contributionAccepted(let facts):
            guard let peer = world?.peerOfName[facts.worker] else { return "\(facts.worker) is unknown" }
            return accept(facts, peer, world)
        case .contributionRefused, .publicSetNamed: break
        case .stepFinished(let round, let stage, let outcome, let snapshot, _, _):
            if let widths = outcome.widths, let fault = nest(widths, stage: stage, round, snapshot) { return fault }
            return finish(round: round, snapshot)
        case .stageFinished:
            if openRound != nil { return "a stage ends while a round is open" }
        case .exported, .runFinished:
            if isFinished { return "the run finishes twice" }
            if case .runFinished = record { isFinished = true }
        }
        return nil
    }

    private mutating func accept(_ facts: ContributionFacts, _ peer: Int, _ world: SimulatedWorld?) -> String? {
        let who = "round \(facts.round) of \(facts.worker)"
        guard accepted.insert(key(facts.round, peer)).inserted else { return "\(who) is accepted twice" }
        guard facts.countedIn == openRound else { return "\(who) is counted in \(facts.countedIn), which is not open" }
        guard facts.round < (acceptedRounds[peer] ?? 0) else {
            acceptedRounds[peer] = facts.round + 1
            openCount += 1
            openSum &+= SimulatedNumerics.share(of: facts, worker: peer)
            guard openCount <= plan.fleet.workers else { return "\(who) is one more than the plan wants" }
            guard bases[facts.round] == facts.base.content else { return "\(who) is based on another snapshot" }
            return peer < honestWorkers ? advanceResidual(facts, peer, world) : nil
        }
        return "\(who) is accepted after a later round"
    }

    private mutating func advanceResidual(_ facts: ContributionFacts, _ peer: Int, _ world: SimulatedWorld?) -> String?
    {
        guard let digest = facts.submission.blob?.digest else { return nil }
        guard let truth = world?.results[digest] else { return "the result of \(facts.worker) was never made" }
        guard truth.worker == peer, truth.round == facts.round else { return "\(facts.worker) did not make its result" }
        guard truth.isTraining else { return nil }
        guard truth.residual == residuals[peer] else {
            return "round \(facts.round) of \(facts.worker) was made with another residual than its contributions imply"
        }
        if truth.nextResidual != 0 { residuals[peer] = truth.nextResidual }
        return nil
    }

    private mutating func nest(
        _ widths: [ModelWidth], stage: Int, _ round: Int?, _ snapshot: SnapshotFacts?
    ) -> String? {
        guard round == nil, snapshot == nil, let graph else { return "narrower models come with something else" }
        guard nesting?.stage != stage || nesting?.graph != graph else { return "narrower models are made twice" }
        nesting = (stage, graph, widths)
        return nil
    }

    private mutating func finish(round: Int?, _ snapshot: SnapshotFacts?) -> String? {
        guard round == openRound else { return "a step ends round \(round ?? -1) while another is open" }
        if round != nil {
            roundsClosed += 1
            openRound = nil
        }
        guard let snapshot, let base = snapshots.last else { return nil }
        let content = snapshot.snapshot.digest.content
        snapshots.append(content)
        graph = snapshot.graph.digest
        var implied =
            round == nil
            ? SimulatedNumerics.snapshot(after: base, isFresh: snapshot.isFresh)
            : SimulatedNumerics.snapshot(after: base, folding: openSum)
        if round != nil, let server = openServer {
            // A stage begins without the moments of another.
            let before = moments.flatMap { $0.stage == server.stage ? $0.content : nil }
            let after = SimulatedNumerics.moments(after: before, folding: openSum)
            guard snapshot.moments == after else { return "the moments are not what the accepted contributions make" }
            moments = (server.stage, after)
            implied = SimulatedNumerics.snapshot(implied, with: after)
        }
        return content == implied ? nil : "snapshot \(snapshots.count - 1) is not what the accepted contributions make"
    }

    /// A worker is asked for the width that it can train.
    private func objection(to work: TaskWork, for peer: Int) -> String? {
        guard case .train(_, _, _, let width) = work else { return nil }
        // Who is not honest may say anything of its strength.
        let strength = WorkerProcess.strength(of: peer)
        guard peer >= honestWorkers || width?.share ?? 1 == plan.fleet.width(ofStrength: strength) else {
            return "a task is of another width"
        }
        guard let width else { return nil }
        return nesting?.widths.contains(width) == true ? nil : "a task is of a width that the ledger does not have"
    }

    /// What is wrong with sending this now, or nil.
    func objection(to message: CoordinatorMessage, for peer: Int) -> String? {
        let newest = acceptedRounds[peer] ?? 0
        switch message {
        case .welcome(_, _, _, let rounds):
            return rounds > newest ? "a Welcome promises round \(rounds - 1) before the ledger has it" : nil
        case .task(let offer):
            guard offer.round == openRound else {
                return "a task of round \(offer.round) is offered, which is not open"
            }
            guard offer.acceptedRounds <= newest else { return "a task promises a round the ledger does not have" }
            if let fault = objection(to: offer.work, for: peer) { return fault }
            return offer.snapshot.snapshot.digest.content == snapshots.last ? nil : "a task is of another snapshot"
        case .verdict(let round, true, _):
            return accepted.contains(key(round, peer)) ? nil : "round \(round) is said to be accepted before it is"
        case .verdict(let round, false, _):
            return round + 1 == newest ? "round \(round) is said to be refused and was accepted" : nil
        case .finished: return isFinished ? nil : "workers are sent home before the run has finished"
        case .refusal, .wait, .withdrawal: return nil
        }
    }
}

extension StagePlan {
    /// Of stages that train.
    fileprivate var server: ServerOptimizer? {
        switch self {
        case .train(let plan): plan.server
        case .distill(let plan): plan.server
        case .prune(let plan): plan.server
        case .factorize(let plan): plan.server
        case .quantize(let plan): plan.server
        case .evaluate: nil
        }
    }
}
