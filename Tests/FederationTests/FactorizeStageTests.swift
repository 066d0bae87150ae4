import Foundation
import Testing

@testable import Federation

/// What a `factorize` stage asks for, and what the run makes of its snapshot.
struct FactorizeStageTests {
    private static let rules = FactorizeRules(
        amount: .parameters(0.5), selection: FactorizableSelection(method: .spatial, only: ["fc1"], excluded: ["conv1"])
    )
    private static let size = ModelSize(parameters: 100, macs: 1000, bytes: 400)

    private static func steps(_ plan: FactorizePlan) -> [Step] {
        var stage = StagePlan.factorize(plan).makeStage(sparsity: 0, size: size)
        var steps: [Step] = []
        while let step = stage.next() {
            steps.append(step)
            stage.stepFinished(StepOutcome())
        }
        return steps
    }

    private static func training(_ plan: FactorizePlan, _ round: Int) -> Step {
        .train(
            plan.recipe.atRound(round, of: plan.rounds), teacher: plan.teacher,
            server: ServerStep(optimizer: plan.server, continues: round > 0))
    }

    @Test func momentsComeFirstThenTrainingThenAnEvaluation() {
        let teacher = TeacherPlan(source: .file("t.onnx"))
        let plan = FactorizePlan(rules: Self.rules, samples: 64, rounds: 2, teacher: teacher)
        #expect(
            Self.steps(plan) == [
                .moments(samples: 64, Self.rules), Self.training(plan, 0), Self.training(plan, 1),
                .evaluate(samples: nil),
            ])
    }

    @Test func withoutSamplesOrRoundsThereAreNone() {
        let plan = FactorizePlan(rules: Self.rules, samples: 0, rounds: 0)
        #expect(Self.steps(plan) == [.factorize(Self.rules), .evaluate(samples: nil)])
        #expect(Step.factorize(Self.rules).task == nil && Step.factorize(Self.rules).fold == nil)
        #expect(Step.moments(samples: 1, Self.rules).task == "moments")
        #expect(Step.moments(samples: 1, Self.rules).fold == .moments(Self.rules))
    }

    private static let plan = Plan(
        name: "p", model: .file("m.onnx"), fleet: FleetRules(workers: 2, widths: [1, 0.5]),
        stages: [.factorize(FactorizePlan(rules: rules, samples: 9, rounds: 1))], export: ExportPlan())

    private static func opened(_ plan: Plan = plan) -> RunHistory {
        RunHistory(
            plan: plan,
            records: [
                .runStarted(
                    run: "r", plan: "p",
                    model: ModelFacts(source: "m", parameters: 1, bytes: 1, sampleShape: [], classes: nil),
                    teachers: [:]),
                .snapshotPublished(CoordinatorMachineTests.base),
            ])
    }

    private static func factorized(_ base: SnapshotFacts) -> SnapshotFacts {
        var next = base
        next.version += 1
        next.snapshot.digest = digest(77)
        next.graph.digest = digest(78)
        next.maskEpoch += 1
        next.isFresh = true
        (next.delta, next.residual, next.recipe) = (nil, nil, nil)
        return next
    }

    private static func digest(_ byte: UInt8) -> Digest {
        guard let digest = Digest(bytes: Array(repeating: byte, count: 32)) else { preconditionFailure() }
        return digest
    }

    /// The first offer asks for moments of the plan's layers; those after the factorization say that nothing kept holds, name
    /// the whole snapshot without a route, and come after widths were chosen anew.
    @Test func workersGetTheNewModelWholeAndForget() throws {
        var history = Self.opened()
        let base = try #require(history.snapshot)
        let first = CoordinatorMachine(history: history).offer(
            try #require(history.step), round: 0, worker: "w", held: [])
        #expect(first.work == .moments(samples: 9, Self.rules.selection) && first.changes.isEmpty)
        #expect(first.work.yieldsBlob && first.work.blobs.isEmpty && first.work.snapshots.isEmpty)
        history.apply(.roundOpened(round: 0, stage: 0, task: "moments"))
        history.apply(
            .stepFinished(
                round: 0, stage: 0, outcome: StepOutcome(), snapshot: Self.factorized(base), traffic: StepTraffic(),
                seconds: 1))
        #expect(history.changes == [.fresh])
        guard case .nest? = history.step else { return #expect(Bool(false), "\(String(describing: history.step))") }
        history.apply(
            .stepFinished(
                round: nil, stage: 0,
                outcome: StepOutcome(widths: [ModelWidth(share: 0.5, change: base.graph)]), snapshot: nil,
                traffic: StepTraffic(), seconds: 1))
        let held = [base.snapshot.digest]
        let second = CoordinatorMachine(history: history).offer(
            try #require(history.step), round: 1, worker: "w", held: held)
        #expect(second.changes == [.fresh] && second.work.kind == "train")
        #expect(second.snapshot.route.isEmpty && second.snapshot.recipe == nil)
        #expect(second.snapshot.snapshot.digest == Self.digest(77) && second.snapshot.graph.digest == Self.digest(78))
        #expect(
            try CoordinatorMessage(decoding: CoordinatorMessage.task(second).encoded()) == .task(second))
        // Replaying the records gives the same history.
        #expect(history.namedBlobs.isSuperset(of: [Self.digest(77), Self.digest(78)]))
    }

    @Test func recordsOfEarlierVersionsAreRead() throws {
        var facts = CoordinatorMachineTests.base
        facts.isFresh = true
        let text = String(decoding: try JSONEncoder().encode(facts), as: UTF8.self)
        #expect(text.contains("\"isRewound\":true"))
        #expect(try JSONDecoder().decode(SnapshotFacts.self, from: Data(text.utf8)) == facts)
        let outcome = try JSONDecoder().decode(StepOutcome.self, from: Data("{\"sparsity\":0.5}".utf8))
        #expect(outcome.factorization == nil && outcome.sparsity == 0.5)
    }

    @Test func whatWasFactorizedIsLogged() throws {
        var history = Self.opened()
        history.apply(.roundOpened(round: 0, stage: 0, task: "moments"))
        let base = try #require(history.snapshot)
        var machine = CoordinatorMachine(history: history)
        machine.phase = .computing(startedAt: 0)
        var outcome = StepOutcome()
        outcome.factorization = FactorizationFacts(
            layers: 2, dataAware: 1, before: Self.size, after: ModelSize(parameters: 50, macs: 500, bytes: 200),
            ranks: (0..<100).map { "w\($0) svd 8" }, masked: ["fc2.weight"])
        let actions = machine.receive(
            .stepComputed(
                ComputedStep(outcome: outcome, snapshot: Self.factorized(base)), wireBytesUp: 1, wireBytesDown: 1),
            at: 1)
        let event = try #require(
            actions.compactMap { action -> LogEvent? in
                if case .log(let event) = action, event.name == "layers.factorized" { event } else { nil }
            }.first)
        #expect(event.level == .info && event["layers"] == .int(2) && event["dataAware"] == .int(1))
        #expect(event["parametersBefore"] == .int(100) && event["parameters"] == .int(50) && event["macs"] == .int(500))
        guard case .strings(let ranks)? = event["ranks"] else { return #expect(Bool(false)) }
        #expect(ranks.count == FactorizationFacts.listed && event["masked"] == .strings(["fc2.weight"]))
    }
}
