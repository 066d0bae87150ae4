import Testing

@testable import Federation

/// The words of a `factorize` stage, and what cannot go together.
struct FactorizePlanTests {
    private static func stages(_ text: String) throws -> [StagePlan] {
        try Plan.parse("model: {architecture: cnn}\nstages: [\(text)]", path: "p", environment: [:]).stages
    }

    private static func refusal(_ text: String) -> String {
        do {
            _ = try stages(text)
            return ""
        } catch { return "\(error)" }
    }

    @Test func everyKeyIsRead() throws {
        let stages = try Self.stages(
            """
            train, {factorize: {budget: {macs: 0.4}, of: layers, method: tucker, multiple: 4, only: [conv1, fc1.weight],
            exclude: [fc1], samples: 64, rounds: 3, learningRate: 0.5, schedule: cosine, teacher: {stage: 1}, temperature: 2,
            alpha: 0.25, loss: crossEntropy, server: {optimizer: momentum}}}
            """)
        let recipe = TrainingRecipe(learningRate: 0.5, schedule: .cosine, loss: .crossEntropy)
        let expected = FactorizePlan(
            rules: FactorizeRules(
                amount: .macs(0.4), scope: .layers, multiple: 4,
                selection: FactorizableSelection(method: .tucker, only: ["conv1", "fc1.weight"], excluded: ["fc1"])),
            samples: 64, rounds: 3, recipe: recipe, server: ServerOptimizer(kind: .momentum),
            teacher: TeacherPlan(source: .stage(0), temperature: 2, alpha: 0.25))
        #expect(stages[1] == .factorize(expected))
        #expect(stages[1].roundsPlanned == 1 + 3 + 1 && stages[1].teacher == expected.teacher)
    }

    @Test func whatIsLeftOutHasDefaults() throws {
        #expect(
            try Self.stages("{factorize: {energy: 0.9}}")
                == [.factorize(FactorizePlan(rules: FactorizeRules(amount: .energy(0.9))))])
        #expect(
            try Self.stages("{factorize: {evbmf: true, samples: 0, rounds: 0}}")
                == [.factorize(FactorizePlan(rules: FactorizeRules(amount: .evbmf), samples: 0, rounds: 0))])
        let half = try Self.stages("{factorize: {budget: {parameters: 0.5}, evbmf: false}}")[0]
        guard case .factorize(let plan) = half else { return #expect(Bool(false)) }
        #expect(plan.rules == FactorizeRules(amount: .parameters(0.5)) && plan.samples == 1024 && plan.rounds == 5)
    }

    @Test(arguments: [
        ("factorize", "needs exactly one of energy, evbmf: true and budget; found none"),
        ("{factorize: {evbmf: false}}", "found none"),
        ("{factorize: {energy: 0.9, evbmf: true}}", "found energy and evbmf"),
        ("{factorize: {energy: 0.9, budget: {macs: 0.5}}}", "found energy and budget"),
        ("{factorize: {energy: 0}}", "above 0"), ("{factorize: {energy: 1.01}}", "at most 1"),
        ("{factorize: {energy: .nan}}", "energy"),
        ("{factorize: {budget: {}}}", "exactly one of parameters, macs"),
        ("{factorize: {budget: {parameters: 0.5, macs: 0.5}}}", "exactly one of parameters, macs"),
        ("{factorize: {budget: {weights: 0.5}}}", "weights"),
        ("{factorize: {budget: {macs: 1}}}", "below 1"),
        ("{factorize: {energy: 0.9, of: layers}}", "says what a 'budget' is a share of"),
        ("{factorize: {energy: 0.9, method: spatail}}", "did you mean 'spatial'?"),
        ("{factorize: {energy: 0.9, multiple: 0}}", "multiple"),
        ("{factorize: {energy: 0.9, samples: -1}}", "samples"),
        ("{factorize: {energy: 0.9, exclude: []}}", "1 to 256 names"),
        ("{factorize: {energy: 0.9, alpha: 0.5}}", "'alpha' in stage 'factorize' needs a 'teacher'"),
        ("{factorize: {energy: 0.9, stepEvery: 0.5}}", "needs schedule: step"),
        ("{factorize: {energy: 0.9, nosuchkey: 1}}", "nosuchkey"),
        ("quantize, {factorize: {energy: 0.9}}", "cannot follow 'quantize'"),
        (
            "{train: {rounds: 1}}, {factorize: {energy: 0.9}}, {prune: {schedule: lottery}}",
            "'rewind' to 2 or more"
        ),
        (
            "{train: {rounds: 1}}, {factorize: {energy: 0.9}}, {prune: {schedule: lottery, rewind: 1}}",
            "before stage 2 ('factorize')"
        ),
    ])
    func whatCannotBeIsRefused(text: String, phrase: String) {
        let message = Self.refusal(text)
        #expect(message.contains(phrase), "\(message)")
    }

    @Test(arguments: [
        "{train: {rounds: 1}}, {factorize: {energy: 0.9}}, {prune: {schedule: lottery, rewind: 2}}",
        "{prune: {schedule: lottery}}, {factorize: {energy: 0.9}}, quantize",
        "{factorize: {energy: 1}}, {factorize: {evbmf: true}}, {prune: {granularity: channel}}",
    ])
    func otherOrdersPass(text: String) { #expect(Self.refusal(text) == "") }

    @Test func correctionsKeepTheirRules() {
        let message = Self.refusal("{factorize: {energy: 0.9, correction: scaffold, optimizer: adamw}}")
        #expect(message.contains("needs optimizer: sgd"), "\(message)")
    }

    /// A factorization is one of the changes that workers' files can tell apart, of which a run has a limited number.
    @Test func changesAreCounted() {
        let many = Array(repeating: "{factorize: {evbmf: true}}", count: 999).joined(separator: ", ")
        #expect(Self.refusal(many) == "")
        let heads = Array(repeating: "{prune: {granularity: channel, steps: 1000}}", count: 5).joined(separator: ", ")
        #expect(Self.refusal(heads).contains("more than \(MessageLimits.changes)"))
    }
}
