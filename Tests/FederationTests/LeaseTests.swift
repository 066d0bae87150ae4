import Testing

@testable import Federation

/// Who is asked, who is late, who is asked instead, and what does not count as progress.
struct LeaseTests {
    typealias Machine = CoordinatorMachineTests

    static func machine(_ fleet: FleetRules, stages: [StagePlan] = [.train(TrainPlan(rounds: 1))]) -> CoordinatorMachine
    {
        let plan = Plan(
            name: "test", seed: 1, model: .file("m.onnx"), data: nil, fleet: fleet, wire: WireRules(),
            limits: PlanLimits(attempts: 3), stages: stages, export: ExportPlan())
        let model = ModelFacts(source: "m", parameters: 100, bytes: 1000, sampleShape: [1, 28, 28], classes: 10)
        var machine = CoordinatorMachine(
            history: RunHistory(
                plan: plan,
                records: [
                    .runStarted(run: "r", plan: "test", model: model, teachers: [:]), .snapshotPublished(Machine.base),
                ]))
        _ = machine.receive(.started, at: 0)
        return machine
    }

    static let small = FleetRules(
        workers: 2, deadlineSeconds: 100, waitSeconds: 50, leaseSeconds: 10, heartbeatSeconds: 2)

    static func join(_ machine: inout CoordinatorMachine, _ names: String, at now: Double) -> [String] {
        var asked: [String] = []
        for name in names {
            let session = SessionID(UInt64(name.asciiValue ?? 0))
            _ = machine.receive(.received(.hello(Machine.hello), session: session, worker: String(name)), at: now)
            asked += tasks(
                machine.receive(.received(.ready(held: []), session: session, worker: String(name)), at: now))
        }
        return asked
    }

    /// Names of the workers that got a task.
    static func tasks(_ actions: [CoordinatorAction]) -> [String] {
        actions.compactMap {
            guard case .send(.task, let session) = $0, let byte = UInt8(exactly: session.value) else { return nil }
            return String(UnicodeScalar(byte))
        }
    }

    static func session(_ name: Character) -> SessionID { SessionID(UInt64(name.asciiValue ?? 0)) }

    static func submit(_ machine: inout CoordinatorMachine, _ name: Character, _ byte: UInt8, at now: Double)
        -> [CoordinatorAction]
    {
        let submission = Machine.submission(byte)
        let worker = String(name)
        var actions = machine.receive(
            .received(.submission(submission), session: session(name), worker: worker), at: now)
        actions += machine.receive(.blobArrived(Machine.digest(byte), session: session(name)), at: now)
        return actions
    }

    static func heartbeat(
        _ machine: inout CoordinatorMachine, _ name: Character, _ progress: Double = 0, round: Int? = 0, at now: Double
    ) {
        _ = machine.receive(
            .received(.heartbeat(round: round, progress: progress), session: session(name), worker: String(name)),
            at: now)
    }

    @Test func noMoreWorkersAreAskedThanWanted() {
        var machine = Self.machine(Self.small)
        #expect(Self.join(&machine, "abc", at: 1) == ["a", "b"])
    }

    @Test func overSelectionAsksMoreAndTheFirstEnoughWin() {
        var fleet = Self.small
        fleet.overSelect = 2
        var machine = Self.machine(fleet)
        #expect(Self.join(&machine, "abcde", at: 1) == ["a", "b", "c", "d"])
        _ = Self.submit(&machine, "c", 3, at: 2)
        _ = Self.submit(&machine, "d", 4, at: 2)
        // Two are being examined: a third waits, in case one of them is refused.
        let third = Self.submit(&machine, "a", 1, at: 2)
        #expect(!third.contains { if case .examine = $0 { true } else { false } })
        let refused = machine.receive(.examined(.refused(reason: "no"), round: 0, worker: "c"), at: 3)
        #expect(refused.contains { if case .examine(let facts) = $0 { facts.worker == "a" } else { false } })
        _ = machine.receive(.examined(.folded, round: 0, worker: "d"), at: 3)
        let closed = machine.receive(.examined(.folded, round: 0, worker: "a"), at: 4)
        #expect(
            closed.contains { if case .send(.withdrawal(0, _), Self.session("b")) = $0 { true } else { false } })
        let sets = closed.compactMap { action -> [String]? in
            if case .compute(.fold(_, _, let set, _)) = action { set.map(\.worker) } else { nil }
        }
        #expect(sets == [["a", "d"]])
    }

    @Test func aWorkerThatOnlySendsHeartbeatsIsReplacedAfterTheDeadlineAndTheFirstResultWins() {
        var machine = Self.machine(Self.small)
        _ = Self.join(&machine, "abc", at: 1)
        _ = Self.submit(&machine, "b", 2, at: 2)
        _ = machine.receive(.examined(.folded, round: 0, worker: "b"), at: 3)
        for now in stride(from: 2.0, through: 104, by: 2) {
            Self.heartbeat(&machine, "a", at: now)
            Self.heartbeat(&machine, "c", round: nil, at: now)
            _ = machine.receive(.ticked, at: now)
        }
        #expect(machine.leases.keys.sorted() == ["a", "c"])
        #expect(machine.lateWorkers(at: 104) == ["a"])
        _ = Self.submit(&machine, "c", 3, at: 110)
        let closed = machine.receive(.examined(.folded, round: 0, worker: "c"), at: 111)
        #expect(closed.contains { if case .compute = $0 { true } else { false } })
    }

    @Test func heartbeatsWithoutProgressDoNotHoldARunForEver() {
        var machine = Self.machine(Self.small)
        _ = Self.join(&machine, "ab", at: 1)
        var ended: (time: Double, reason: String)?
        for now in stride(from: 2.0, through: 1000, by: 2) where ended == nil {
            Self.heartbeat(&machine, "a", now < 120 ? now / 1000 : 0.12, at: now)
            Self.heartbeat(&machine, "b", at: now)
            for case .finish(false, let reason, .noWorkers) in machine.receive(.ticked, at: now) {
                ended = (now, reason)
            }
        }
        // Late from 101 on; the last progress was made at about 120.
        #expect(ended.map { (160...180).contains($0.time) } == true)
        #expect(ended?.reason.contains("without progress") == true)
    }

    @Test func aSlowWorkerThatMakesProgressIsNotLost() {
        var machine = Self.machine(Self.small)
        _ = Self.join(&machine, "ab", at: 1)
        for now in stride(from: 2.0, through: 900, by: 2) {
            Self.heartbeat(&machine, "a", now / 1000, at: now)
            Self.heartbeat(&machine, "b", now / 1000, at: now)
            #expect(!machine.receive(.ticked, at: now).contains { if case .finish = $0 { true } else { false } })
        }
        #expect(machine.leases.count == 2)
    }

    @Test func heartbeatsAboutAnotherTaskDoNotRenewALease() {
        var machine = Self.machine(Self.small)
        _ = Self.join(&machine, "abc", at: 1)
        var replaced: [String] = []
        for now in stride(from: 2.0, through: 14, by: 2) {
            Self.heartbeat(&machine, "a", round: nil, at: now)
            Self.heartbeat(&machine, "b", at: now)
            Self.heartbeat(&machine, "c", round: nil, at: now)
            replaced += Self.tasks(machine.receive(.ticked, at: now))
        }
        #expect(replaced == ["c"])
    }

    @Test func aDepartedWorkerKeepsItsLeaseUntilItRunsOut() {
        var machine = Self.machine(Self.small)
        _ = Self.join(&machine, "abc", at: 1)
        #expect(machine.receive(.departed(session: Self.session("a")), at: 2).isEmpty)
        Self.heartbeat(&machine, "b", at: 9)
        Self.heartbeat(&machine, "c", round: nil, at: 9)
        #expect(Self.tasks(machine.receive(.ticked, at: 10)).isEmpty)
        #expect(Self.tasks(machine.receive(.ticked, at: 12)) == ["c"])
    }

    @Test func aLostOfferIsSentAgainWhenItsWorkerStillAsks() {
        var machine = Self.machine(Self.small)
        _ = Self.join(&machine, "ab", at: 1)
        func ready(at now: Double) -> [String] {
            Self.tasks(
                machine.receive(.received(.ready(held: []), session: Self.session("a"), worker: "a"), at: now))
        }
        #expect(ready(at: 1.5).isEmpty)
        #expect(ready(at: 4) == ["a"])
    }

    @Test func aDecliningWorkerIsAskedAgainAfterAPauseAndNotForEver() {
        var machine = Self.machine(Self.small)
        _ = Self.join(&machine, "ab", at: 1)
        var times: [Double] = []
        func decline(at now: Double) {
            _ = machine.receive(
                .received(.decline(round: 0, reason: "no"), session: Self.session("a"), worker: "a"), at: now)
            _ = machine.receive(.received(.ready(held: []), session: Self.session("a"), worker: "a"), at: now)
        }
        decline(at: 1)
        for now in stride(from: 1.25, to: 90, by: 0.25) {
            Self.heartbeat(&machine, "b", at: now)
            Self.heartbeat(&machine, "a", round: nil, at: now)
            if Self.tasks(machine.receive(.ticked, at: now)) == ["a"] {
                times.append(now)
                decline(at: now)
            }
        }
        #expect(times == [2, 4])
        #expect(machine.history.contributionsRefused == 3)
    }

    @Test func aNonFiniteLossIsARefusalNotABrokenMessage() throws {
        var machine = Self.machine(Self.small)
        _ = Self.join(&machine, "ab", at: 1)
        var submission = Machine.submission(1)
        submission.metrics.lossSum = .nan
        let decoded = try WorkerMessage(decoding: WorkerMessage.submission(submission).encoded())
        let actions = machine.receive(.received(decoded, session: Self.session("a"), worker: "a"), at: 2)
        #expect(
            actions.contains {
                if case .send(.verdict(0, false, let reason), _) = $0 { reason.contains("finite") } else { false }
            })
    }

    @Test func wrongBytesAreRefusedButABrokenTransferIsNot() {
        for (fault, isRefused) in [(BlobFault.broken(reason: "gone"), false), (.wrong(reason: "digest"), true)] {
            var machine = Self.machine(Self.small)
            _ = Self.join(&machine, "ab", at: 1)
            _ = machine.receive(
                .received(.submission(Machine.submission(1)), session: Self.session("a"), worker: "a"), at: 2)
            let actions = machine.receive(.blobFailed(Machine.digest(1), session: Self.session("a"), fault), at: 3)
            #expect(
                actions.contains { if case .send(.verdict(0, false, _), _) = $0 { true } else { false } } == isRefused)
            #expect((machine.leases["a"] == nil) == isRefused)
        }
    }

    @Test func aFinishedRunTellsWhoeverComesLaterAndDoesNothingTwice() throws {
        var machine = Self.machine(Self.small, stages: [.evaluate(EvaluatePlan())])
        _ = Self.join(&machine, "ab", at: 1)
        let metrics = TaskMetrics(samples: 5, lossSum: 1, correct: 1, measured: 5)
        for name in "ab" {
            let submission = Submission(round: 0, blob: nil, metrics: metrics)
            _ = machine.receive(
                .received(.submission(submission), session: Self.session(name), worker: String(name)), at: 2)
            _ = machine.receive(.examined(.folded, round: 0, worker: String(name)), at: 2)
        }
        _ = machine.receive(.departed(session: Self.session("b")), at: 3)
        let step = ComputedStep(outcome: StepOutcome(accuracy: 0.5))
        #expect(machine.receive(.stepComputed(step, wireBytesUp: 0, wireBytesDown: 0), at: 3).contains(.export))
        let facts = ExportFacts(target: "float32", path: "p", byteCount: 1)
        let exported = machine.receive(.exported(facts), at: 4)
        #expect(exported.contains(.send(.finished(succeeded: true, reason: "the run finished"), Self.session("a"))))
        #expect(!exported.contains { if case .finish = $0 { true } else { false } })
        let back = machine.receive(
            .received(.hello(Machine.hello), session: SessionID(500), worker: "b"), at: 5)
        #expect(back.first == .send(.finished(succeeded: true, reason: "the run finished"), SessionID(500)))
        #expect(back.last == .finish(succeeded: true, reason: "the run finished", nil))

        var again = CoordinatorMachine(history: machine.history)
        let actions = again.receive(.started, at: 0) + again.receive(.ticked, at: 100)
        #expect(actions.last == .finish(succeeded: true, reason: "the run finished", nil))
        #expect(!actions.contains { if case .commit = $0 { true } else { $0 == .export } })
    }

    @Test func claimingATaskInTurnWithDecliningItHoldsNoPlace() {
        var machine = Self.machine(Self.small)
        _ = Self.join(&machine, "ab", at: 1)
        var asked: [String] = []
        for now in stride(from: 2.0, through: 120, by: 2) {
            _ = machine.receive(
                .received(.decline(round: 0, reason: "no"), session: Self.session("a"), worker: "a"), at: now)
            Self.heartbeat(&machine, "a", at: now)
            Self.heartbeat(&machine, "b", at: now)
            asked += Self.tasks(
                machine.receive(.received(.ready(held: []), session: Self.session("a"), worker: "a"), at: now))
        }
        #expect(asked.count <= 2)
        #expect(machine.history.contributionsRefused <= 3)
        #expect(Self.join(&machine, "c", at: 121) == ["c"])
    }

    @Test func aConnectionBelongsToOneWorker() {
        var machine = Self.machine(Self.small)
        _ = Self.join(&machine, "a", at: 1)
        let actions = machine.receive(
            .received(.hello(Machine.hello), session: Self.session("a"), worker: "b"), at: 2)
        #expect(actions.contains { if case .send(.refusal(.unknownSession, _), _) = $0 { true } else { false } })
        #expect(machine.sessions.values.map(\.worker) == ["a"])
    }

    @Test func aCoordinatorThatWasPausedReadsItsMailBeforeItCallsAnybodySilent() {
        var machine = Self.machine(Self.small)
        _ = Self.join(&machine, "ab", at: 1)
        _ = machine.receive(.ticked, at: 1.25)
        #expect(machine.receive(.ticked, at: 20).allSatisfy { if case .send = $0 { false } else { true } })
        Self.heartbeat(&machine, "a", at: 20.1)
        _ = machine.receive(.ticked, at: 20.25)
        #expect(machine.leases.keys.sorted() == ["a"])
    }
}
