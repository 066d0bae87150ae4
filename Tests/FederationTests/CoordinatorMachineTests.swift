import Testing

@testable import Federation

/// One coordinator, two workers, one training round: event by event.
struct CoordinatorMachineTests {
    static let base = SnapshotFacts(
        version: 0, snapshot: BlobReference(digest: digest(1), byteCount: 1000),
        graph: BlobReference(digest: digest(2), byteCount: 100), maskEpoch: 0, sparsity: 0,
        size: ModelSize(parameters: 100, macs: 1000, bytes: 1000))
    static let hello = Hello(
        software: "test", trainingSamples: 10, testSamples: 10, classes: 10, sampleShape: [1, 28, 28], threads: 1)
    static let one = SessionID(1)
    static let two = SessionID(2)

    static func digest(_ byte: UInt8) -> Digest {
        guard let digest = Digest(bytes: [UInt8](repeating: byte, count: 32)) else { preconditionFailure() }
        return digest
    }

    static func plan(quorum: Int = 2, rounds: Int = 1) -> Plan {
        Plan(
            name: "test", seed: 1, model: .file("m.onnx"), data: nil,
            fleet: FleetRules(workers: 2, quorum: quorum, deadlineSeconds: 100, waitSeconds: 50, leaseSeconds: 10),
            wire: WireRules(), stages: [.train(TrainPlan(rounds: rounds))], export: ExportPlan())
    }

    static func machine(quorum: Int = 2) -> CoordinatorMachine {
        let model = ModelFacts(source: "m", parameters: 100, bytes: 1000, sampleShape: [1, 28, 28], classes: 10)
        let records: [LedgerRecord] = [
            .runStarted(run: "r", plan: "test", model: model, teachers: [:]), .snapshotPublished(base),
        ]
        return CoordinatorMachine(history: RunHistory(plan: plan(quorum: quorum), records: records))
    }

    static func submission(_ byte: UInt8, round: Int = 0) -> Submission {
        Submission(
            round: round, blob: BlobReference(digest: digest(byte), byteCount: 50),
            metrics: TaskMetrics(samples: 10, lossSum: 5, correct: 3, measured: 10))
    }

    /// A machine whose two workers are at work in round 0.
    static func working(quorum: Int = 2) -> CoordinatorMachine {
        var machine = machine(quorum: quorum)
        _ = machine.receive(.started, at: 0)
        for (session, name) in [(one, "a"), (two, "b")] {
            _ = machine.receive(.received(.hello(hello), session: session, worker: name), at: 1)
            _ = machine.receive(.received(.ready(held: []), session: session, worker: name), at: 1)
        }
        return machine
    }

    /// Actions without the log events.
    static func essential(_ actions: [CoordinatorAction]) -> [CoordinatorAction] {
        actions.filter { if case .log = $0 { false } else { true } }
    }

    @Test func startOpensTheFirstRoundDurablyBeforeAnythingElse() {
        var machine = Self.machine()
        let actions = Self.essential(machine.receive(.started, at: 0))
        #expect(
            actions == [
                .commit([.roundOpened(round: 0, stage: 0, task: "train")]),
                .openFold(.average(), round: 0, base: Self.base, restoring: []),
            ])
    }

    @Test func helloIsWelcomedAndReadyGetsATask() {
        var machine = Self.machine()
        _ = machine.receive(.started, at: 0)
        let welcome = Self.essential(
            machine.receive(.received(.hello(Self.hello), session: Self.one, worker: "a"), at: 1))
        #expect(welcome == [.send(.welcome(version: 6, run: "r", heartbeatSeconds: 5, acceptedRounds: 0), Self.one)])
        let offer = Self.essential(machine.receive(.received(.ready(held: []), session: Self.one, worker: "a"), at: 1))
        guard case .send(.task(let task), Self.one)? = offer.first else {
            return #expect(Bool(false), "no task offered")
        }
        #expect(task.round == 0)
        #expect(task.snapshot.snapshot == Self.base.snapshot)
    }

    @Test func messagesBeforeHelloAreAnsweredWithUnknownSession() {
        var machine = Self.machine()
        _ = machine.receive(.started, at: 0)
        let actions = machine.receive(.received(.ready(held: []), session: Self.one, worker: "a"), at: 1)
        #expect(actions == [.send(.refusal(.unknownSession, reason: "say hello first"), Self.one)])
    }

    @Test func aFutureProtocolIsRefusedWithBothRanges() {
        var machine = Self.machine()
        _ = machine.receive(.started, at: 0)
        var hello = Self.hello
        hello.minimumVersion = 9
        hello.maximumVersion = 12
        let actions = Self.essential(machine.receive(.received(.hello(hello), session: Self.one, worker: "a"), at: 1))
        guard case .send(.refusal(.version, let reason), _)? = actions.first else { return #expect(Bool(false)) }
        #expect(reason.contains("9 to 12") && reason.contains("6 to 6"))
    }

    @Test func dataThatDoesNotFitTheModelIsRefused() {
        var machine = Self.machine()
        _ = machine.receive(.started, at: 0)
        var hello = Self.hello
        hello.sampleShape = [3, 32, 32]
        let actions = Self.essential(machine.receive(.received(.hello(hello), session: Self.one, worker: "a"), at: 1))
        guard case .send(.refusal(.data, let reason), _)? = actions.first else { return #expect(Bool(false)) }
        #expect(reason.contains("3x32x32") && reason.contains("1x28x28"))
    }

    /// Before the first round, with the stage and what helps.
    @Test func gradientsOfALossOverClassesNeedThem() {
        var plan = Self.plan(quorum: 2)
        plan.stages = [
            .prune(
                PrunePlan(
                    rules: MaskRules(criterion: .fisher), recipe: TrainingRecipe(loss: .crossEntropy)))
        ]
        let model = ModelFacts(source: "m", parameters: 100, bytes: 1000, sampleShape: [1, 28, 28], classes: 10)
        let history = RunHistory(
            plan: plan,
            records: [
                .runStarted(run: "r", plan: "test", model: model, teachers: [:]), .snapshotPublished(Self.base),
            ])
        for classes in [0, 10] {
            var machine = CoordinatorMachine(history: history)
            _ = machine.receive(.started, at: 0)
            var hello = Self.hello
            hello.classes = classes
            let actions = Self.essential(
                machine.receive(.received(.hello(hello), session: Self.one, worker: "a"), at: 1))
            guard case .send(.refusal(.data, let reason), _)? = actions.first else {
                #expect(classes == 10)
                continue
            }
            #expect(classes == 0)
            #expect(reason.contains("stage 1 (prune): criterion 'fisher'") && reason.contains("criterion: l2"))
        }
    }

    @Test func submissionIsFetchedExaminedCommittedThenAnswered() {
        var machine = Self.working()
        let submission = Self.submission(7)
        #expect(
            Self.essential(machine.receive(.received(.submission(submission), session: Self.one, worker: "a"), at: 2))
                == [.fetch(BlobReference(digest: Self.digest(7), byteCount: 50), Self.one)])
        let facts = ContributionFacts(
            round: 0, worker: "a", submission: submission, base: Self.base.snapshot.digest, weight: 10)
        #expect(machine.receive(.blobArrived(Self.digest(7), session: Self.one), at: 3) == [.examine(facts)])
        #expect(
            Self.essential(machine.receive(.examined(.folded, round: 0, worker: "a"), at: 4)) == [
                .commit([.contributionAccepted(facts)]),
                .send(.verdict(round: 0, accepted: true, reason: ""), Self.one),
            ])
    }

    @Test func aRepeatedSubmissionRepeatsTheVerdictAndCountsOnce() {
        var machine = Self.working()
        _ = machine.receive(.received(.submission(Self.submission(7)), session: Self.one, worker: "a"), at: 2)
        _ = machine.receive(.blobArrived(Self.digest(7), session: Self.one), at: 3)
        _ = machine.receive(.examined(.folded, round: 0, worker: "a"), at: 4)
        let again = machine.receive(.received(.submission(Self.submission(7)), session: Self.one, worker: "a"), at: 5)
        #expect(again == [.send(.verdict(round: 0, accepted: true, reason: ""), Self.one)])
        #expect(machine.history.openRound?.accepted.count == 1)
    }

    @Test func aRefusedContributionIsToldWhyAndTheRoundGoesOn() {
        var machine = Self.working(quorum: 1)
        _ = machine.receive(.received(.submission(Self.submission(7)), session: Self.one, worker: "a"), at: 2)
        _ = machine.receive(.blobArrived(Self.digest(7), session: Self.one), at: 3)
        let refused = Self.essential(
            machine.receive(.examined(.refused(reason: "not finite"), round: 0, worker: "a"), at: 4))
        #expect(
            refused == [
                .commit([.contributionRefused(round: 0, worker: "a", reason: "not finite")]),
                .send(.verdict(round: 0, accepted: false, reason: "not finite"), Self.one),
            ])
        _ = machine.receive(.received(.submission(Self.submission(8)), session: Self.two, worker: "b"), at: 5)
        _ = machine.receive(.blobArrived(Self.digest(8), session: Self.two), at: 6)
        let closed = machine.receive(.examined(.folded, round: 0, worker: "b"), at: 7)
        #expect(
            closed.contains { if case .compute(.fold(.average, 0, let set, _)) = $0 { set.count == 1 } else { false } })
    }

    @Test func theDeadlineClosesARoundThatHasItsQuorumAndWithdrawsTheRest() {
        var machine = Self.working(quorum: 1)
        _ = machine.receive(.received(.submission(Self.submission(7)), session: Self.one, worker: "a"), at: 2)
        _ = machine.receive(.blobArrived(Self.digest(7), session: Self.one), at: 3)
        _ = machine.receive(.examined(.folded, round: 0, worker: "a"), at: 4)
        for time in stride(from: 5.0, to: 99, by: 5) {
            _ = machine.receive(
                .received(.heartbeat(round: 0, progress: 0.1), session: Self.two, worker: "b"), at: time)
            let actions = machine.receive(.ticked, at: time)
            #expect(!actions.contains { if case .compute = $0 { true } else { false } })
        }
        _ = machine.receive(.received(.heartbeat(round: 0, progress: 0.1), session: Self.two, worker: "b"), at: 100)
        let late = Self.essential(machine.receive(.ticked, at: 101))
        #expect(late.first == .send(.withdrawal(round: 0, reason: "the round closed without it"), Self.two))
        #expect(late.contains { if case .compute = $0 { true } else { false } })
    }

    @Test func aSilentWorkerLosesItsLeaseToAnother() {
        var machine = Self.working()
        _ = machine.receive(.received(.heartbeat(round: 0, progress: 0.5), session: Self.one, worker: "a"), at: 9)
        let lost = machine.receive(.ticked, at: 12)
        #expect(lost.contains { if case .log(let event) = $0 { event.name == "worker.lost" } else { false } })
        _ = machine.receive(.received(.hello(Self.hello), session: SessionID(3), worker: "c"), at: 13)
        let offer = Self.essential(
            machine.receive(.received(.ready(held: []), session: SessionID(3), worker: "c"), at: 13))
        #expect(offer.contains { if case .send(.task, SessionID(3)) = $0 { true } else { false } })
    }

    @Test func aFleetThatCannotReachItsQuorumEndsTheRunWithItsReason() {
        var machine = Self.machine()
        _ = machine.receive(.started, at: 0)
        #expect(machine.receive(.ticked, at: 49).allSatisfy { if case .finish = $0 { false } else { true } })
        let actions = machine.receive(.ticked, at: 51)
        guard case .finish(false, let reason, .noWorkers)? = actions.last else { return #expect(Bool(false)) }
        #expect(reason.contains("0 of 2") && reason.contains("start workers"))
    }

    @Test func waitingIsNeverSilent() {
        var machine = Self.working()
        var events: [LogEvent] = []
        for time in stride(from: 2.0, through: 40, by: 1) {
            for (session, name) in [(Self.one, "a"), (Self.two, "b")] {
                _ = machine.receive(
                    .received(.heartbeat(round: 0, progress: 0), session: session, worker: name), at: time)
            }
            for case .log(let event) in machine.receive(.ticked, at: time) where event.name == "round.waiting" {
                events.append(event)
            }
        }
        #expect(events.count >= 3)
        #expect(events[0]["missing"] == .strings(["a", "b"]))
    }

    @Test func aRestartFoldsAcceptedContributionsAgain() {
        var machine = Self.working()
        _ = machine.receive(.received(.submission(Self.submission(7)), session: Self.one, worker: "a"), at: 2)
        _ = machine.receive(.blobArrived(Self.digest(7), session: Self.one), at: 3)
        _ = machine.receive(.examined(.folded, round: 0, worker: "a"), at: 4)
        var restarted = CoordinatorMachine(history: machine.history)
        let facts = ContributionFacts(
            round: 0, worker: "a", submission: Self.submission(7), base: Self.base.snapshot.digest, weight: 10)
        #expect(
            Self.essential(restarted.receive(.started, at: 0))
                == [.openFold(.average(), round: 0, base: Self.base, restoring: [facts])])
    }

    @Test(arguments: [
        (Submission(round: 0, blob: nil, metrics: TaskMetrics(samples: 1)), "wrong kind"),
        (
            Submission(
                round: 0, blob: BlobReference(digest: digest(9), byteCount: 1 << 30), metrics: TaskMetrics(samples: 1)),
            "more than"
        ),
        (
            Submission(
                round: 0, blob: BlobReference(digest: digest(9), byteCount: 5), metrics: TaskMetrics(samples: 0)),
            "no samples"
        ),
    ])
    func impossibleSubmissionsAreRefusedUnseen(submission: Submission, phrase: String) {
        var machine = Self.working()
        let actions = machine.receive(.received(.submission(submission), session: Self.one, worker: "a"), at: 2)
        let reasons = actions.compactMap {
            if case .send(.verdict(0, false, let reason), _) = $0 { reason } else { nil }
        }
        #expect(reasons.count == 1 && reasons[0].contains(phrase))
    }

    @Test func aWorkerCannotAnswerForAnother() {
        var machine = Self.working()
        let actions = machine.receive(.received(.submission(Self.submission(7)), session: Self.one, worker: "b"), at: 2)
        #expect(actions == [.send(.refusal(.unknownSession, reason: "say hello first"), Self.one)])
    }
}
