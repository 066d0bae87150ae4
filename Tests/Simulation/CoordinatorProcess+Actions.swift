import Federation
import Tensors

// The coordinator's shell: feeds events to its machine and performs the actions one by one, and may die between any two.

extension SimulatedWorld {
    func toCoordinator(_ event: CoordinatorEvent) {
        guard coordinator.isUp else { return }
        let actions = coordinator.machine.receive(event, at: coordinator.clock.local(now))
        if trace != nil, event != .ticked || !actions.isEmpty { tell("coordinator <- \(describe(event))") }
        perform(broken == .sendsBeforeCommit ? actions.filter(\.isSend) + actions.filter { !$0.isSend } : actions)
    }

    private func perform(_ actions: [CoordinatorAction]) {
        let crash = isCalm ? 0 : scenario.rates.crashPerCoordinatorAction
        for (index, action) in actions.enumerated() {
            if random.chance(crash) {
                note(.killedBetweenActions)
                if index > 0, case .commit = actions[index - 1], action.isSend { note(.killedBetweenCommitAndSend) }
                return killCoordinator(
                    losingPower: random.chance(scenario.rates.powerLossShare), restartIn: random.between(0.1, 5))
            }
            if trace != nil { tell("coordinator -> \(describe(action))") }
            guard perform(action), outcome.violations.isEmpty else { return }
        }
    }

    /// Does one action; false when the process has ended.
    private func perform(_ action: CoordinatorAction) -> Bool {
        switch action {
        case .commit(let records): return commit(records)
        case .send(let message, let session): send(message, session)
        case .fetch(let blob, let session):
            coordinator.fetched.insert(blob.digest)
            if let (connection, peer) = coordinator.connections[session] {
                fetchUp(blob, from: peer, connection: connection)
            } else {
                schedule(.coordinatorEvent(.departed(session: session), life: coordinator.life), in: 0)
            }
        case .openFold(let rule, let round, let base, let restoring, let widths):
            coordinator.isComputing = false
            begin(.openFold(rule, round: round, base: base, restoring: restoring, widths: widths))
        case .examine(let facts): begin(.examine(facts))
        case .compute(let computation):
            checkComputation(computation)
            coordinator.isComputing = true
            begin(.compute(computation))
        case .export: begin(.export)
        case .log(let event):
            if event.isAboutRound { coordinator.lastWordAt = coordinator.clock.local(now) }
            log?(event, "coordinator")
        case .finish(let succeeded, let reason, _): return finish(succeeded: succeeded, reason: reason)
        }
        return true
    }

    private func commit(_ records: [LedgerRecord]) -> Bool {
        guard !coordinator.disk.isFull(at: now) else {
            note(.fullDiskAtCommit)
            killCoordinator(losingPower: false, restartIn: random.between(1, 8))
            return false
        }
        coordinator.records += records
        for record in records {
            if let fault = mirror.commit(record, world: self) { violate(fault) }
        }
        coordinator.publish()
        tidy(after: records)
        return true
    }

    /// Removes blobs that the committed records made obsolete; the ledger no longer names them.
    private func tidy(after records: [LedgerRecord]) {
        let history = coordinator.machine.history
        for record in records {
            if case .contributionAccepted(let facts) = record { coordinator.openContributions.append(facts) }
            guard case .stepFinished = record else { continue }
            let inFlight = coordinator.machine.blobsInFlight
            // Equal results have one blob: another worker's may still wait for its examination.
            for digest in history.blobsMadeObsolete(by: record, contributions: coordinator.openContributions)
            where !inFlight.contains(digest) {
                coordinator.disk.remove(digest)
            }
            coordinator.openContributions = []
            let needed = history.namedBlobs.union(inFlight)
            for digest in coordinator.fetched.subtracting(needed) { coordinator.disk.discard(digest) }
            coordinator.fetched.formIntersection(needed)
        }
    }

    private func send(_ message: CoordinatorMessage, _ session: SessionID) {
        guard let (connection, peer) = coordinator.connections[session] else { return }
        if let fault = mirror.objection(to: message, for: peer) { violate(fault) }
        sendDown(message.encoded(), connection: connection, to: peer)
    }

    private func finish(succeeded: Bool, reason: String) -> Bool {
        tell("the coordinator ends: \(reason)")
        guard succeeded else {
            note(.runGaveUp)
            killCoordinator(losingPower: false, restartIn: random.between(0.5, 3))
            return false
        }
        checkReplay(isAtRest: true)
        if !mirror.isFinished { violate("the run is said to have finished, and the ledger does not know") }
        if mirror.roundsClosed != scenario.rounds {
            violate("the run finished after \(mirror.roundsClosed) of \(scenario.rounds) rounds")
        }
        outcome.finished = true
        isOver = true
        return false
    }

    // MARK: Numerics

    private func begin(_ job: CoordinatorProcess.Job) {
        coordinator.jobs.append(job)
        if coordinator.jobs.count == 1 {
            schedule(.numericsDone(life: coordinator.life), in: random.between(0.001, 0.2))
        }
    }

    func finishNumerics() {
        guard !coordinator.jobs.isEmpty else { return }
        let event = calculate(coordinator.jobs.removeFirst())
        if let event { schedule(.coordinatorEvent(event, life: coordinator.life), in: 0.0005) }
        if !coordinator.jobs.isEmpty {
            schedule(.numericsDone(life: coordinator.life), in: random.between(0.001, 0.2))
        }
    }

    private func calculate(_ job: CoordinatorProcess.Job) -> CoordinatorEvent? {
        switch job {
        case .openFold(_, let round, let base, let restoring, let widths):
            for width in widths where !coordinator.disk.get(width.change.digest) {
                violate("round \(round) is opened without the change that makes its models narrower")
            }
            if base.snapshot.digest.content != mirror.snapshots.last {
                violate("a fold begins on a snapshot of the past")
            }
            coordinator.foldRound = round
            coordinator.foldSum = 0
            for facts in restoring {
                if !read(facts) { violate("round \(round) cannot be restored: the result of \(facts.worker) is gone") }
                fold(facts)
            }
            return nil
        case .examine(let facts):
            guard coordinator.foldRound == facts.countedIn else {
                violate("a result counted in round \(facts.countedIn) is examined without its fold")
                return nil
            }
            return .examined(examine(facts), round: facts.round, worker: facts.worker)
        case .compute(let computation):
            if coordinator.disk.isFull(at: now) {
                note(.fullDiskAtStep)
                return .failed(reason: "no space", .diskFull)
            }
            return .stepComputed(compute(computation), wireBytesUp: 0, wireBytesDown: 0)
        case .export: return .exported(ExportFacts(target: "float32", path: "compact.onnx", byteCount: 1))
        }
    }

    private func read(_ facts: ContributionFacts) -> Bool {
        facts.submission.blob.map { coordinator.disk.get($0.digest) } ?? true
    }

    private func fold(_ facts: ContributionFacts) {
        coordinator.foldSum &+= SimulatedNumerics.share(of: facts, worker: peerOfName[facts.worker] ?? -1)
    }

    private func examine(_ facts: ContributionFacts) -> Examination {
        guard read(facts) else {
            violate("the result of \(facts.worker) is examined and is not what its name says")
            return .refused(reason: "corrupt")
        }
        let truth = facts.submission.blob.flatMap { results[$0.digest] }
        let isHostile = (peerOfName[facts.worker] ?? 0) >= workers.count
        // The numerics look at the bytes: another base or garbage is seen, a lie that looks like an update is not.
        let isSound = facts.submission.blob == nil || (truth.map { $0.base == facts.base.content } ?? false)
        guard isSound, !(isHostile && scenario.isForced) else {
            note(.refusedExamination)
            return .refused(reason: "the result does not fit the round")
        }
        fold(facts)
        if broken == .foldsTwice, random.chance(0.1) { fold(facts) }
        return .folded
    }

    private func compute(_ computation: StepComputation) -> ComputedStep {
        switch computation {
        case .transform(.decideMask(let decision), let base, _):
            return publish(
                SimulatedNumerics.snapshot(after: base.snapshot.digest.content, isFresh: false), base,
                maskEpoch: base.maskEpoch + 1, sparsity: 0.5, moments: base.moments, decision: decision)
        case .transform(.factorize, let base, _):
            return factorized(SimulatedNumerics.snapshot(after: base.snapshot.digest.content, isFresh: true), base)
        case .transform(.simulate(let decision), let base, _):
            read(decision.evidence)
            return factorized(SimulatedNumerics.snapshot(after: base.snapshot.digest.content, isFresh: true), base)
        case .transform(.quantize(let decision), let base, let source): return quantize(decision, base, source)
        case .transform(.nest(let shares), let base, _):
            let widths = SimulatedNumerics.widths(shares, of: base)
            for width in widths { coordinator.disk.put(width.change.digest) }
            return ComputedStep(outcome: StepOutcome(sparsity: base.sparsity, widths: widths))
        case .transform(.rewind, let base, let source?): return rewind(to: source, base)
        case .transform(let step, _, _): preconditionFailure("\(step) is no transform")
        case .fold(let rule, _, _, let base):
            let sum = coordinator.foldSum
            coordinator.foldRound = nil
            let next = SimulatedNumerics.snapshot(after: base.snapshot.digest.content, folding: sum)
            switch rule {
            case .average(let server):
                guard server.optimizer.kind != .average else {
                    return publish(next, base, maskEpoch: base.maskEpoch, sparsity: base.sparsity)
                }
                let old = server.continues ? base.moments : nil
                if let old, !coordinator.disk.get(old.first.digest) { violate("the server's moments are gone") }
                let moments = SimulatedNumerics.moments(after: old, folding: sum)
                return publish(
                    SimulatedNumerics.snapshot(next, with: moments), base, maskEpoch: base.maskEpoch,
                    sparsity: base.sparsity,
                    moments: moments)
            case .scores(let decision):
                return publish(
                    next, base, maskEpoch: base.maskEpoch + 1, sparsity: 0.5, moments: base.moments, decision: decision)
            case .moments: return factorized(next, base)
            case .calibration: return measured(base) { QuantizationEvidenceBlobs(calibration: $0) }
            case .inputMoments: return measured(base) { QuantizationEvidenceBlobs(moments: $0) }
            case .sensitivity: return measured(base) { QuantizationEvidenceBlobs(sensitivities: $0) }
            case .comparison(_, let explanation): return compared(explanation, base)
            case .metrics:
                let accuracy = SimulatedNumerics.accuracy(of: coordinator.machine.history.quantization)
                return ComputedStep(outcome: StepOutcome(accuracy: accuracy, sparsity: base.sparsity))
            case .logits: preconditionFailure("no plan of the simulator has an ensemble")
            }
        }
    }

    private func rewind(to source: StepSource, _ base: SnapshotFacts) -> ComputedStep {
        let earlier = source.snapshot.snapshot.digest
        if !coordinator.disk.get(earlier) { violate("the snapshot to go back to is gone") }
        for change in source.changes where !coordinator.disk.get(change.digest) {
            violate("a structure change is gone")
        }
        let content = SimulatedNumerics.snapshot(after: base.snapshot.digest.content, isFresh: true)
        var step = publish(content, base, maskEpoch: base.maskEpoch + 1, sparsity: base.sparsity)
        step.snapshot?.isFresh = true
        step.snapshot?.delta = nil
        step.snapshot?.residual = nil
        return step
    }

    /// Another structure: nobody can derive it, and nothing of what anybody keeps holds.
    private func factorized(_ content: UInt64, _ base: SnapshotFacts) -> ComputedStep {
        var step = publish(content, base, maskEpoch: base.maskEpoch + 1, sparsity: base.sparsity)
        let graph = SimulatedNumerics.reference(SimulatedNumerics.graph(of: content), 5_000)
        coordinator.disk.put(graph.digest)
        step.snapshot?.graph = graph
        step.snapshot?.isFresh = true
        step.snapshot?.delta = nil
        step.snapshot?.residual = nil
        return step
    }

    private func publish(
        _ content: UInt64, _ base: SnapshotFacts, maskEpoch: UInt32, sparsity: Double, moments: ServerMoments? = nil,
        decision: MaskDecision? = nil
    ) -> ComputedStep {
        let facts = SimulatedNumerics.facts(
            content, after: base, maskEpoch: maskEpoch, sparsity: sparsity, moments: moments, decision: decision)
        for digest in [
            facts.snapshot.digest, facts.graph.digest, facts.delta?.blob.digest, facts.residual?.digest,
            facts.moments?.first.digest,
        ] {
            if let digest { coordinator.disk.put(digest) }
        }
        return ComputedStep(outcome: StepOutcome(sparsity: sparsity), snapshot: facts)
    }
}

extension CoordinatorAction {
    var isSend: Bool { if case .send = self { true } else { false } }
}

extension LogEvent {
    /// Whether a reader of the log learns from it why the open round is still open.
    var isAboutRound: Bool { name == "round.waiting" || name == "round.opened" }
}
