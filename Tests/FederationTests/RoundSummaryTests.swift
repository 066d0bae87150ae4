import Testing

@testable import Federation

/// What the report and `round.closed` tell of single rounds.
@Suite struct RoundSummaryTests {
    private static func facts(_ version: Int, parameters: Int, sparsity: Double) -> SnapshotFacts {
        SnapshotFacts(
            version: version, snapshot: BlobReference(digest: CoordinatorMachineTests.digest(1), byteCount: 1),
            graph: BlobReference(digest: CoordinatorMachineTests.digest(2), byteCount: 1), maskEpoch: 0,
            sparsity: sparsity, size: ModelSize(parameters: parameters, macs: nil, bytes: 4 * parameters))
    }

    private static func history(rounds: Int) -> RunHistory {
        let model = ModelFacts(source: "m", parameters: 100, bytes: 1000, sampleShape: [], classes: 10)
        var history = RunHistory(plan: CoordinatorMachineTests.plan(rounds: rounds))
        history.apply(.runStarted(run: "r", plan: "test", model: model, teachers: [:]))
        history.apply(.snapshotPublished(CoordinatorMachineTests.base))
        return history
    }

    /// One training round that makes a smaller model.
    private static func close(_ round: Int, _ history: inout RunHistory) {
        history.apply(.roundOpened(round: round, stage: 0, task: "train"))
        history.apply(
            .stepFinished(
                round: round, stage: 0, outcome: StepOutcome(density: 0.25),
                snapshot: facts(round + 1, parameters: 90 - round, sparsity: 0.5),
                traffic: StepTraffic(wireBytesUp: round, wireBytesDown: 7), seconds: 1))
    }

    @Test func aRoundTellsWhatItMovedAndTheModelItBeganWith() {
        var history = Self.history(rounds: 3)
        Self.close(0, &history)
        Self.close(1, &history)
        #expect(
            history.roundSummaries == [
                RoundSummary(
                    number: 0, stage: 0, task: "train", traffic: StepTraffic(wireBytesDown: 7), parameters: 100,
                    sparsity: 0, density: 0.25, seconds: 1),
                RoundSummary(
                    number: 1, stage: 0, task: "train", traffic: StepTraffic(wireBytesUp: 1, wireBytesDown: 7),
                    parameters: 90, sparsity: 0.5, density: 0.25, seconds: 1),
            ])
    }

    @Test func transformsAreNoRounds() {
        var history = Self.history(rounds: 3)
        history.apply(
            .stepFinished(
                round: nil, stage: 0, outcome: StepOutcome(), snapshot: nil, traffic: StepTraffic(), seconds: 1))
        #expect(history.roundSummaries.isEmpty)
    }

    @Test func onlyTheNewestRoundsAreKept() {
        let limit = RunHistory.roundSummaryLimit
        var history = Self.history(rounds: 3 * limit)
        var most = 0
        for round in 0..<2 * limit + 5 {
            Self.close(round, &history)
            most = max(most, history.roundSummaries.count)
        }
        #expect(most == 2 * limit)
        #expect(history.roundSummaries.map(\.number) == Array(limit..<2 * limit + 5))
    }

    @Test func theEventOfARoundTellsTheModelItBeganWith() throws {
        var machine = CoordinatorMachineTests.working()
        _ = machine.receive(.started, at: 0)
        let base = Self.facts(3, parameters: 42, sparsity: 0.75)
        let round = OpenRound(number: 0, stage: 0, task: "train")
        let event = machine.roundClosed(round, StepOutcome(), base: base, traffic: StepTraffic(), seconds: 1)
        let fields = Dictionary(event.fields.map { ($0.key, $0.value) }, uniquingKeysWith: { $1 })
        #expect(fields["parameters"] == .int(42))
        #expect(fields["sparsity"] == .double(0.75))
    }
}
