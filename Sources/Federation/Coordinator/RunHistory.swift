// The durable half of the coordinator: everything that follows from the ledger's records alone. `CoordinatorMachine`
// adds what is volatile (sessions, leases, clocks). `pleach status` and reports read a run through this type without a
// coordinator. Invariant: applying the same records gives the same value.

/// The round that is open, as far as the ledger knows.
public struct OpenRound: Sendable, Equatable {
    public var number: Int
    public var stage: Int
    public var task: String
    public var accepted: [ContributionFacts] = []
}

/// What a round was opened for; tasks that outlive their round are judged by it.
public struct RoundBase: Sendable, Equatable {
    public var stage: Int
    /// Version of the snapshot its tasks start from.
    public var version: Int
}

/// The training round that made the current snapshot, where workers are to correct their drift by it.
public struct ControlRound: Sendable, Equatable {
    public var stage: Int
    /// Version of the snapshot that it began with.
    public var base: Int
    /// Mean of its contributions' `TaskMetrics.reach`, by their weights.
    public var reach: Double
}

/// What one closed round moved, and what it worked on.
public struct RoundSummary: Sendable, Equatable {
    public var number: Int
    public var stage: Int
    public var task: String
    public var traffic: StepTraffic
    /// Of the snapshot that its tasks started from.
    public var parameters: Int?
    public var sparsity: Double
    /// Share of positions that the delta carries which the round ended with.
    public var density: Double?
}

/// The narrower models of some training rounds.
public struct Nesting: Sendable, Equatable {
    public var stage: Int
    /// What they are narrower versions of.
    public var graph: Digest
    /// The widest first.
    public var widths: [ModelWidth]
}

/// What one stage did.
public struct StageSummary: Sendable, Equatable {
    public var kind: String
    public var rounds = 0
    public var seconds = 0.0
    public var traffic = StepTraffic()
    public var accuracyBefore: Double?
    public var accuracyAfter: Double?
    public var loss: Double?
    public var sparsity = 0.0
    public var contributions = 0
    public var refusals = 0
    public var bytesBefore: Int
    public var bytesAfter: Int
    public var finished = false
}

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
    /// Version of the snapshot at the end of each finished stage.
    public private(set) var stageSnapshots: [Int] = []
    /// Newest round, plus one, in which a task of each worker was accepted.
    public private(set) var acceptedRounds: [String: Int] = [:]
    /// nil when the current snapshot comes from something else.
    public private(set) var control: ControlRound?
    public private(set) var compact: CompactReference?
    public private(set) var accuracy: Double?
    public private(set) var traffic = StepTraffic()
    public private(set) var seconds = 0.0
    public private(set) var export: ExportFacts?
    public private(set) var isFinished = false
    /// What workers must adapt what they keep to.
    public private(set) var changes: [KeptChange] = []
    /// What narrower models were made of, the newest last.
    public private(set) var nestings: [Nesting] = []
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
    public var allStagesFinished: Bool { stageIndex == plan.stages.count }

    /// Takes over one durable fact.
    public mutating func apply(_ record: LedgerRecord) {
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
            summaries[stageIndex].contributions += 1
        case .contributionRefused:
            summaries[stageIndex].refusals += 1
        case .stepFinished(let round, _, let outcome, let snapshot, let traffic, let seconds):
            finishStep(isRound: round != nil, outcome, snapshot: snapshot, traffic: traffic, seconds: seconds)
        case .stageFinished(_, let seconds):
            summaries[stageIndex].seconds = seconds
            summaries[stageIndex].finished = true
            stageSnapshots.append(snapshots.count - 1)
            stageIndex += 1
            beginStage()
        case .exported(let facts):
            export = facts
            if !summaries.isEmpty { summaries[summaries.count - 1].bytesAfter = facts.byteCount }
        case .runFinished:
            isFinished = true
        }
    }

    private mutating func beginStage() {
        guard stageIndex < plan.stages.count, let snapshot else {
            stage = nil
            step = nil
            return
        }
        let stagePlan = plan.stages[stageIndex]
        let bytes = compact?.compact.byteCount ?? model?.bytes ?? 0
        summaries.append(
            StageSummary(
                kind: stagePlan.kind, accuracyBefore: accuracy, sparsity: snapshot.sparsity, bytesBefore: bytes,
                bytesAfter: bytes))
        stage = stagePlan.makeStage(sparsity: snapshot.sparsity, size: snapshot.size)
        begin(stage?.next())
    }

    /// Goes on to what the stage asks for, after a step that decides its widths if there are none that fit: channels are
    /// chosen anew for each stage's training, and where what can be chosen from has changed.
    private mutating func begin(_ next: Step?) {
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
        summarizeRound(outcome, traffic: traffic)
        if let snapshot {
            control = controlRound()
            note(snapshot, after: snapshots.last)
            snapshots.append(snapshot)
        }
        if let compact = outcome.compact { self.compact = compact }
        if let accuracy = outcome.accuracy { self.accuracy = accuracy }
        summaries[stageIndex].take(outcome, traffic: traffic, seconds: seconds, isRound: isRound)
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
        if snapshot.isRewound { changes.append(.rewound) }
        if let delta = snapshot.delta, delta.kind == .structure, let previous {
            changes.append(.structure(delta.blob, graph: previous.graph))
        }
    }

    private mutating func summarizeRound(_ outcome: StepOutcome, traffic: StepTraffic) {
        guard let round = openRound, let base = snapshot else { return }
        // Rarely, and then half of them: a run may have millions of rounds.
        if roundSummaries.count >= 2 * Self.roundSummaryLimit { roundSummaries.removeFirst(Self.roundSummaryLimit) }
        roundSummaries.append(
            RoundSummary(
                number: round.number, stage: round.stage, task: round.task, traffic: traffic,
                parameters: base.size.parameters, sparsity: base.sparsity, density: outcome.density))
    }

    /// What the round that just ended is for the next one's corrections.
    private func controlRound() -> ControlRound? {
        guard case .train(let recipe, _, _)? = step, recipe.correction == .scaffold, let openRound else { return nil }
        let weight = openRound.accepted.reduce(0.0) { $0 + Double($1.weight) }
        let reach = openRound.accepted.reduce(0.0) { $0 + Double($1.weight) * $1.submission.metrics.reach }
        guard weight > 0, reach > 0, MessageLimits.reach.contains(reach / weight) else { return nil }
        return ControlRound(stage: stageIndex, base: snapshots.count - 1, reach: reach / weight)
    }

    /// Accuracy of the model before the first stage that makes it smaller, and of what the run ends with.
    public var accuracyBeforeAndAfter: (before: Double?, after: Double?) {
        let compressing = summaries.first { $0.kind == "prune" || $0.kind == "quantize" }
        return (compressing.map(\.accuracyBefore) ?? summaries.first?.accuracyAfter, accuracy)
    }
}

extension StageSummary {
    fileprivate mutating func take(_ outcome: StepOutcome, traffic: StepTraffic, seconds: Double, isRound: Bool) {
        if isRound { rounds += 1 }
        self.traffic = self.traffic + traffic
        self.seconds += seconds
        if let accuracy = outcome.accuracy { accuracyAfter = accuracy }
        if let loss = outcome.loss { self.loss = loss }
        if let compact = outcome.compact { bytesAfter = compact.compact.byteCount }
        sparsity = outcome.sparsity
    }
}

extension RunHistory {
    /// Blobs that nothing needs any more once `record` (already applied) is in the ledger: contributions of a closed or
    /// refusing round, the snapshot and residual that were replaced. Ends of stages and the first snapshot stay.
    public func blobsMadeObsolete(by record: LedgerRecord, contributions: [ContributionFacts]) -> [Digest] {
        guard case .stepFinished(_, _, _, let published, _, _) = record else { return [] }
        var obsolete = contributions.compactMap { $0.submission.blob?.digest }
        if published != nil {
            let kept = CoordinatorMachine.versionsToKeep(self)
            // The one before may have been kept for the corrections of the round that ended.
            for replaced in snapshots.dropLast().suffix(2) {
                if !kept.contains(replaced.version) { obsolete.append(replaced.snapshot.digest) }
                obsolete += replaced.working
            }
        }
        // Equal bytes have equal names: what is named elsewhere stays.
        let needed = namedBlobs
        return obsolete.filter { !needed.contains($0) }
    }

    /// What narrower models have not: small, and kept to the end as structure changes are.
    public var widthChanges: [Digest] { nestings.flatMap { $0.widths.map(\.change.digest) } }

    /// Every blob that the run still needs: kept snapshots, graphs, deltas, the residual, teachers, the compact model,
    /// and the contributions of the open round.
    public var namedBlobs: Set<Digest> {
        var digests = Set(snapshots.flatMap { [$0.graph.digest, $0.delta?.blob.digest].compactMap { $0 } })
        guard !snapshots.isEmpty else { return digests }
        for version in CoordinatorMachine.versionsToKeep(self) { digests.insert(snapshots[version].snapshot.digest) }
        digests.formUnion(snapshot?.working ?? [])
        for digest in [compact?.calibration.digest, compact?.compact.digest] {
            if let digest { digests.insert(digest) }
        }
        digests.formUnion(teachers.values.map(\.digest))
        digests.formUnion(widthChanges)
        digests.formUnion(openRound?.accepted.compactMap { $0.submission.blob?.digest } ?? [])
        return digests
    }
}
