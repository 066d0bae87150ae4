import Testing

@testable import Federation

/// FedBuff's rules in the machine: any open training round takes what comes, weighted by staleness.
struct AsynchronousRoundTests {
    typealias Machine = CoordinatorMachineTests

    static func machine(buffer: Int = 2, maximumStaleness: Int = 10, rounds: Int = 5) -> CoordinatorMachine {
        LeaseTests.machine(
            FleetRules(
                workers: 3, rounds: .asynchronous, buffer: buffer, maximumStaleness: maximumStaleness,
                deadlineSeconds: 100, waitSeconds: 50, leaseSeconds: 1000, heartbeatSeconds: 2),
            stages: [.train(TrainPlan(rounds: rounds))])
    }

    /// One worker's finished task of `round`, folded.
    static func contribute(_ machine: inout CoordinatorMachine, _ name: Character, round: Int, at now: Double)
        -> [CoordinatorAction]
    {
        let byte = UInt8(16 * round) + (name.asciiValue ?? 0) % 16
        let session = LeaseTests.session(name)
        let submission = Machine.submission(byte, round: round)
        var actions = machine.receive(
            .received(.submission(submission), session: session, worker: String(name)), at: now)
        actions += machine.receive(.blobArrived(Machine.digest(byte), session: session), at: now)
        actions += machine.receive(.examined(.folded, round: round, worker: String(name)), at: now)
        return actions
    }

    static func ready(_ machine: inout CoordinatorMachine, _ name: Character, at now: Double) -> [CoordinatorAction] {
        machine.receive(
            .received(.ready(held: []), session: LeaseTests.session(name), worker: String(name)), at: now)
    }

    static func compute(_ machine: inout CoordinatorMachine, at now: Double) -> [CoordinatorAction] {
        let base = machine.history.snapshot ?? Machine.base
        let next = SnapshotFacts(
            version: base.version + 1,
            snapshot: BlobReference(digest: Machine.digest(UInt8(200 + base.version)), byteCount: 1000),
            graph: base.graph, maskEpoch: 0, sparsity: 0, size: ModelSize(parameters: 100, macs: 1000, bytes: 1000))
        return machine.receive(
            .stepComputed(ComputedStep(outcome: StepOutcome(), snapshot: next), wireBytesUp: 0, wireBytesDown: 0),
            at: now)
    }

    static func accepted(_ actions: [CoordinatorAction]) -> [ContributionFacts] {
        actions.flatMap { action -> [ContributionFacts] in
            guard case .commit(let records) = action else { return [] }
            return records.compactMap { if case .contributionAccepted(let facts) = $0 { facts } else { nil } }
        }
    }

    @Test func aFullBufferClosesTheRoundAndTheOthersWorkOn() {
        var machine = Self.machine()
        #expect(LeaseTests.join(&machine, "abc", at: 1) == ["a", "b", "c"])
        _ = Self.contribute(&machine, "a", round: 0, at: 2)
        let closed = Self.contribute(&machine, "b", round: 0, at: 3)
        #expect(closed.contains { if case .compute = $0 { true } else { false } })
        #expect(!closed.contains { if case .send(.withdrawal, _) = $0 { true } else { false } })
        let opened = Self.compute(&machine, at: 4)
        #expect(!opened.contains { if case .send(.withdrawal, _) = $0 { true } else { false } })
        #expect(machine.leases.keys.sorted() == ["c"])
    }

    @Test func aStaleContributionCountsInTheOpenRoundWithItsWeight() {
        var machine = Self.machine()
        _ = LeaseTests.join(&machine, "abc", at: 1)
        for round in 0..<3 {
            for name in "ab" {
                _ = Self.contribute(&machine, name, round: round, at: 2)
                _ = Self.ready(&machine, name, at: 2)
            }
            _ = Self.compute(&machine, at: 3)
            for name in "ab" { _ = Self.ready(&machine, name, at: 3) }
        }
        let late = Self.accepted(Self.contribute(&machine, "c", round: 0, at: 4))
        #expect(late.count == 1)
        #expect(late.first?.countedIn == 3 && late.first?.round == 0)
        #expect(late.first?.base == Machine.base.snapshot.digest)
        // 10 samples in sixteenths; staleness 3 halves it.
        #expect(late.first?.fullWeight == 160 && late.first?.weight == 80)
    }

    @Test func oneTaskOfARoundCountsOncePerWorker() {
        var machine = Self.machine(buffer: 3)
        _ = LeaseTests.join(&machine, "abc", at: 1)
        _ = Self.contribute(&machine, "a", round: 0, at: 2)
        #expect(LeaseTests.tasks(Self.ready(&machine, "a", at: 2)).isEmpty)
        let again = Self.contribute(&machine, "a", round: 0, at: 3)
        #expect(Self.accepted(again).isEmpty)
        #expect(again.contains(.send(.verdict(round: 0, accepted: true, reason: ""), LeaseTests.session("a"))))
    }

    @Test func aResultThatComesWhileARoundIsComputedCountsInTheNext() {
        var machine = Self.machine()
        _ = LeaseTests.join(&machine, "abc", at: 1)
        _ = Self.contribute(&machine, "a", round: 0, at: 2)
        _ = Self.contribute(&machine, "b", round: 0, at: 2)
        let between = machine.receive(
            .received(.submission(Machine.submission(9)), session: LeaseTests.session("c"), worker: "c"), at: 3)
        #expect(between == [.fetch(BlobReference(digest: Machine.digest(9), byteCount: 50), LeaseTests.session("c"))])
        #expect(machine.receive(.blobArrived(Machine.digest(9), session: LeaseTests.session("c")), at: 3).isEmpty)
        let opened = Self.compute(&machine, at: 4)
        let examined = opened.compactMap { if case .examine(let facts) = $0 { facts } else { nil } }
        #expect(examined.map(\.worker) == ["c"] && examined.map(\.countedIn) == [1])
    }

    @Test func whatIsTooStaleOrForAnotherStepIsRefused() {
        var machine = Self.machine(maximumStaleness: 1, rounds: 3)
        _ = LeaseTests.join(&machine, "abc", at: 1)
        for round in 0..<2 {
            for name in "ab" {
                _ = Self.contribute(&machine, name, round: round, at: 2)
                _ = Self.ready(&machine, name, at: 2)
            }
            let opened = Self.compute(&machine, at: 3)
            for name in "ab" { _ = Self.ready(&machine, name, at: 3) }
            let withdrawn = opened.contains {
                if case .send(.withdrawal(0, _), LeaseTests.session("c")) = $0 { true } else { false }
            }
            #expect(withdrawn == (round == 1))
        }
        let actions = Self.contribute(&machine, "c", round: 0, at: 4)
        #expect(
            actions.first
                == .send(.verdict(round: 0, accepted: false, reason: "round 0 is not open"), LeaseTests.session("c")))
    }

    @Test func theDeadlineFlushesAPartOfABuffer() {
        var machine = Self.machine(buffer: 3)
        _ = LeaseTests.join(&machine, "abc", at: 1)
        _ = Self.contribute(&machine, "a", round: 0, at: 2)
        #expect(machine.receive(.ticked, at: 101).contains { if case .compute = $0 { true } else { false } })
    }

    @Test func aRestartKeepsTheBufferAndItsWeights() {
        var machine = Self.machine()
        _ = LeaseTests.join(&machine, "abc", at: 1)
        for name in "ab" { _ = Self.contribute(&machine, name, round: 0, at: 2) }
        _ = Self.compute(&machine, at: 3)
        let facts = Self.accepted(Self.contribute(&machine, "c", round: 0, at: 4))
        var restarted = CoordinatorMachine(history: machine.history)
        let restored = restarted.receive(.started, at: 0).compactMap { action -> [ContributionFacts]? in
            if case .openFold(_, 1, _, let restoring, _) = action { restoring } else { nil }
        }
        #expect(restored == [facts])
        // A worker that kept working on an old task is heard.
        _ = LeaseTests.join(&restarted, "b", at: 1)
        #expect(Self.accepted(Self.contribute(&restarted, "c", round: 0, at: 2)).isEmpty)
    }

    /// With the later task the worker has dropped the earlier result and the residual behind it.
    @Test func aResultFromBeforeALaterOfferIsRefused() {
        var machine = Self.machine()
        _ = LeaseTests.join(&machine, "abc", at: 1)
        for name in "ab" { _ = Self.contribute(&machine, name, round: 0, at: 2) }
        _ = Self.compute(&machine, at: 3)
        // c restarted, lost its task and asks again: it gets the task of round 1.
        _ = LeaseTests.join(&machine, "c", at: 4)
        #expect(machine.leases["c"]?.round == 1)
        let actions = Self.contribute(&machine, "c", round: 0, at: 5)
        #expect(Self.accepted(actions).isEmpty)
        let verdict = CoordinatorMessage.verdict(round: 0, accepted: false, reason: "superseded by a later task")
        #expect(actions.first == .send(verdict, LeaseTests.session("c")))
    }
}
