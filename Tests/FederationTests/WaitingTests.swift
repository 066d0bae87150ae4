import Testing

@testable import Federation

/// "Why are we waiting?" has an answer at any time, in the log and in the status.
struct WaitingTests {
    private typealias Fixture = CoordinatorMachineTests

    private static func waits(_ actions: [CoordinatorAction], _ name: String = "round.waiting") -> [LogEvent] {
        actions.compactMap { if case .log(let event) = $0, event.name == name { event } else { nil } }
    }

    private static func heartbeat(
        _ machine: inout CoordinatorMachine, _ session: SessionID, _ name: String, at now: Double
    ) {
        _ = machine.receive(.received(.heartbeat(round: 0, progress: 0.5), session: session, worker: name), at: now)
    }

    @Test func eachMissingWorkerHasItsLastSignOfLife() throws {
        var machine = Fixture.working()
        for time in 2...12 { Self.heartbeat(&machine, Fixture.one, "a", at: Double(time)) }
        for time in [4.0, 8.0] { Self.heartbeat(&machine, Fixture.two, "b", at: time) }
        _ = machine.receive(.ticked, at: 9)
        let event = try #require(Self.waits(machine.receive(.ticked, at: 12.5)).first)
        #expect(event["missing"] == .strings(["a", "b"]))
        #expect(event["missingSeconds"] == .numbers([0.5, 4.5]))
        let status = machine.status(at: 12.5)
        #expect(status.round?.missing == ["a", "b"])
        #expect(status.workers.map(\.secondsSinceSeen) == [0.5, 4.5])
        #expect(status.workers.map(\.task?.doing) == ["working", "working"])
        #expect(status.workers.map(\.task?.fraction) == [0.5, 0.5])
    }

    @Test func aWorkerThatFellSilentStaysMissing() throws {
        var machine = Fixture.working()
        for time in stride(from: 2.0, through: 30, by: 2) {
            Self.heartbeat(&machine, Fixture.one, "a", at: time)
            _ = machine.receive(.ticked, at: time)
        }
        #expect(machine.status(at: 30).round?.missing == ["a", "b"])
        #expect(machine.status(at: 30).workers.last?.secondsSinceSeen == 29)
        #expect(machine.status(at: 30).workers.last?.state == "lost")
    }

    @Test func aWorkerThatSaidGoodbyeIsNotMissing() {
        var machine = Fixture.working()
        _ = machine.receive(.received(.goodbye(reason: "stopped"), session: Fixture.two, worker: "b"), at: 2)
        #expect(machine.status(at: 3).round?.missing == ["a"])
    }

    @Test func afterARestartWhoTookPartIsMissingThoughNobodyHasCome() throws {
        var history = Fixture.working().history
        for worker in ["a", "b"] {
            history.apply(
                .contributionAccepted(
                    ContributionFacts(
                        round: 0, worker: worker, submission: Fixture.submission(7),
                        base: Fixture.base.snapshot.digest, weight: 10)))
        }
        history.apply(
            .stepFinished(
                round: 0, stage: 0, outcome: StepOutcome(loss: 1), snapshot: nil, traffic: StepTraffic(), seconds: 1))
        history.apply(.roundOpened(round: 1, stage: 0, task: "train"))
        var machine = CoordinatorMachine(history: history)
        _ = machine.receive(.started, at: 0)
        let status = machine.status(at: 1)
        #expect(status.round?.missing == ["a", "b"])
        #expect(status.workers.map(\.name) == ["a", "b"])
        #expect(status.workers.allSatisfy { $0.secondsSinceSeen == nil && $0.state == "lost" })
    }

    @Test func bytesOfAResultAreASignOfLifeAndShowHowFarTheyAre() throws {
        var machine = Fixture.working()
        _ = machine.receive(.received(.submission(Fixture.submission(7)), session: Fixture.one, worker: "a"), at: 2)
        _ = machine.receive(.blobProgressed(Fixture.digest(7), session: Fixture.one, received: 20), at: 6)
        let worker = try #require(machine.status(at: 7).workers.first)
        #expect(worker.secondsSinceSeen == 1)
        #expect(worker.task == RunStatus.TaskProgress(doing: "uploading", fraction: 0.4, bytes: 20, ofBytes: 50))
    }

    @Test func whoFetchesInputsIsSaidToFetch() throws {
        var machine = Fixture.working()
        let half = WorkerMachine.fetchShare / 2
        _ = machine.receive(.received(.heartbeat(round: 0, progress: half), session: Fixture.one, worker: "a"), at: 2)
        #expect(machine.status(at: 3).workers.first?.task == RunStatus.TaskProgress(doing: "fetching", fraction: 0.5))
    }

    @Test(arguments: [CoordinatorPhase.computing(startedAt: 100), .exporting(startedAt: 100)])
    func theCoordinatorsOwnWorkIsToldEveryTenSeconds(phase: CoordinatorPhase) throws {
        var machine = Fixture.working()
        machine.phase = phase
        machine.lastTickAt = 100
        var told: [Double] = []
        for time in stride(from: 100.25, through: 131, by: 0.25) {
            for (session, name) in [(Fixture.one, "a"), (Fixture.two, "b")] {
                Self.heartbeat(&machine, session, name, at: time)
            }
            if !Self.waits(machine.receive(.ticked, at: time), "run.waiting").isEmpty { told.append(time) }
        }
        #expect(told == [110, 120, 130])
        let reason = try #require(machine.status(at: 131).waitingFor)
        #expect(reason.contains("coordinator") && reason.contains("31 seconds"))
    }

    @Test func theQuorumThatIsReachedIsNamed() {
        var machine = Fixture.working(quorum: 1)
        _ = machine.receive(.received(.submission(Fixture.submission(7)), session: Fixture.one, worker: "a"), at: 2)
        _ = machine.receive(.blobArrived(Fixture.digest(7), session: Fixture.one), at: 3)
        _ = machine.receive(.examined(.folded, round: 0, worker: "a"), at: 4)
        let reason = machine.status(at: 5).waitingFor
        #expect(reason?.hasPrefix("1 worker is at work, 1 of 2 have contributed; the quorum is reached") == true)
    }
}
