import Testing

@testable import Federation

/// Who only asks changes nothing: not the sessions, not what is known of a worker, not the log.
struct InquiryTests {
    private typealias Fixture = CoordinatorMachineTests

    private static func answers(
        to hello: Hello, session: UInt64 = 9, of worker: String = "a", _ machine: inout CoordinatorMachine
    ) -> [CoordinatorAction] {
        machine.receive(.received(.inquiry(hello), session: SessionID(session), worker: worker), at: 5)
    }

    @Test func aWorkerAtWorkKeepsItsSessionAndTask() {
        var machine = Fixture.working()
        let (sessions, leases, seen) = (machine.sessions, machine.leases, machine.lastSeen)
        let actions = Self.answers(to: Fixture.hello, &machine)
        guard case .send(.welcome(let version, let run, _, _), SessionID(9))? = actions.first else {
            Issue.record("\(actions)")
            return
        }
        #expect(actions.count == 1)
        #expect(version == supportedProtocolVersions.upperBound && run == "r")
        #expect(machine.sessions == sessions)
        #expect(machine.leases.keys.sorted() == leases.keys.sorted())
        #expect(machine.lastSeen == seen)
        // Neither does its end.
        #expect(machine.receive(.departed(session: SessionID(9)), at: 6).isEmpty)
        #expect(machine.sessions == sessions)
    }

    @Test func aStrangerIsNoWorkerAfterwards() {
        var machine = Fixture.working()
        _ = Self.answers(to: Fixture.hello, of: "stranger", &machine)
        #expect(!machine.status(at: 6).workers.contains { $0.name == "stranger" })
        let ready = machine.receive(
            .received(.ready(held: []), session: SessionID(9), worker: "stranger"), at: 7)
        #expect(ready == [.send(.refusal(.unknownSession, reason: "say hello first"), SessionID(9))])
    }

    @Test func whatAHelloWouldBeRefusedForIsSaid() {
        var machine = Fixture.working()
        var other = Fixture.hello
        (other.minimumVersion, other.maximumVersion) = (900, 901)
        guard case .send(.refusal(.version, let reason), _)? = Self.answers(to: other, &machine).first else {
            Issue.record("a version that nobody speaks was welcome")
            return
        }
        #expect(reason.contains("900 to 901"))
        var data = Fixture.hello
        data.sampleShape = [3, 32, 32]
        let actions = Self.answers(to: data, &machine)
        guard case .send(.refusal(.data, let mismatch), _)? = actions.first else {
            Issue.record("data of another shape were welcome: \(actions)")
            return
        }
        #expect(mismatch.contains("3x32x32") && actions.count == 1, "nothing is logged: \(actions)")
        // Without samples it is the protocol alone that is asked about.
        data.trainingSamples = 0
        guard case .send(.welcome, _)? = Self.answers(to: data, &machine).first else {
            Issue.record("a question without data was refused for them")
            return
        }
    }
}
