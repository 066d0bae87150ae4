import Testing

@testable import Federation

/// Teachers that workers bring: who may join, and what a task says.
struct OwnTeacherTests {
    private typealias Machine = CoordinatorMachineTests

    private static func machine(_ teacher: TeacherPlan) -> CoordinatorMachine {
        var plan = Machine.plan(quorum: 2)
        plan.stages = [.train(TrainPlan(rounds: 1, teacher: teacher))]
        let model = ModelFacts(source: "m", parameters: 100, bytes: 1000, sampleShape: [1, 28, 28], classes: 10)
        var machine = CoordinatorMachine(
            history: RunHistory(
                plan: plan,
                records: [
                    .runStarted(
                        run: "r", plan: "test", model: model,
                        teachers: ["t": BlobReference(digest: Machine.digest(9), byteCount: 5)]),
                    .snapshotPublished(Machine.base),
                ]))
        _ = machine.receive(.started, at: 0)
        return machine
    }

    @Test(arguments: [(nil, "--teacher FILE"), (7, "7 classes but the model has 10"), (10, nil)] as [(Int?, String?)])
    func workersWithoutAFittingOneAreRefused(classes: Int?, phrase: String?) {
        var machine = Self.machine(TeacherPlan(source: .own))
        var hello = Machine.hello
        hello.teacherClasses = classes
        let actions = Machine.essential(
            machine.receive(.received(.hello(hello), session: Machine.one, worker: "a"), at: 1))
        guard case .send(.refusal(.data, let reason), _)? = actions.first else {
            #expect(phrase == nil)
            return
        }
        #expect(phrase.map(reason.contains) ?? false, "\(reason)")
    }

    @Test func aTaskNamesAllTeachersAndTerms() throws {
        let features = [FeatureTerm(.attentionMaps, weight: 3)]
        var machine = Self.machine(
            TeacherPlan(
                members: [TeacherMember(.own, weight: 2, resize: .nearest), TeacherMember(.file("t"))],
                temperature: 3, alpha: 0.25, features: features))
        var hello = Machine.hello
        hello.teacherClasses = 10
        _ = machine.receive(.received(.hello(hello), session: Machine.one, worker: "a"), at: 1)
        let actions = machine.receive(.received(.ready(held: []), session: Machine.one, worker: "a"), at: 1)
        let offers = actions.compactMap { action -> TaskOffer? in
            if case .send(.task(let offer), _) = action { offer } else { nil }
        }
        guard case .train(_, let teacher, _, _)? = offers.first?.work else { return #expect(Bool(false), "no task") }
        let blob = BlobReference(digest: Machine.digest(9), byteCount: 5)
        #expect(
            teacher
                == TeacherReference(
                    members: [.init(.own, weight: 2, resize: .nearest), .init(.model(blob))], temperature: 3,
                    alpha: 0.25, features: features))
        #expect(offers.first?.work.blobs == [blob])
    }
}
