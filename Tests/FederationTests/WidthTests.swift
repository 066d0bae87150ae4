import Testing

@testable import Federation

/// Workers of different strength: what they are asked for, when channels are chosen, and what the ledger says of it.
struct WidthTests {
    typealias Machine = CoordinatorMachineTests

    private static func change(_ byte: UInt8) -> BlobReference {
        BlobReference(digest: Machine.digest(byte), byteCount: 60)
    }

    private static let widths = [
        ModelWidth(share: 0.5, change: change(50)), ModelWidth(share: 0.25, change: change(51)),
    ]

    private static func machine(_ stages: [StagePlan], rounds: RoundMode = .synchronous) -> CoordinatorMachine {
        LeaseTests.machine(
            FleetRules(
                workers: 2, rounds: rounds, buffer: 2, deadlineSeconds: 100, waitSeconds: 50, leaseSeconds: 1000,
                widths: [1, 0.5, 0.25]), stages: stages)
    }

    /// A machine that is asked to choose channels before its first round, and does.
    private static func nested(_ stages: [StagePlan] = [.train(TrainPlan(rounds: 2))]) -> CoordinatorMachine {
        var machine = machine(stages)
        finish(&machine, StepOutcome(widths: widths))
        return machine
    }

    @discardableResult
    private static func finish(
        _ machine: inout CoordinatorMachine, _ outcome: StepOutcome, snapshot: SnapshotFacts? = nil
    ) -> [CoordinatorAction] {
        machine.receive(
            .stepComputed(ComputedStep(outcome: outcome, snapshot: snapshot), wireBytesUp: 0, wireBytesDown: 0), at: 1)
    }

    /// The width that a worker of this strength is asked for; nil is the whole model.
    private static func asked(_ machine: inout CoordinatorMachine, _ name: Character, _ strength: Double) -> ModelWidth?
    {
        let session = LeaseTests.session(name)
        var hello = Machine.hello
        hello.strength = strength
        _ = machine.receive(.received(.hello(hello), session: session, worker: String(name)), at: 1)
        let actions = machine.receive(.received(.ready(held: []), session: session, worker: String(name)), at: 1)
        for case .send(.task(let offer), _) in actions { return offer.work.width }
        Issue.record("\(name) was asked for nothing")
        return nil
    }

    private static func snapshot(_ version: Int, graph: UInt8, maskEpoch: UInt32 = 0) -> SnapshotFacts {
        var facts = Machine.base
        facts.version = version
        facts.snapshot.digest = Machine.digest(UInt8(100 + version))
        facts.graph.digest = Machine.digest(graph)
        facts.maskEpoch = maskEpoch
        return facts
    }

    @Test func channelsAreChosenBeforeTheFirstRoundAndNamedForTheFold() throws {
        var machine = Self.machine([.train(TrainPlan(rounds: 2))])
        #expect(machine.history.step == .nest(widths: [0.5, 0.25]))
        #expect(machine.history.widthsInUse.isEmpty)
        let actions = Machine.essential(Self.finish(&machine, StepOutcome(widths: Self.widths)))
        #expect(
            actions.suffix(2) == [
                .commit([.roundOpened(round: 0, stage: 0, task: "train")]),
                .openFold(.average(), round: 0, base: Machine.base, restoring: [], widths: Self.widths),
            ])
        #expect(machine.history.namedBlobs.isSuperset(of: Self.widths.map(\.change.digest)))
        // What a restart replays.
        guard case .commit(let records)? = actions.first else { return #expect(Bool(false)) }
        var replayed = Self.machine([.train(TrainPlan(rounds: 2))]).history
        for record in records { replayed.apply(record) }
        #expect(replayed.nestings == machine.history.nestings && replayed.step == machine.history.step)
    }

    @Test func everybodyIsAskedForTheLargestWidthOfItsStrength() {
        for (strength, share) in [(1, 1), (0.99, 0.5), (0.5, 0.5), (0.4, 0.25), (0.01, 0.25)] {
            var machine = Self.nested()
            #expect(Self.asked(&machine, "a", strength)?.share ?? 1 == share)
        }
    }

    @Test func aContributionSaysItsWidthInLedgerAndLog() throws {
        var machine = Self.nested()
        #expect(Self.asked(&machine, "a", 0.5) == Self.widths[0])
        var submission = Machine.submission(7)
        submission.width = 0.5
        let session = LeaseTests.session("a")
        _ = machine.receive(.received(.submission(submission), session: session, worker: "a"), at: 2)
        let examined = machine.receive(.blobArrived(Machine.digest(7), session: session), at: 3)
        guard case .examine(let facts)? = examined.first else { return #expect(Bool(false)) }
        #expect(facts.width == 0.5)
        let accepted = machine.receive(.examined(.folded, round: 0, worker: "a"), at: 4)
        let events = accepted.compactMap { if case .log(let event) = $0 { event } else { nil } }
        #expect(events.first { $0.name == "contribution.accepted" }?["width"] == .double(0.5))
        // A restarted coordinator folds it with the same width.
        var restarted = CoordinatorMachine(history: machine.history)
        #expect(
            Machine.essential(restarted.receive(.started, at: 0)).first
                == .openFold(.average(), round: 0, base: Machine.base, restoring: [facts], widths: Self.widths))
    }

    @Test func aWidthThatTheRoundHasNotIsRefusedUnseen() {
        var machine = Self.nested()
        #expect(Self.asked(&machine, "a", 0.5) != nil)
        var submission = Machine.submission(7)
        submission.width = 0.3
        let session = LeaseTests.session("a")
        let actions = machine.receive(.received(.submission(submission), session: session, worker: "a"), at: 2)
        let reasons = actions.compactMap {
            if case .send(.verdict(0, false, let reason), _) = $0 { reason } else { nil }
        }
        #expect(reasons == ["the result is of a model of width 0.3, which the round has not"])
    }

    /// The kinds of all steps of a run, whose structural steps each make another graph.
    private static func steps(_ stages: [StagePlan], widths: [Double] = [1, 0.5, 0.25]) -> [String] {
        var plan = Machine.plan()
        plan.stages = stages
        plan.fleet.widths = widths
        let model = ModelFacts(source: "m", parameters: 100, bytes: 1000, sampleShape: [], classes: 10)
        var history = RunHistory(
            plan: plan,
            records: [
                .runStarted(run: "r", plan: "test", model: model, teachers: [:]), .snapshotPublished(Machine.base),
            ])
        var names: [String] = []
        while !history.allStagesFinished {
            guard let step = history.step, let current = history.snapshot else {
                history.apply(.stageFinished(stage: history.stageIndex, seconds: 0))
                continue
            }
            var outcome = StepOutcome()
            var next: SnapshotFacts?
            switch step {
            case .nest(let shares):
                names.append("nest")
                outcome.widths = shares.map { ModelWidth(share: $0, change: change(60)) }
            case .decideMask(let decision):
                let isStructural = decision.rules.granularity.isStructural
                names.append("mask")
                next = snapshot(
                    current.version + 1,
                    graph: isStructural ? UInt8(150 + current.version) : current.graph.digest.bytes[0],
                    maskEpoch: current.maskEpoch + 1)
            default:
                names.append(step.task ?? "rewind")
                if step.task == "train" {
                    next = snapshot(
                        current.version + 1, graph: current.graph.digest.bytes[0], maskEpoch: current.maskEpoch)
                }
            }
            history.apply(
                .stepFinished(
                    round: nil, stage: history.stageIndex, outcome: outcome, snapshot: next, traffic: StepTraffic(),
                    seconds: 1))
        }
        return names
    }

    @Test func channelsAreChosenOncePerStageAndAnewWhenTheModelHasShrunk() {
        let structural = PrunePlan(
            rules: MaskRules(granularity: .channel, criterion: .l2), schedule: .linear, steps: 2, roundsPerStep: 2)
        let masking = PrunePlan(rules: MaskRules(criterion: .l2), schedule: .linear, steps: 2, roundsPerStep: 1)
        let train = StagePlan.train(TrainPlan(rounds: 3))
        #expect(Self.steps([train]) == ["nest", "train", "train", "train", "evaluate"])
        #expect(Self.steps([train], widths: [1]) == ["train", "train", "train", "evaluate"])
        #expect(
            Self.steps([train, .prune(structural)])
                == ["nest", "train", "train", "train", "evaluate"]
                + ["mask", "nest", "train", "train", "mask", "nest", "train", "train", "evaluate"])
        // A mask leaves the graph as it is.
        #expect(Self.steps([.prune(masking)]) == ["mask", "nest", "train", "mask", "train", "evaluate"])
        #expect(Self.steps([.evaluate(EvaluatePlan())]) == ["evaluate"])
    }

    @Test func asynchronousRoundsOfAStageShareTheirWidths() {
        var machine = Self.machine([.train(TrainPlan(rounds: 3))], rounds: .asynchronous)
        Self.finish(&machine, StepOutcome(widths: Self.widths))
        #expect(Self.asked(&machine, "a", 0.25) == Self.widths[1])
        #expect(Self.asked(&machine, "b", 1) == nil)
        for name in "bc" {
            if name == "c" { #expect(Self.asked(&machine, "c", 1) == nil) }
            _ = AsynchronousRoundTests.contribute(&machine, name, round: 0, at: 3)
        }
        Self.finish(&machine, StepOutcome(), snapshot: Self.snapshot(1, graph: 2))
        #expect(machine.history.openRound?.number == 1)
        // Made for round 0, with channels that are those of round 1.
        var late = Machine.submission(9)
        late.width = 0.25
        let session = LeaseTests.session("a")
        _ = machine.receive(.received(.submission(late), session: session, worker: "a"), at: 4)
        _ = machine.receive(.blobArrived(Machine.digest(9), session: session), at: 4)
        let accepted = AsynchronousRoundTests.accepted(
            machine.receive(.examined(.folded, round: 0, worker: "a"), at: 5))
        #expect(accepted.map(\.width) == [0.25] && accepted.map(\.countedIn) == [1])
    }
}
