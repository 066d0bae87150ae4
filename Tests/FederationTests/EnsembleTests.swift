import Testing

@testable import Federation

/// Ensembles as the machines see them: rounds in pairs, one public set, and what each worker is told of the consensus.
struct EnsembleTests {
    typealias Machine = CoordinatorMachineTests

    static let rules = EnsemblePlan(temperature: 2, alpha: 0.5, epochs: 3, isMutual: true)
    static let set = PublicSetName(digest: Machine.digest(80), samples: 30)

    private static func stage(_ rules: EnsemblePlan = rules, rounds: Int = 2) -> StagePlan {
        .distill(DistillPlan(rounds: rounds, ensemble: rules))
    }

    private static func machine(_ rules: EnsemblePlan = rules) -> CoordinatorMachine {
        LeaseTests.machine(
            FleetRules(workers: 2, deadlineSeconds: 100, waitSeconds: 50, leaseSeconds: 1000), stages: [stage(rules)])
    }

    static func hello(_ set: PublicSetName? = set, student: Int = 0) -> Hello {
        var hello = Machine.hello
        hello.publicSet = set
        hello.studentParameters = student
        return hello
    }

    @discardableResult
    private static func join(_ machine: inout CoordinatorMachine, _ name: Character, _ hello: Hello)
        -> [CoordinatorAction]
    {
        Machine.essential(
            machine.receive(
                .received(.hello(hello), session: LeaseTests.session(name), worker: String(name)), at: 1))
    }

    private static func offer(_ machine: inout CoordinatorMachine, _ name: Character) -> TaskOffer? {
        let session = LeaseTests.session(name)
        for case .send(.task(let offer), session) in machine.receive(
            .received(.ready(held: []), session: session, worker: String(name)), at: 2)
        { return offer }
        return nil
    }

    /// Submits, examines and accepts; nil bytes for a student of the worker's own.
    private static func contribute(
        _ machine: inout CoordinatorMachine, _ name: Character, _ byte: UInt8?, samples: Int = 10, round: Int
    ) -> [CoordinatorAction] {
        var submission = Machine.submission(byte ?? 0, round: round)
        submission.metrics.samples = samples
        if byte == nil { submission.blob = nil }
        let session = LeaseTests.session(name)
        var actions = machine.receive(.received(.submission(submission), session: session, worker: String(name)), at: 3)
        if let byte { actions += machine.receive(.blobArrived(Machine.digest(byte), session: session), at: 3) }
        return actions + machine.receive(.examined(.folded, round: round, worker: String(name)), at: 3)
    }

    private static func finish(_ machine: inout CoordinatorMachine, _ outcome: StepOutcome) -> [CoordinatorAction] {
        machine.receive(
            .stepComputed(ComputedStep(outcome: outcome), wireBytesUp: 0, wireBytesDown: 0), at: 4)
    }

    private static func reason(_ actions: [CoordinatorAction]) -> String? {
        for case .send(.refusal(.data, let reason), _) in actions { return reason }
        return nil
    }

    @Test func roundsComeInPairsThenAnEvaluation() {
        var stage = Self.stage().makeStage(sparsity: 0, size: Machine.base.size)
        var steps: [Step] = []
        while let step = stage.next() {
            steps.append(step)
            stage.stepFinished(StepOutcome())
        }
        let recipes = (0..<2).map { round in
            var recipe = TrainingRecipe().atRound(round, of: 2)
            recipe.ensemble = EnsembleLesson(Self.rules)
            return recipe
        }
        #expect(
            steps == [
                .train(recipes[0], teacher: nil), .logits(LogitsRequest()),
                .train(recipes[1], teacher: nil, server: ServerStep(continues: true)), .logits(LogitsRequest()),
                .evaluate(samples: nil),
            ])
        #expect(steps.count == Self.stage().roundsPlanned)
    }

    @Test func theFirstWorkersPublicSetIsEverybodysAfterARestartToo() {
        var machine = Self.machine()
        #expect(Self.reason(Self.join(&machine, "a", Self.hello(nil)))?.contains("start it with --public") == true)
        #expect(machine.history.publicSet == nil)
        let facts = PublicSetFacts(name: Self.set, worker: "b")
        let welcome = Self.join(&machine, "b", Self.hello())
        #expect(welcome.first == .commit([.publicSetNamed(facts)]) && welcome.count == 2)
        // Once is enough.
        #expect(Self.join(&machine, "c", Self.hello()).count == 1)
        for other in [
            PublicSetName(digest: Machine.digest(81), samples: 30),
            PublicSetName(digest: Machine.digest(80), samples: 29),
        ] {
            var restarted = CoordinatorMachine(history: machine.history)
            _ = restarted.receive(.started, at: 0)
            for candidate in [machine, restarted] {
                var candidate = candidate
                let reason = Self.reason(Self.join(&candidate, "d", Self.hello(other)))
                #expect(reason?.contains("named by b") == true && reason?.contains("same --public") == true)
            }
        }
    }

    @Test func aSetThatMakesTooManyLogitsIsRefused() {
        var machine = Self.machine()
        let set = PublicSetName(digest: Machine.digest(1), samples: LogitsRequest.largestCount / 10 + 1)
        #expect(Self.reason(Self.join(&machine, "a", Self.hello(set)))?.contains("limit=") == true)
        var unlabelled = Self.hello()
        unlabelled.classes = 0
        #expect(Self.reason(Self.join(&machine, "a", unlabelled))?.contains("no class labels") == true)
    }

    @Test func plansWithoutEnsemblesAskForNoPublicSet() {
        var machine = Machine.machine()
        #expect(Self.join(&machine, "a", Self.hello(nil)).count == 1)
        #expect(Self.join(&machine, "b", Self.hello()).count == 1 && machine.history.publicSet == nil)
    }

    @Test func aStudentOfOtherOutputsIsRefused() {
        for (classes, isRefused) in [(nil, false), (10, false), (1000, true)] as [(Int?, Bool)] {
            var machine = Self.machine()
            // Its public set is the one that the first worker named.
            Self.join(&machine, "b", Self.hello())
            var hello = Self.hello(student: 99)
            hello.studentClasses = classes
            let actions = Self.join(&machine, "a", hello)
            let reason = actions.compactMap { action -> String? in
                if case .send(.refusal(.data, let reason), _) = action { reason } else { nil }
            }.first
            #expect((reason?.contains("1000 outputs") ?? false) == isRefused, "\(String(describing: reason))")
        }
    }

    @Test func whoTrainsItsOwnStudentSendsNoWeightsAndNobodyElseMayDoSo() {
        var machine = Self.machine()
        Self.join(&machine, "a", Self.hello(student: 99))
        Self.join(&machine, "b", Self.hello())
        for name in ["a", "b"] as [Character] { #expect(Self.offer(&machine, name)?.round == 0) }
        var wrong = Machine.submission(5)
        var session = LeaseTests.session("a")
        let refused = machine.receive(.received(.submission(wrong), session: session, worker: "a"), at: 3)
        #expect(
            refused.contains {
                if case .send(.verdict(_, false, let reason), _) = $0 { reason.contains("wrong kind") } else { false }
            })
        wrong.blob = nil
        session = LeaseTests.session("b")
        let idle = machine.receive(.received(.submission(wrong), session: session, worker: "b"), at: 3)
        #expect(
            idle.contains {
                if case .send(.verdict(_, false, let reason), _) = $0 { reason.contains("wrong kind") } else { false }
            })
    }

    /// A machine after its first round of training, in which b trained a student of its own.
    private static func trained(_ rules: EnsemblePlan = rules) -> CoordinatorMachine {
        var machine = machine(rules)
        join(&machine, "a", hello())
        join(&machine, "b", hello(student: 99))
        for name in ["a", "b"] as [Character] { _ = offer(&machine, name) }
        _ = contribute(&machine, "a", 10, round: 0)
        let closing = contribute(&machine, "b", nil, round: 0)
        #expect(closing.contains { if case .compute = $0 { true } else { false } })
        let closed = finish(&machine, StepOutcome(loss: 1))
        let events = closed.compactMap { if case .log(let event) = $0 { event } else { nil } }
        // The run has 100 parameters; only a's were averaged.
        #expect(events.first { $0.name == "round.closed" }?["rawBytesUp"] == .int(400))
        return machine
    }

    @Test func logitsAreAskedOfTheTrainedModelsAndTheirMeanIsNamedToAll() throws {
        var machine = Self.trained()
        let request = LogitsRequest(samples: 30, classes: 10, trainedRound: 0)
        #expect(machine.history.step == .logits(request))
        for name in ["a", "b"] as [Character] { #expect(Self.offer(&machine, name)?.work == .logits(request)) }
        _ = Self.contribute(&machine, "a", 20, samples: 6, round: 1)
        let last = Self.contribute(&machine, "b", 21, samples: 2, round: 1)
        let events = last.compactMap { if case .log(let event) = $0 { event } else { nil } }
        let accepted = try #require(events.first { $0.name == "contribution.accepted" })
        #expect(accepted["accuracy"] == .double(0.3) && accepted["parameters"] == .int(99))
        let consensus = BlobReference(digest: Machine.digest(30), byteCount: 70)
        let records = Self.finish(&machine, StepOutcome(accuracy: 0.3, consensus: consensus)).compactMap {
            if case .commit(let records) = $0 { records } else { nil }
        }.flatMap { $0 }
        #expect(machine.history.accuracy == nil && machine.history.summaries[0].accuracyAfter == nil)
        #expect(machine.history.namedBlobs.contains(consensus.digest))
        #expect(records.contains { $0.kind == "roundOpened" })
        for (name, share) in [("a", 0.75), ("b", 0.25)] as [(Character, Double)] {
            let offer = try #require(Self.offer(&machine, name))
            guard case .train(let recipe, _, _, _) = offer.work else { return #expect(Bool(false)) }
            #expect(recipe.ensemble == EnsembleLesson(Self.rules, consensus: consensus, share: share))
            #expect(offer.work.blobs == [consensus])
            #expect(try CoordinatorMessage(decoding: CoordinatorMessage.task(offer).encoded()) == .task(offer))
        }
        // A restarted coordinator says the same.
        var restarted = CoordinatorMachine(history: machine.history)
        _ = restarted.receive(.started, at: 0)
        Self.join(&restarted, "a", Self.hello())
        guard case .train(let recipe, _, _, _)? = Self.offer(&restarted, "a")?.work else { return #expect(Bool(false)) }
        #expect(recipe.ensemble?.share == 0.75 && recipe.ensemble?.consensus == consensus)
    }

    /// A round of logits does not read it: without being told, workers would drop it and fetch it again.
    @Test func theTeachersFileIsKeptBetweenTwoRoundsOfTraining() {
        let blob = BlobReference(digest: Machine.digest(60), byteCount: 500)
        let stage = StagePlan.distill(
            DistillPlan(rounds: 1, teacher: TeacherPlan(source: .file("t.onnx")), ensemble: Self.rules))
        let plan = Plan(
            name: "test", model: .file("m.onnx"), stages: [stage, .evaluate(EvaluatePlan())], export: ExportPlan())
        let model = ModelFacts(source: "m", parameters: 100, bytes: 1000, sampleShape: [1, 28, 28], classes: 10)
        var machine = CoordinatorMachine(
            history: RunHistory(
                plan: plan,
                records: [
                    .runStarted(run: "r", plan: "test", model: model, teachers: ["t.onnx": blob]),
                    .snapshotPublished(Machine.base),
                ]))
        let request = Step.logits(LogitsRequest(samples: 30, classes: 10))
        #expect(machine.offer(request, round: 1, worker: "a", held: []).retain == [blob.digest])
        _ = machine.commit([.stageFinished(stage: 0, seconds: 1)])
        #expect(machine.offer(.evaluate(samples: nil), round: 2, worker: "a", held: []).retain == [])
    }

    @Test func withoutMutualLearningNothingIsLeftOut() {
        var rules = Self.rules
        rules.isMutual = false
        var machine = Self.trained(rules)
        for name in ["a", "b"] as [Character] { _ = Self.offer(&machine, name) }
        _ = Self.contribute(&machine, "a", 20, round: 1)
        _ = Self.contribute(&machine, "b", 21, round: 1)
        _ = Self.finish(&machine, StepOutcome(consensus: BlobReference(digest: Machine.digest(30), byteCount: 70)))
        guard case .train(let recipe, _, _, _)? = Self.offer(&machine, "b")?.work else { return #expect(Bool(false)) }
        #expect(recipe.ensemble?.share == 0 && recipe.ensemble?.consensus != nil)
    }

    @Test func aConsensusGoesWhenTheNextIsThereOrTheStageIsEvaluated() {
        var machine = Self.trained()
        var removed: [Digest] = []
        for (round, byte) in [(1, 30), (3, 31)] as [(Int, UInt8)] {
            for name in ["a", "b"] as [Character] { _ = Self.offer(&machine, name) }
            _ = Self.contribute(&machine, "a", 20, round: round)
            _ = Self.contribute(&machine, "b", 21, round: round)
            let blob = BlobReference(digest: Machine.digest(byte), byteCount: 70)
            for case .commit(let records) in Self.finish(&machine, StepOutcome(consensus: blob)) {
                for record in records { removed += machine.history.blobsMadeObsolete(by: record, contributions: []) }
            }
            #expect(machine.history.consensus?.blob == blob)
            guard round == 1 else { break }
            for name in ["a", "b"] as [Character] { _ = Self.offer(&machine, name) }
            _ = Self.contribute(&machine, "a", 22, round: 2)
            _ = Self.contribute(&machine, "b", nil, round: 2)
            _ = Self.finish(&machine, StepOutcome(loss: 1))
        }
        #expect(removed.contains(Machine.digest(30)) && !removed.contains(Machine.digest(31)))
        #expect(machine.history.step == .evaluate(samples: nil))
        let evaluated = LedgerRecord.stepFinished(
            round: 4, stage: 0, outcome: StepOutcome(accuracy: 0.5), snapshot: nil, traffic: StepTraffic(), seconds: 1)
        var history = machine.history
        history.apply(evaluated)
        #expect(history.consensus == nil)
        #expect(history.blobsMadeObsolete(by: evaluated, contributions: []).contains(Machine.digest(31)))
        #expect(history.accuracy == 0.5)
    }

    @Test func aRoundInWhichNobodyTrainsTheRunsModelIsToldOf() {
        var machine = Self.machine()
        for name in ["a", "b"] as [Character] {
            Self.join(&machine, name, Self.hello(student: 99))
            _ = Self.offer(&machine, name)
        }
        _ = Self.contribute(&machine, "a", nil, round: 0)
        let actions = Self.contribute(&machine, "b", nil, round: 0)
        let events = actions.compactMap { if case .log(let event) = $0 { event } else { nil } }
        #expect(events.contains { $0.name == "diagnostic" && "\($0.fields)".contains("stays as it is") })
        #expect(
            !Self.contribute(&machine, "b", nil, round: 0).contains { if case .compute = $0 { true } else { false } })
    }
}
