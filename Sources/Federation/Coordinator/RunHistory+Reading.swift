// A ledger may come from anywhere: its checksums tell damage, not intent. What is read from a file is looked at before it is
// counted with; what the coordinator itself records is applied as it is.

/// A record that cannot stand where it stands.
public struct HistoryFault: Error, Equatable, Sendable, CustomStringConvertible {
    /// Counted from 1, as the ledger does.
    public let record: Int

    public var description: String { "record \(record) cannot follow those before it" }
}

extension RunHistory {
    /// Takes over a ledger's records, each as long as it can follow those before it.
    /// - Throws: `HistoryFault` with the first that cannot, or whose figures cannot be counted with.
    public init(plan: Plan, reading records: some Sequence<LedgerRecord>) throws(HistoryFault) {
        self.init(plan: plan)
        var number = 0
        for record in records {
            number += 1
            guard admits(record) else { throw HistoryFault(record: number) }
            apply(record)
        }
    }

    /// Of one record; many of them are added up, to no more than `sumLimit`.
    private static let partLimit = 1 << 48
    private static let sumLimit = 1 << 60

    private func admits(_ record: LedgerRecord) -> Bool {
        switch record {
        case .runStarted(_, _, let model, let teachers):
            run == nil
                && ([model.bytes, model.parameters, model.classes ?? 0] + teachers.values.map(\.byteCount))
                    .allSatisfy(Self.isPart)
        case .snapshotPublished(let facts): run != nil && snapshots.isEmpty && Self.isCountable(facts)
        case .roundOpened(let round, let stage, _): step != nil && stage == stageIndex && round == roundsOpened
        case .contributionAccepted(let facts):
            openRound != nil && isInStage && Self.isCountable(facts)
                && workerTotals[facts.worker]?.bytes ?? 0 <= Self.sumLimit
        case .contributionRefused(let round, _, _): isInStage && Self.isPart(round)
        case .stepFinished(_, _, let outcome, let snapshot, let traffic, _):
            step != nil && isInStage && Self.isCountable(outcome) && snapshot.map(Self.isCountable) ?? true
                && traffic.parts.allSatisfy(Self.isPart) && self.traffic.parts.allSatisfy { $0 <= Self.sumLimit }
        case .stageFinished(let stage, _): isInStage && stage == stageIndex
        case .exported(let facts): allStagesFinished && Self.isPart(facts.byteCount)
        case .runFinished: true
        case .publicSetNamed(let facts): Self.isPart(facts.name.samples)
        }
    }

    /// Whether what happens belongs to a stage that has begun.
    private var isInStage: Bool { summaries.indices.contains(stageIndex) }

    private static func isPart(_ count: Int) -> Bool { (0...partLimit).contains(count) }

    private static func isCountable(_ facts: SnapshotFacts) -> Bool {
        facts.sparsity.isFinite
            && [
                facts.version, facts.snapshot.byteCount, facts.graph.byteCount, facts.size.parameters,
                facts.size.macs ?? 0, facts.size.bytes,
            ].allSatisfy(isPart)
    }

    private static func isCountable(_ facts: ContributionFacts) -> Bool {
        let submission = facts.submission
        return [facts.round, facts.countedIn, submission.blob?.byteCount ?? 0, submission.metrics.samples]
            .allSatisfy(isPart)
    }

    private static func isCountable(_ outcome: StepOutcome) -> Bool {
        var counts = [outcome.compact?.byteCount ?? 0]
        if let units = outcome.units { counts += [units.before, units.removed, units.prunable] }
        return counts.allSatisfy(isPart)
    }
}

extension StepTraffic {
    fileprivate var parts: [Int] { [wireBytesUp, wireBytesDown, float32BytesUp, float32BytesDown] }
}
