import Foundation
import Testing

@testable import Federation

/// What charts and metrics are made of: a function of the ledger's records alone, and bounded.
@Suite struct RunCourseTests {
    private static func history(_ rounds: Int) -> RunHistory {
        let model = ModelFacts(source: "m", parameters: 100, bytes: 1000, sampleShape: [], classes: 10)
        var history = RunHistory(plan: CoordinatorMachineTests.plan(rounds: rounds))
        history.apply(.runStarted(run: "r", plan: "test", model: model, teachers: [:]))
        history.apply(.snapshotPublished(CoordinatorMachineTests.base))
        return history
    }

    private static func close(_ round: Int, _ history: inout RunHistory, task: String = "train") {
        history.apply(.roundOpened(round: round, stage: 0, task: task))
        for worker in ["a", "b"] {
            history.apply(
                .contributionAccepted(
                    ContributionFacts(
                        round: round, worker: worker, submission: CoordinatorMachineTests.submission(3, round: round),
                        base: CoordinatorMachineTests.digest(1), weight: 1)))
        }
        if round == 1 { history.apply(.contributionRefused(round: 1, worker: "c", reason: "declined: \u{1B}no")) }
        var outcome = StepOutcome(loss: Double(round), density: 0.25, bitsPerWeight: 0.5, foldSeconds: 0.25)
        if task == "evaluate" { outcome.accuracy = Double(round) / 10_000 }
        history.apply(
            .stepFinished(
                round: round, stage: 0, outcome: outcome, snapshot: nil,
                traffic: StepTraffic(wireBytesUp: 1, wireBytesDown: 2, float32BytesUp: 3, float32BytesDown: 4),
                seconds: 0.5))
    }

    @Test func tellsEachRoundOfAShortRun() throws {
        var history = Self.history(9)
        for round in 0..<3 { Self.close(round, &history, task: round == 2 ? "evaluate" : "train") }
        let course = RunCourse(history: history)
        #expect(course.revision == history.revision)
        #expect(course.roundsEach == 1)
        #expect(course.rounds.map(\.first) == [0, 1, 2])
        #expect(course.rounds.map(\.trainingLoss) == [0, 1, nil])
        #expect(course.rounds.map(\.testLoss) == [nil, nil, 2])
        #expect(course.rounds.map(\.accuracy) == [nil, nil, 0.0002])
        #expect(course.rounds.map(\.contributions) == [2, 2, 2])
        #expect(course.rounds.map(\.refusals) == [0, 1, 0])
        #expect(course.trainingLoss == 1)
        #expect(course.testLoss == 2)
        #expect(course.foldSeconds == 0.75)
        let refusals = course.refusals.map { "\($0.kind) \($0.count)" }
        #expect(refusals == ["declined 1"])
        #expect(course.newestRefusals.map(\.reason) == ["declined: \u{1B}no"])
        #expect(course.stages.map(\.state) == ["running"])
    }

    /// The same records, the same course: a restarted coordinator shows what it showed.
    @Test func followsFromTheRecordsAlone() {
        var one = Self.history(9)
        var two = Self.history(9)
        for round in 0..<5 {
            Self.close(round, &one)
            Self.close(round, &two)
        }
        #expect(RunCourse(history: one) == RunCourse(history: two))
        #expect(one.roundTimes == two.roundTimes)
    }

    /// A guard that tries again: nobody is told of 25 of 22 rounds.
    @Test func moreRoundsThanPlannedAreExpectedWhenTheyBegin() {
        var history = Self.history(3)
        let planned = history.plan.roundsPlanned
        for round in 0..<planned { Self.close(round, &history) }
        #expect(RunStatus(history: history).roundsPlanned == planned)
        history.apply(.roundOpened(round: planned, stage: 0, task: "train"))
        #expect(RunStatus(history: history).roundsPlanned == planned + 1)
        #expect(RunStatus(history: history).roundsCompleted == planned)
    }

    @Test func aLongRunIsThinnedAndLosesNothing() throws {
        var history = Self.history(3 * RunHistory.roundSummaryLimit)
        let count = 2 * RunHistory.roundSummaryLimit + 1
        for round in 0..<count { Self.close(round, &history, task: round.isMultiple(of: 10) ? "evaluate" : "train") }
        let course = RunCourse(history: history)
        #expect(course.rounds.count <= RunCourse.roundsLimit)
        #expect(course.roundsBefore == count - RunHistory.roundSummaryLimit)
        #expect(course.rounds.first?.first == course.roundsBefore)
        #expect(course.rounds.last?.last == count - 1)
        #expect(course.rounds.reduce(0) { $0 + $1.wireBytesDown } == 2 * RunHistory.roundSummaryLimit)
        #expect(zip(course.rounds, course.rounds.dropFirst()).allSatisfy { $0.last + 1 == $1.first })
        let train = try #require(history.roundTimes.byTask.first { $0.name == "train" })
        let evaluate = try #require(history.roundTimes.byTask.first { $0.name == "evaluate" })
        #expect(train.times.rounds + evaluate.times.rounds == count)
        #expect(train.times.counts[2] == train.times.rounds)
        #expect(try JSONEncoder().encode(course).count < 200_000)
    }

    @Test func groupsDoNotSpanStages() {
        func summary(_ number: Int, stage: Int, loss: Double?) -> RoundSummary {
            var summary = RoundSummary(
                number: number, stage: stage, task: "train", traffic: StepTraffic(), parameters: nil, sparsity: 0,
                density: nil)
            summary.loss = loss
            return summary
        }
        let groups = RunCourse.grouped(
            [
                summary(0, stage: 0, loss: 1), summary(1, stage: 0, loss: 3), summary(2, stage: 0, loss: .nan),
                summary(3, stage: 1, loss: nil), summary(4, stage: 1, loss: 7),
            ], by: 2)
        let spans = groups.map { [$0.first, $0.last] }
        #expect(spans == [[0, 1], [2, 2], [3, 4]])
        #expect(groups.map(\.trainingLoss) == [2, nil, 7])
    }

    @Test(arguments: [
        ("declined: it has another snapshot", RefusalKind.declined),
        ("its bytes could not be fetched: gone", .transfer), ("its bytes could not be fetched: not finite", .transfer),
        ("the update is based on another snapshot than ab, its task's", .base),
        ("the update has mask epoch 3 where 4 is needed; fetch the current snapshot", .base),
        ("the update's norm 9.0 exceeds the bound 1.0 (wire.maximumNormRatio)", .norm),
        ("the loss is not finite", .notFinite),
        ("tensor 'w' holds an infinity or a NaN; lower the learning rate", .notFinite),
        ("the result declares 9 bytes, more than 1", .size), ("the result is weighted by no samples", .samples),
        ("the result measured 9 targets of 1", .samples), ("the task's result is of the wrong kind", .kind),
        ("the result is of a model of width 0.5, which the round has not", .kind),
        ("not an update: the first bytes are not 'PLUP'; pass a blob in the update format", .malformed),
        ("the update ends at byte 3, within header; fetch it again", .malformed), ("", .other), ("no idea", .other),
    ]) func reasonsHaveKinds(reason: String, kind: RefusalKind) {
        #expect(RefusalKind(reason: reason) == kind)
    }

    @Test func theNewestRefusalsAreFewAndShort() {
        var log = RefusalLog()
        for round in 0..<1000 {
            log.note(round: round, worker: "w", reason: String(repeating: "e\u{301}", count: 10_000))
        }
        #expect(log.newest.count == RefusalLog.newestLimit)
        #expect(log.newest.last?.round == 999)
        #expect(log.newest.allSatisfy { $0.reason.unicodeScalars.count == RefusalLog.reasonLimit })
        #expect(log.byKind.map(\.count) == [1000])
    }

    /// Who took part before a restart is missing too, and who said goodbye is not waited for.
    @Test func theFleetHoldsWhoWasThereBefore() {
        var history = Self.history(9)
        Self.close(0, &history)
        var machine = CoordinatorMachine(history: history)
        _ = machine.receive(.started, at: 0)
        #expect(machine.status(at: 1).workers.map(\.state) == ["lost", "lost"])
        #expect(machine.status(at: 1).workers.map(\.secondsSinceSeen) == [nil, nil])
        for (session, name) in [(CoordinatorMachineTests.one, "a"), (CoordinatorMachineTests.two, "b")] {
            _ = machine.receive(.received(.hello(CoordinatorMachineTests.hello), session: session, worker: name), at: 1)
        }
        _ = machine.receive(.received(.ready(held: []), session: CoordinatorMachineTests.one, worker: "a"), at: 1)
        _ = machine.receive(
            .received(.goodbye(reason: "enough"), session: CoordinatorMachineTests.two, worker: "b"), at: 2)
        let workers = machine.status(at: 5).workers
        #expect(workers.map(\.state) == ["working", "left"])
        #expect(workers.map(\.isAwaited) == [true, false])
        #expect(workers.first?.taskSeconds == 4)
    }
}
