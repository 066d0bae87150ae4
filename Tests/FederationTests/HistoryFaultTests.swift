import Testing

@testable import Federation

/// Records of a ledger that somebody else may have written: what cannot follow is refused, and nothing traps.
@Suite struct HistoryFaultTests {
    private static let model = ModelFacts(source: "m", parameters: 100, bytes: 1000, sampleShape: [], classes: 10)
    private static let start = LedgerRecord.runStarted(run: "r", plan: "test", model: model, teachers: [:])
    private static let opening = LedgerRecord.snapshotPublished(CoordinatorMachineTests.base)
    private static let round = LedgerRecord.roundOpened(round: 0, stage: 0, task: "train")
    private static let stageEnd = LedgerRecord.stageFinished(stage: 0, seconds: 1)

    private static func contribution(round: Int = 0, byteCount: Int = 50) -> LedgerRecord {
        var submission = CoordinatorMachineTests.submission(3, round: round)
        submission.blob?.byteCount = byteCount
        return .contributionAccepted(
            ContributionFacts(
                round: round, worker: "a", submission: submission, base: CoordinatorMachineTests.digest(1), weight: 1))
    }

    private static func step(_ traffic: StepTraffic = StepTraffic(wireBytesUp: 1), removed: Int? = nil) -> LedgerRecord
    {
        var outcome = StepOutcome(loss: 0.5)
        outcome.units = removed.map { PrunedUnits(before: 8, removed: $0, prunable: 4) }
        return .stepFinished(round: 0, stage: 0, outcome: outcome, snapshot: nil, traffic: traffic, seconds: .nan)
    }

    private static func fault(_ records: [LedgerRecord]) -> Int? {
        do throws(HistoryFault) {
            _ = try RunHistory(plan: CoordinatorMachineTests.plan(), reading: records)
            return nil
        } catch {
            return error.record
        }
    }

    @Test func whatACoordinatorWritesIsRead() throws {
        let evaluation = LedgerRecord.roundOpened(round: 1, stage: 0, task: "evaluate")
        let records = [
            Self.start, Self.opening, Self.round, Self.contribution(),
            .contributionRefused(round: 0, worker: "b", reason: "declined: no"), Self.step(), evaluation, Self.step(),
            Self.stageEnd, .exported(ExportFacts(target: "float32", path: "m.onnx", byteCount: 10)),
            .runFinished(seconds: 1),
        ]
        #expect(Self.fault(records) == nil)
        let read = try RunHistory(plan: CoordinatorMachineTests.plan(), reading: records)
        let applied = RunHistory(plan: CoordinatorMachineTests.plan(), records: records)
        #expect(read.isFinished && read.roundsClosed == 2)
        #expect(RunCourse(history: read).rounds.count == RunCourse(history: applied).rounds.count)
    }

    /// Each of them would index beyond a list or end in a sum that no integer holds.
    @Test func whatCannotFollowIsNamed() {
        let begun = [Self.start, Self.opening]
        let cases: [[LedgerRecord]] = [
            [Self.opening], [Self.start, Self.start], begun + [Self.opening], [Self.round],
            [Self.start, Self.stageEnd],
            [Self.start, Self.contribution()], begun + [Self.contribution()], [Self.start, Self.step()],
            [Self.start, .contributionRefused(round: 0, worker: "a", reason: "no")],
            begun + [.roundOpened(round: 1, stage: 0, task: "train")],
            begun + [.roundOpened(round: 0, stage: 7, task: "train")],
            begun + [Self.round, Self.contribution(round: .max)],
            begun + [Self.round, Self.contribution(byteCount: .max)], begun + [Self.stageEnd, Self.stageEnd],
            begun + [Self.stageEnd, Self.step()], begun + [.stageFinished(stage: 3, seconds: 1)],
            begun + [Self.round, Self.step(StepTraffic(wireBytesUp: .max))],
            begun + [Self.round, Self.step(StepTraffic(float32BytesDown: -1))],
            begun + [Self.round, Self.step(removed: .max)],
            begun + [.exported(ExportFacts(target: "float32", path: "m", byteCount: 1))],
        ]
        for (index, records) in cases.enumerated() { #expect(Self.fault(records) == records.count, "case \(index)") }
    }

    @Test func sumsOfManyRecordsStayCountable() {
        let large = Self.contribution(byteCount: 1 << 48)
        let records = [Self.start, Self.opening, Self.round] + Array(repeating: large, count: 5000)
        // 2 to the 60th is 4,096 of them.
        #expect(Self.fault(records) == 3 + 4098)
    }
}
