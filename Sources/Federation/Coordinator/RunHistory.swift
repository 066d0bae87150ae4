// The durable half of the coordinator: everything that follows from the ledger's records alone. `CoordinatorMachine`
// adds what is volatile (sessions, leases, clocks). `pleach status` and reports read a run through this type without a
// coordinator. Invariant: applying the same records gives the same value.

/// The run so far.
public struct RunHistory: Sendable {
    public let plan: Plan
    public private(set) var run: String?
    public private(set) var model: ModelFacts?
    public private(set) var teachers: [String: BlobReference] = [:]
    public private(set) var snapshots: [SnapshotFacts] = []
    /// Index of the stage in progress; equals the number of stages when all are over.
    public private(set) var stageIndex = 0
    /// The step to do next or in progress; nil between a stage's last step and its `stageFinished`.
    public private(set) var step: Step?
    public private(set) var openRound: OpenRound?
    /// Every round that was opened, in order.
    public private(set) var roundBases: [RoundBase] = []
    public private(set) var roundsClosed = 0
    public private(set) var summaries: [StageSummary] = []
    /// Of the newest rounds, oldest first: at least `roundSummaryLimit` of them, if there were so many.
    public private(set) var roundSummaries: [RoundSummary] = []
    public static let roundSummaryLimit = 10_000
    /// Records applied so far: what is derived from the history is as new as this says.
    public private(set) var revision = 0
    public private(set) var refusals = RefusalLog()
    public private(set) var roundTimes = RoundTimes()
    /// Of the newest round that had one: mean training loss, and test loss of an evaluation.
    public private(set) var trainingLoss: Double?
    public private(set) var testLoss: Double?
    /// Version of the snapshot at the end of each finished stage.
    public private(set) var stageSnapshots: [Int] = []
    /// Newest round, plus one, in which a task of each worker was accepted.
    public private(set) var acceptedRounds: [String: Int] = [:]
    public private(set) var workerTotals: [String: WorkerTotals] = [:]
    /// nil when the current snapshot comes from something else.
    public private(set) var control: ControlRound?
    /// The compact file, once there is one.
    public private(set) var compact: BlobReference?
    /// What the compact file is.
    public private(set) var quantization: QuantizationFacts?
    /// What the fleet has measured for the file that the stage in progress writes.
    public private(set) var evidence = QuantizationEvidenceBlobs()
    public private(set) var accuracy: Double?
    public private(set) var traffic = StepTraffic()
    public private(set) var seconds = 0.0
    public private(set) var export: ExportFacts?
    public private(set) var isFinished = false
    /// What workers must adapt what they keep to.
    public private(set) var changes: [KeptChange] = []
    /// What narrower models were made of, the newest last.
    public private(set) var nestings: [Nesting] = []
    /// The public set that all workers must have; nil before the first of them.
    public private(set) var publicSet: PublicSetFacts?
    /// What the ensemble of the stage in progress said last.
    public private(set) var consensus: Consensus?
    /// Blobs that the last finished step, or the stage that ended with it, replaced: nobody needs them any more.
    private(set) var retired: [Digest] = []
    private var stage: (any Stage)?
    /// The stage's step that waits for narrower models.
    private var postponed: Step?

    public init(plan: Plan) { self.plan = plan }

    public init(plan: Plan, records: some Sequence<LedgerRecord>) {
        self.init(plan: plan)
        for record in records { apply(record) }
    }

    public var snapshot: SnapshotFacts? { snapshots.last }
    public var contributionsAccepted: Int { summaries.reduce(0) { $0 + $1.contributions } }
    public var contributionsRefused: Int { summaries.reduce(0) { $0 + $1.refusals } }
    public var roundsOpened: Int { roundBases.count }
    /// Rounds of the whole plan, or as many as were begun where a guard that tries again has made it more.
    public var roundsExpected: Int { max(plan.roundsPlanned, roundsOpened) }
    public var allStagesFinished: Bool { stageIndex == plan.stages.count }

    /// Takes over one durable fact.
    public mutating func apply(_ record: LedgerRecord) {
        revision += 1
        switch record {
        case .runStarted(let run, _, let model, let teachers):
            self.run = run
            self.model = model
            self.teachers = teachers
        case .snapshotPublished(let facts):
            snapshots.append(facts)
            beginStage()
        case .roundOpened(let round, let stage, let task):
            openRound = OpenRound(number: round, stage: stage, task: task)
            roundBases.append(RoundBase(stage: stage, version: snapshots.count - 1))
        case .contributionAccepted(let facts):
            openRound?.accepted.append(facts)
            acceptedRounds[facts.worker] = facts.round + 1
            workerTotals[facts.worker, default: WorkerTotals()].add(facts.submission)
            summaries[stageIndex].contributions += 1
        case .contributionRefused(let round, let worker, let reason):
            summaries[stageIndex].refusals += 1
            openRound?.refusals += 1
            workerTotals[worker, default: WorkerTotals()].refusals += 1
            refusals.note(round: round, worker: worker, reason: reason)
        case .stepFinished(let round, _, let outcome, let snapshot, let traffic, let seconds):
            finishStep(isRound: round != nil, outcome, snapshot: snapshot, traffic: traffic, seconds: seconds)
        case .stageFinished(_, let seconds):
            summaries[stageIndex].seconds = seconds
            summaries[stageIndex].finished = true
            stageSnapshots.append(snapshots.count - 1)
            stageIndex += 1
            retired += evidence.digests
            evidence = QuantizationEvidenceBlobs()
            beginStage()
        case .exported(let facts):
            export = facts
            if !summaries.isEmpty { summaries[summaries.count - 1].bytesAfter = facts.byteCount }
        case .runFinished:
            isFinished = true
        case .publicSetNamed(let facts): publicSet = facts
        }
    }

    private mutating func beginStage() {
        guard stageIndex < plan.stages.count, let snapshot else {
            stage = nil
            step = nil
            return
        }
        let stagePlan = plan.stages[stageIndex]
        let bytes = compact?.byteCount ?? model?.bytes ?? 0
        summaries.append(
            StageSummary(
                kind: stagePlan.kind, accuracyBefore: accuracy, sparsity: snapshot.sparsity, bytesBefore: bytes,
                bytesAfter: bytes))
        stage = stagePlan.makeStage(sparsity: snapshot.sparsity, size: snapshot.size, accuracy: accuracy)
        begin(stage?.next())
    }

    /// Goes on to what the stage asks for, after a step that decides its widths if there are none that fit: channels are
    /// chosen anew for each stage's training, and where what can be chosen from has changed.
    private mutating func begin(_ next: Step?) {
        if case .logits? = next {
            step = .logits(
                LogitsRequest(
                    samples: publicSet?.name.samples ?? 0, classes: model?.classes ?? 0,
                    trainedRound: max(0, roundBases.count - 1)))
            return
        }
        guard case .train? = next, plan.fleet.hasWidths, let snapshot,
            nestings.last?.stage != stageIndex || nestings.last?.graph != snapshot.graph.digest
        else {
            step = next
            return
        }
        postponed = next
        step = .nest(widths: Array(plan.fleet.widths.dropFirst()))
    }

    /// The narrower models that the step in progress may train.
    public var widthsInUse: [ModelWidth] {
        guard case .train? = step, let nesting = nestings.last, nesting.stage == stageIndex else { return [] }
        return nesting.widths
    }

    private mutating func finishStep(
        isRound: Bool, _ outcome: StepOutcome, snapshot: SnapshotFacts?, traffic: StepTraffic, seconds: Double
    ) {
        retired = []
        summarizeRound(outcome, traffic: traffic, seconds: seconds)
        if let snapshot {
            control = controlRound()
            note(snapshot, after: snapshots.last)
            snapshots.append(snapshot)
        }
        noteCompact(outcome)
        var outcome = outcome
        noteConsensus(&outcome)
        noteAccuracy(outcome.accuracy)
        summaries[stageIndex].take(outcome, of: step, traffic: traffic, seconds: seconds, isRound: isRound)
        self.traffic = self.traffic + traffic
        self.seconds += seconds
        if isRound { roundsClosed += 1 }
        openRound = nil
        if case .nest? = step {
            if let current = self.snapshot {
                nestings.append(
                    Nesting(stage: stageIndex, graph: current.graph.digest, widths: outcome.widths ?? []))
            }
            step = postponed
            postponed = nil
            return
        }
        stage?.stepFinished(outcome)
        begin(stage?.next())
    }

    private mutating func note(_ snapshot: SnapshotFacts, after previous: SnapshotFacts?) {
        if snapshot.isFresh { changes.append(.fresh) }
        if let delta = snapshot.delta, delta.kind == .structure, let previous {
            changes.append(.structure(delta.blob, graph: previous.graph))
        }
    }

    /// Takes over what the members of an ensemble said. Their accuracy is not that of the run's model.
    private mutating func noteConsensus(_ outcome: inout StepOutcome) {
        switch step {
        case .logits?:
            retired += consensus.map { [$0.blob.digest] } ?? []
            consensus = outcome.consensus.map { Consensus(blob: $0, contributions: openRound?.accepted ?? []) }
            outcome.accuracy = nil
        case .evaluate?:
            retired += consensus.map { [$0.blob.digest] } ?? []
            consensus = nil
        default: break
        }
    }

    /// Takes over what was measured for the compact file, and what it became.
    private mutating func noteCompact(_ outcome: StepOutcome) {
        if let found = outcome.evidence {
            let before = evidence.digests
            evidence = evidence.adding(found)
            retired += before.filter { !evidence.digests.contains($0) }
        }
        if let compact = outcome.compact {
            retired += self.compact.map { [$0.digest] } ?? []
            self.compact = compact
        }
        if let facts = outcome.quantization {
            retired += quantization?.explanation.map { [$0.digest] } ?? []
            quantization = facts
        }
    }

    /// An evaluation before anything has changed the model says what the stage begins with.
    private mutating func noteAccuracy(_ measured: Double?) {
        guard let measured else { return }
        accuracy = measured
        let isUntouched = snapshots.count - 1 == stageSnapshots.last ?? 0 && compact == nil
        guard isUntouched, case .evaluate? = step, summaries[stageIndex].kind != "evaluate" else { return }
        summaries[stageIndex].accuracyBefore = summaries[stageIndex].accuracyBefore ?? measured
    }

    private mutating func summarizeRound(_ outcome: StepOutcome, traffic: StepTraffic, seconds: Double) {
        guard let round = openRound, let base = snapshot else { return }
        // Rarely, and then half of them: a run may have millions of rounds.
        if roundSummaries.count >= 2 * Self.roundSummaryLimit { roundSummaries.removeFirst(Self.roundSummaryLimit) }
        let isEvaluation = round.task == "evaluate"
        roundSummaries.append(
            RoundSummary(
                number: round.number, stage: round.stage, task: round.task, traffic: traffic,
                parameters: base.size.parameters, sparsity: base.sparsity, density: outcome.density,
                bitsPerWeight: outcome.bitsPerWeight, seconds: seconds, foldSeconds: outcome.foldSeconds,
                loss: outcome.loss, accuracy: isEvaluation ? outcome.accuracy : nil,
                contributions: round.accepted.count, refusals: round.refusals))
        roundTimes.note(task: round.task, seconds: seconds, foldSeconds: outcome.foldSeconds)
        if isEvaluation { testLoss = outcome.loss ?? testLoss }
        if round.task == "train" { trainingLoss = outcome.loss ?? trainingLoss }
    }

    /// What the round that just ended is for the next one's corrections.
    private func controlRound() -> ControlRound? {
        guard case .train(let recipe, _, _)? = step, recipe.correction == .scaffold, let openRound else { return nil }
        let weight = openRound.accepted.reduce(0.0) { $0 + Double($1.weight) }
        let reach = openRound.accepted.reduce(0.0) { $0 + Double($1.weight) * $1.submission.metrics.reach }
        guard weight > 0, reach > 0, MessageLimits.reach.contains(reach / weight) else { return nil }
        return ControlRound(stage: stageIndex, base: snapshots.count - 1, reach: reach / weight)
    }

    /// Accuracy of the model before the first stage that does more than train it, and of what the run ends with. nil where
    /// nothing was measured.
    public var accuracyBeforeAndAfter: (before: Double?, after: Double?) {
        (summaries.first { !["train", "evaluate"].contains($0.kind) }?.accuracyBefore, accuracy)
    }
}
