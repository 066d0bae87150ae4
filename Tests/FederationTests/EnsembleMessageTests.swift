import Testing

@testable import Federation

/// What ensembles say over the wire, and what a member remembers.
struct EnsembleMessageTests {
    typealias Machine = CoordinatorMachineTests

    /// A range that is narrower in a message than in the plan would make a run hang.
    @Test(arguments: ["1e-300", "100"], ["1e-300", "1"])
    func whateverAPlanSaysCanBeSent(temperature: String, alpha: String) throws {
        for epochs in ["1e-300", "1000"] {
            let plan = try Plan.parse(
                "model: {architecture: cnn}\nstages:\n"
                    + "  - distill: {ensemble: {temperature: \(temperature), alpha: \(alpha), epochs: \(epochs)}}",
                path: "p", environment: [:])
            let lesson = EnsembleLesson(try #require(plan.stages[0].ensemble))
            #expect(try EnsembleLesson(lesson.message) == lesson)
        }
    }

    @Test func messagesThatAskForTooMuchAreRefused() throws {
        let good = LogitsRequest(samples: 5, classes: 3, trainedRound: 7)
        #expect(try LogitsRequest(good.message) == good)
        for (samples, classes) in [(0, 3), (5, 0), (1 << 40, 1 << 40), (LogitsRequest.largestCount, 2)] {
            #expect(throws: MessageError.self) {
                try LogitsRequest(LogitsRequest(samples: samples, classes: classes).message)
            }
        }
        var lesson = EnsembleLesson(EnsembleTests.rules, share: 0.5).message
        #expect(try EnsembleLesson(lesson) == EnsembleLesson(EnsembleTests.rules, share: 0.5))
        for share in [1, -0.1, .nan, 2] {
            lesson.share = share
            #expect(throws: MessageError.self) { try EnsembleLesson(lesson) }
        }
        let hello = WorkerMessage.hello(EnsembleTests.hello(student: 5))
        #expect(try WorkerMessage(decoding: hello.encoded()) == hello)
        let without = WorkerMessage.hello(EnsembleTests.hello(nil))
        #expect(try WorkerMessage(decoding: without.encoded()) == without)
        // A digest without samples, or of another length.
        #expect(throws: MessageError.self) {
            try WorkerMessage(
                decoding: WorkerMessage.hello(EnsembleTests.hello(PublicSetName(digest: Machine.digest(1), samples: 0)))
                    .encoded())
        }
    }

    /// What a member keeps advances only with a contribution that counted.
    @Test func aMemberAdvancesAsTheResidualDoes() {
        let before = MemberMemory(model: Machine.digest(40), trainedRound: 0)
        let after = MemberMemory(model: Machine.digest(41), trainedRound: 2, logits: Machine.digest(42))
        let submission = Machine.submission(9, round: 2)
        let pending = WorkerMemory.Pending(submission: submission, residual: nil, member: after)
        func machine() -> WorkerMachine {
            var machine = WorkerMachine(
                hello: Machine.hello,
                memory: WorkerMemory(run: "r", pending: pending, settledRounds: 1, member: before), held: [],
                patienceSeconds: 10, at: 0)
            _ = machine.receive(.connected, at: 0)
            _ = machine.receive(
                .received(.welcome(version: 6, run: "r", heartbeatSeconds: 5, acceptedRounds: 1)), at: 0)
            return machine
        }
        var accepted = machine()
        _ = accepted.receive(.received(.verdict(round: 2, accepted: true, reason: "")), at: 1)
        #expect(accepted.memory.member == after && accepted.memory.pending == nil)
        var refused = machine()
        _ = refused.receive(.received(.verdict(round: 2, accepted: false, reason: "no")), at: 1)
        #expect(refused.memory.member == before)
        // The verdict was lost on the way; the ledger knows.
        _ = refused.receive(.received(.welcome(version: 6, run: "r", heartbeatSeconds: 5, acceptedRounds: 3)), at: 2)
        #expect(refused.memory.member == after)
        var other = machine()
        _ = other.receive(.received(.welcome(version: 6, run: "s", heartbeatSeconds: 5, acceptedRounds: 0)), at: 2)
        #expect(other.memory.member == nil)
    }
}
