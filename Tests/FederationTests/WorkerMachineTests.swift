import Testing

@testable import Federation

/// One worker, event by event.
struct WorkerMachineTests {
    static func digest(_ byte: UInt8) -> Digest { CoordinatorMachineTests.digest(byte) }

    static func offer(round: Int, acceptedRounds: Int = 0) -> TaskOffer {
        TaskOffer(
            round: round, leaseSeconds: 30, seed: 1,
            snapshot: SnapshotReference(
                version: 0, snapshot: BlobReference(digest: digest(1), byteCount: 10),
                graph: BlobReference(digest: digest(2), byteCount: 10), maskEpoch: 0),
            scheme: WireSchemeSample.scheme, acceptedRounds: acceptedRounds,
            work: .train(TrainingRecipe(), teacher: nil))
    }

    static func machine(_ memory: WorkerMemory = WorkerMemory(run: "r")) -> WorkerMachine {
        WorkerMachine(hello: CoordinatorMachineTests.hello, memory: memory, held: [], patienceSeconds: 60, at: 0)
    }

    static func welcome(_ acceptedRounds: Int = 0) -> WorkerEvent {
        .received(.welcome(version: 6, run: "r", heartbeatSeconds: 5, acceptedRounds: acceptedRounds))
    }

    static func essential(_ actions: [WorkerAction]) -> [WorkerAction] {
        actions.filter { if case .log = $0 { false } else { true } }
    }

    static let submission = CoordinatorMachineTests.submission(7)
    static let pending = WorkerMemory.Pending(submission: submission, residual: digest(9))

    /// A machine that is running round 0.
    static func running() -> WorkerMachine {
        var machine = machine()
        _ = machine.receive(.connected, at: 1)
        _ = machine.receive(welcome(), at: 1)
        _ = machine.receive(.received(.task(offer(round: 0))), at: 2)
        _ = machine.receive(.prepared(round: 0, snapshots: [digest(1)]), at: 3)
        return machine
    }

    @Test func saysHelloThenAsksForWork() {
        var machine = Self.machine()
        #expect(machine.receive(.connected, at: 1) == [.send(.hello(CoordinatorMachineTests.hello))])
        #expect(machine.receive(Self.welcome(), at: 1) == [.send(.ready(held: []))])
    }

    @Test func fetchesWhatIsMissingThenRuns() {
        var machine = Self.machine()
        _ = machine.receive(.connected, at: 1)
        _ = machine.receive(Self.welcome(), at: 1)
        let offer = Self.offer(round: 0)
        #expect(machine.receive(.received(.task(offer)), at: 2) == [.prepare(offer)])
        let blob = BlobReference(digest: Self.digest(1), byteCount: 10)
        #expect(machine.receive(.missing(round: 0, blobs: [blob]), at: 2) == [.fetch(blob)])
        #expect(machine.receive(.blobArrived(Self.digest(1)), at: 3) == [.prepare(offer)])
        let run = Self.essential(machine.receive(.prepared(round: 0, snapshots: [Self.digest(1)]), at: 3))
        #expect(run == [.run(offer, residual: nil)])
    }

    @Test func aResultIsRememberedBeforeItIsSubmitted() {
        var machine = Self.running()
        let actions = Self.essential(machine.receive(.taskFinished(Self.submission, residual: Self.digest(9)), at: 4))
        var pending = Self.pending
        // Offered at 2, all inputs there at 3.
        pending.submission.metrics.fetchSeconds = 1
        #expect(
            actions == [
                .remember(WorkerMemory(run: "r", residual: nil, pending: pending)),
                .send(.submission(pending.submission)),
            ])
    }

    @Test func whatIsNotAnsweredIsAskedAgain() {
        var machine = Self.machine()
        _ = machine.receive(.connected, at: 1)
        #expect(machine.receive(.ticked, at: 7) == [.send(.hello(CoordinatorMachineTests.hello))])
        _ = machine.receive(Self.welcome(), at: 8)
        #expect(machine.receive(.ticked, at: 14) == [.send(.ready(held: []))])
    }

    @Test func aCoordinatorThatConnectsButNeverAnswersExhaustsPatience() {
        var machine = Self.machine()
        _ = machine.receive(.connected, at: 1)
        #expect(!machine.receive(.ticked, at: 60).contains { if case .finish = $0 { true } else { false } })
        guard case .finish(.unreachable)? = machine.receive(.ticked, at: 62).last else {
            return #expect(Bool(false), "it waits for ever")
        }
    }

    @Test func aCoordinatorThatCannotBeReadEndsTheWorkerWithAReason() {
        var machine = Self.machine()
        _ = machine.receive(.connected, at: 1)
        for _ in 0..<3 {
            #expect(Self.essential(machine.receive(.malformed(reason: "no message"), at: 2)).isEmpty)
        }
        guard case .finish(.refused(.malformed, let reason))? = machine.receive(.malformed(reason: "x"), at: 3).last
        else { return #expect(Bool(false), "it goes on") }
        #expect(reason.contains("install matching versions"))
    }

    @Test func theResidualAdvancesOnlyWithAnAcceptedVerdict() {
        var machine = Self.running()
        _ = machine.receive(.taskFinished(Self.submission, residual: Self.digest(9)), at: 4)
        let verdict = CoordinatorMessage.verdict(round: 0, accepted: true, reason: "")
        _ = machine.receive(.received(verdict), at: 5)
        #expect(machine.memory == WorkerMemory(run: "r", residual: Self.digest(9), pending: nil, settledRounds: 1))
    }

    /// The refusal may have crossed an acceptance: only what the ledger counts decides, and it says so with the next task.
    @Test(arguments: [
        CoordinatorMessage.verdict(round: 0, accepted: false, reason: "no"), .withdrawal(round: 0, reason: "late"),
    ])
    func aRefusedResultIsNotSubmittedAgainAndSettledByTheNextTask(refusal: CoordinatorMessage) {
        for accepted in [0, 1] {
            var machine = Self.running()
            _ = machine.receive(.taskFinished(Self.submission, residual: Self.digest(9)), at: 4)
            #expect(
                Self.essential(machine.receive(.received(refusal), at: 5)) == [.send(.ready(held: [Self.digest(1)]))])
            #expect(machine.memory.pending != nil)
            #expect(
                machine.receive(.ticked, at: 60).allSatisfy { if case .send(.submission) = $0 { false } else { true } })
            _ = machine.receive(.received(.task(Self.offer(round: 1, acceptedRounds: accepted))), at: 61)
            #expect(machine.memory.pending == nil)
            #expect(machine.memory.residual == (accepted == 1 ? Self.digest(9) : nil))
        }
    }

    /// Lost on our disk, it may have counted all the same: only the ledger tells.
    @Test func aLostResultIsSettledByTheLedgerAndDoneAgainIfItHasNotCounted() {
        for accepted in [0, 1] {
            var machine = WorkerMachine(
                hello: CoordinatorMachineTests.hello,
                memory: WorkerMemory(run: "r", residual: Self.digest(8), pending: Self.pending), canSubmit: false,
                held: [], patienceSeconds: 60, at: 0)
            _ = machine.receive(.connected, at: 1)
            let actions = Self.essential(machine.receive(Self.welcome(accepted), at: 1))
            #expect(actions.last == .send(.ready(held: [])))
            #expect(!actions.contains(.send(.submission(Self.submission))))
            #expect(machine.memory.residual == Self.digest(accepted == 1 ? 9 : 8))
            let offer = Self.offer(round: accepted, acceptedRounds: accepted)
            #expect(machine.receive(.received(.task(offer)), at: 2).last == .prepare(offer))
        }
    }

    static func isDecline(_ actions: [WorkerAction]) -> Bool {
        if actions.count == 1, case .send(.decline(0, _)) = actions[0] { true } else { false }
    }

    @Test func aCopyOfATaskThatHasCountedIsNotDoneAgain() {
        var machine = Self.running()
        _ = machine.receive(.taskFinished(Self.submission, residual: Self.digest(9)), at: 4)
        _ = machine.receive(.received(.verdict(round: 0, accepted: true, reason: "")), at: 5)
        #expect(Self.isDecline(machine.receive(.received(.task(Self.offer(round: 0))), at: 6)))
        var restarted = Self.machine(machine.memory)
        _ = restarted.receive(.connected, at: 1)
        _ = restarted.receive(Self.welcome(1), at: 1)
        #expect(Self.isDecline(restarted.receive(.received(.task(Self.offer(round: 0))), at: 2)))
    }

    @Test func aTaskThatANewerOneHasOvertakenChangesNothing() {
        var newer = Self.submission
        newer.round = 3
        var ahead = Self.machine(
            WorkerMemory(run: "r", pending: WorkerMemory.Pending(submission: newer, residual: Self.digest(9))))
        _ = ahead.receive(.connected, at: 1)
        _ = ahead.receive(Self.welcome(0), at: 1)
        #expect(ahead.receive(.received(.task(Self.offer(round: 2))), at: 2).isEmpty)
        #expect(ahead.memory.pending?.submission == newer)
    }

    @Test func aWorkerThatSubmitsStillRenewsItsLease() {
        var machine = Self.running()
        _ = machine.receive(.taskFinished(Self.submission, residual: nil), at: 4)
        #expect(machine.receive(.ticked, at: 9.5) == [.send(.heartbeat(round: 0, progress: 1))])
    }

    @Test func anAcceptanceAfterAWithdrawalStillMovesTheResidual() {
        var machine = Self.running()
        _ = machine.receive(.taskFinished(Self.submission, residual: Self.digest(9)), at: 4)
        _ = machine.receive(.received(.withdrawal(round: 0, reason: "late")), at: 5)
        _ = machine.receive(.received(.verdict(round: 0, accepted: true, reason: "")), at: 6)
        #expect(machine.memory == WorkerMemory(run: "r", residual: Self.digest(9), pending: nil, settledRounds: 1))
    }

    @Test func afterADeathTheLedgerSaysWhetherThePendingResultCounted() {
        for (acceptedRounds, residual) in [(1, Self.digest(9)), (2, nil as Digest?)] {
            var machine = Self.machine(WorkerMemory(run: "r", residual: nil, pending: Self.pending))
            _ = machine.receive(.connected, at: 1)
            let actions = machine.receive(Self.welcome(acceptedRounds), at: 1)
            #expect(machine.memory == WorkerMemory(run: "r", residual: residual, settledRounds: acceptedRounds))
            #expect(actions.last == .send(.ready(held: [])))
        }
    }

    @Test func aPendingResultIsSubmittedAgainAfterAReconnect() {
        var machine = Self.machine(WorkerMemory(run: "r", pending: Self.pending))
        _ = machine.receive(.connected, at: 1)
        #expect(machine.receive(Self.welcome(0), at: 1) == [.send(.submission(Self.submission))])
    }

    @Test func anotherRunForgetsEverything() {
        var machine = Self.machine(WorkerMemory(run: "old", residual: Self.digest(3), pending: Self.pending))
        _ = machine.receive(.connected, at: 1)
        let actions = machine.receive(Self.welcome(0), at: 1)
        #expect(actions == [.remember(WorkerMemory(run: "r")), .send(.ready(held: []))])
    }

    @Test func aReconnectDoesNotDisturbARunningTask() {
        var machine = Self.running()
        _ = machine.receive(.disconnected(reason: "gone"), at: 4)
        _ = machine.receive(.connected, at: 5)
        #expect(machine.receive(Self.welcome(), at: 5).isEmpty)
        #expect(!Self.essential(machine.receive(.taskFinished(Self.submission, residual: nil), at: 6)).isEmpty)
    }

    @Test func aWithdrawnTaskIsCancelled() {
        var machine = Self.running()
        let actions = machine.receive(.received(.withdrawal(round: 0, reason: "late")), at: 4)
        #expect(actions == [.cancel(round: 0), .send(.ready(held: [Self.digest(1)]))])
    }

    @Test func aTaskThatCannotBeDoneIsDeclinedWithItsReason() {
        var machine = Self.running()
        let actions = Self.essential(machine.receive(.taskFailed(round: 0, reason: "loss is not finite"), at: 4))
        #expect(actions.first == .send(.decline(round: 0, reason: "loss is not finite")))
    }

    @Test func heartbeatsFollowTheCoordinatorsPace() {
        var machine = Self.running()
        _ = machine.receive(.progressed(round: 0, fraction: 0.25), at: 4)
        #expect(machine.receive(.ticked, at: 5.9).isEmpty)
        #expect(machine.receive(.ticked, at: 6.1) == [.send(.heartbeat(round: 0, progress: 0.1 + 0.9 * 0.25))])
    }

    @Test func aRefusedKeyIsSaidAtOnceAndEndsTheWorkerWhenPatienceDoes() {
        var machine = Self.machine()
        let said = machine.receive(.turnedAway(reason: "key not allowed"), at: 1)
        #expect(said == [.log(LogEvent("worker.refused", level: .warning, ["reason": .string("key not allowed")]))])
        #expect(machine.receive(.ticked, at: 59).isEmpty)
        #expect(machine.receive(.ticked, at: 61) == [.finish(.turnedAway(reason: "key not allowed"))])
    }

    @Test func aCoordinatorThatNeverAnswersIsGivenUpWithTheReason() {
        var machine = Self.machine()
        _ = machine.receive(.disconnected(reason: "connection refused"), at: 1)
        #expect(machine.receive(.ticked, at: 59).isEmpty)
        guard case .finish(.unreachable(let reason))? = machine.receive(.ticked, at: 61).last else {
            return #expect(Bool(false))
        }
        #expect(reason.contains("connection refused"))
    }
}
