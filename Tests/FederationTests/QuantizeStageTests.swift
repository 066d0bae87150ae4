import Testing

@testable import Federation

/// What a `quantize` stage asks for, step by step.
struct QuantizeStageTests {
    private static func blob(_ byte: UInt8) -> BlobReference {
        BlobReference(digest: CoordinatorMachineTests.digest(byte), byteCount: Int(byte))
    }

    private static let evidence = QuantizationEvidenceBlobs(
        calibration: blob(1), moments: blob(2), sensitivities: blob(3))
    private static let scope = QuantizationScope(target: .x86, excluded: ["fc2"])

    private static func rules(_ change: (inout QuantizeRules) -> Void = { _ in }) -> QuantizeRules {
        var rules = QuantizeRules(scope: scope)
        change(&rules)
        return rules
    }

    /// Steps of a stage whose files have these accuracies, and may give up more as long as there are others to come.
    private static func steps(
        _ plan: QuantizePlan, accuracy: Double? = 0.9, files: [Double?] = [0.9], layers: Int = 2
    ) -> [Step] {
        var stage = StagePlan.quantize(plan).makeStage(
            sparsity: 0, size: ModelSize(parameters: 1, macs: 1, bytes: 1), accuracy: accuracy)
        var files = files
        var steps: [Step] = []
        var hasFile = false
        while let step = stage.next(), steps.count < 1000 {
            steps.append(step)
            var outcome = StepOutcome()
            switch step {
            case .calibrate: outcome.evidence = QuantizationEvidenceBlobs(calibration: evidence.calibration)
            case .inputMoments: outcome.evidence = QuantizationEvidenceBlobs(moments: evidence.moments)
            case .sensitivity: outcome.evidence = QuantizationEvidenceBlobs(sensitivities: evidence.sensitivities)
            case .quantize:
                hasFile = true
                outcome.compact = blob(9)
                outcome.quantization = QuantizationFacts(
                    target: "x86", layers: layers, canRetreat: files.count > 1, explanation: blob(8))
            case .evaluate: outcome.accuracy = hasFile ? files.removeFirst() : 0.9
            default: break
            }
            stage.stepFinished(outcome)
        }
        return steps
    }

    private static func quantize(
        _ plan: QuantizePlan, _ evidence: QuantizationEvidenceBlobs, retreats: Int = 0
    ) -> Step {
        .quantize(
            QuantizeDecision(
                rules: plan.rules, evidence: evidence, retreats: retreats, isSimulated: plan.isSimulated))
    }

    private static func sensitivity(_ plan: QuantizePlan, _ bits: [Int]) -> Step {
        .sensitivity(
            SensitivityRequest(
                samples: plan.sensitivitySamples, scope: plan.rules.scope, weights: plan.rules.weights, bits: bits))
    }

    private static let compare = Step.compare(samples: 256, scope, explanation: blob(8))
    private static let evaluate = Step.evaluate(samples: nil)

    @Test func valuesThenMomentsThenTheFile() {
        let plan = QuantizePlan(rules: Self.rules(), samples: 64)
        let measured = QuantizationEvidenceBlobs(calibration: Self.blob(1), moments: Self.blob(2))
        let steps: [Step] = [
            .calibrate(samples: 64, Self.scope), .inputMoments(samples: 64, Self.scope), Self.quantize(plan, measured),
            Self.evaluate, Self.compare,
        ]
        #expect(Self.steps(plan) == steps)
        #expect(Self.steps(plan, accuracy: nil) == [Self.evaluate] + steps)
        #expect(steps.filter { $0.task != nil }.count == StagePlan.quantize(plan).roundsPlanned)
    }

    @Test func whatNothingReadsIsNotMeasured() {
        var plan = QuantizePlan(rules: Self.rules { $0.correctsBiases = false }, comparedSamples: 0)
        #expect(Self.steps(plan).map(\.task) == ["calibrate", nil, "evaluate"])
        plan.rules.rounding = .gptq
        #expect(Self.steps(plan).map(\.task) == ["calibrate", "moments", nil, "evaluate"])
        plan.rules.scope.target = .int4
        #expect(Self.steps(plan).map(\.task) == ["moments", nil, "evaluate"])
        plan.rules.rounding = .nearest
        #expect(Self.steps(plan).map(\.task) == [nil, "evaluate"])
        #expect(Self.steps(plan).count(where: { $0.task != nil }) == StagePlan.quantize(plan).roundsPlanned)
    }

    @Test func aFileOfNoLayersIsNotCompared() {
        let plan = QuantizePlan(rules: Self.rules())
        #expect(Self.steps(plan, layers: 0).last == Self.evaluate)
    }

    @Test(arguments: [
        (BitAmount.averageBits(4), ExportTarget.x86, [2, 3, 4, 5, 6, 8]), (.bytes(1000), .int4, [2, 3, 4]),
        (.bitOperations(1e6), .x86NoVNNI, [2, 3, 4, 5, 6]), (.milliseconds(1), .x86, [8]),
        (.milliseconds(1), .x86NoVNNI, [7]),
    ])
    func budgetsNeedSensitivities(amount: BitAmount, target: ExportTarget, bits: [Int]) {
        let plan = QuantizePlan(
            rules: Self.rules {
                $0.amount = amount
                $0.scope.target = target
            })
        let steps = Self.steps(plan)
        #expect(steps.contains(Self.sensitivity(plan, bits)))
        #expect(steps.filter { $0.task != nil }.count == StagePlan.quantize(plan).roundsPlanned)
        guard case .quantize(let decision)? = steps.first(where: { $0.fold == nil }) else {
            return #expect(Bool(false))
        }
        #expect(decision.evidence.sensitivities == Self.blob(3) && decision.retreats == 0)
    }

    /// A guard gives layers the most, whatever a budget chooses from.
    @Test func aGuardedBudgetNeedsTheCostOfTheMost() {
        var plan = QuantizePlan(
            rules: Self.rules {
                $0.amount = .bytes(1000)
                $0.candidates = [2, 4]
            })
        #expect(plan.bitsOfBudget == [2, 4])
        plan.maximumDrop = 1
        #expect(plan.bitsOfBudget == [2, 4, 8])
    }

    // MARK: Training

    private static func training(_ plan: QuantizePlan, _ round: Int, _ statistics: StatisticsMode) -> Step {
        var recipe = plan.recipe.atRound(round, of: plan.rounds)
        recipe.statistics = statistics
        return .train(
            recipe, teacher: plan.teacher, server: ServerStep(optimizer: plan.server, continues: round > 0))
    }

    @Test func roundingIsSimulatedTrainedFrozenAndMeasuredAnew() {
        let plan = QuantizePlan(
            rules: Self.rules { $0.amount = .averageBits(3) }, rounds: 4,
            recipe: TrainingRecipe(epochs: 2, learningRate: 0.01, schedule: .cosine, correction: .scaffold),
            server: ServerOptimizer(kind: .adam), teacher: TeacherPlan(source: .file("t")), frozenStatistics: 0.5,
            reestimates: true)
        let measured = QuantizationEvidenceBlobs(calibration: Self.blob(1), sensitivities: Self.blob(3))
        var anew = plan.recipe
        (anew.statistics, anew.correction) = (.reestimated, .none)
        let decision = QuantizeDecision(rules: plan.rules, evidence: measured, isSimulated: true)
        let steps = Self.steps(plan)
        #expect(
            steps == [
                .calibrate(samples: 1024, Self.scope), Self.sensitivity(plan, [2, 3, 4, 5, 6, 8]),
                .simulate(decision), Self.training(plan, 0, .learned), Self.training(plan, 1, .learned),
                Self.training(plan, 2, .frozen), Self.training(plan, 3, .frozen), .train(anew, teacher: nil),
                .quantize(decision), Self.evaluate, Self.compare,
            ])
        #expect(steps.filter { $0.task != nil }.count == StagePlan.quantize(plan).roundsPlanned)
    }

    @Test(arguments: [(0.0, 0), (0.3, 1), (0.5, 2), (0.99, 3), (1.0, 3)])
    func statisticsFreezeAfterTheirShareOfRounds(share: Double, learned: Int) {
        let plan = QuantizePlan(rules: Self.rules(), rounds: 3, frozenStatistics: share)
        let modes = Self.steps(plan).compactMap { step -> StatisticsMode? in
            if case .train(let recipe, _, _) = step { recipe.statistics } else { nil }
        }
        #expect(modes == (0..<3).map { $0 < learned ? .learned : .frozen })
    }

    @Test func statisticsAloneMayBeMeasuredAnew() {
        let plan = QuantizePlan(rules: Self.rules(), comparedSamples: 0, reestimates: true)
        let steps = Self.steps(plan)
        #expect(steps.map(\.task) == ["calibrate", nil, "train", nil, "evaluate"])
        guard case .train(let recipe, nil, let server) = steps[2] else { return #expect(Bool(false)) }
        #expect(recipe.statistics == .reestimated && server == ServerStep())
    }

    // MARK: The guard

    /// The decisions' retreats, and the tasks between them.
    private static func retreats(_ steps: [Step]) -> [Int] {
        steps.compactMap { if case .quantize(let decision) = $0 { decision.retreats } else { nil } }
    }

    @Test func whatCostsTooMuchIsGivenUpStepByStep() {
        let plan = QuantizePlan(rules: Self.rules { $0.weights.bits = 3 }, maximumDrop: 1)
        let all = Self.steps(plan, files: [0.5, 0.6, 0.7, 0.88, 0.8901])
        #expect(Self.retreats(all) == [0, 1, 2, 3, 4])
        let steps = Array(all.dropFirst(3))
        let measured = QuantizationEvidenceBlobs(calibration: Self.blob(1), moments: Self.blob(2))
        #expect(all[2] == Self.quantize(plan, measured))
        // Sensitivities are measured once.
        #expect(
            steps.prefix(4) == [
                Self.evaluate, Self.sensitivity(plan, [3, 8]), Self.quantize(plan, Self.evidence, retreats: 1),
                Self.evaluate,
            ])
        #expect(all.count(where: { $0.task == "sensitivity" }) == 1)
        #expect(all.last == Self.compare)
    }

    @Test func retreatsGrow() {
        let plan = QuantizePlan(rules: Self.rules { $0.amount = .averageBits(4) }, maximumDrop: 1)
        let steps = Self.steps(plan, files: Array(repeating: 0.1, count: 12))
        #expect(Self.retreats(steps) == [0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48])
        #expect(steps.count(where: { $0.task == "sensitivity" }) == 1)
    }

    /// A coordinator that could always give up more would not end.
    @Test func attemptsAreFinite() {
        let plan = QuantizePlan(rules: Self.rules(), comparedSamples: 0, maximumDrop: 1)
        let steps = Self.steps(plan, files: Array(repeating: 0.1, count: 500))
        #expect(steps.count < 150 && Self.retreats(steps).last ?? 0 >= 1 << 20)
    }

    /// 9 of 10 and 89 of 100 differ by one point, whatever their doubles say.
    @Test func whatIsAllowedIsNotTooMuch() {
        let plan = QuantizePlan(rules: Self.rules(), maximumDrop: 1)
        #expect(Self.retreats(Self.steps(plan, files: [0.89, 0])) == [0])
        #expect(Self.retreats(Self.steps(plan, files: [0.95, 0])) == [0])
        #expect(Self.retreats(Self.steps(plan, files: [0.8899, 0.9])) == [0, 1])
    }

    @Test func withoutAGuardOrAnAccuracyNothingIsGivenUp() {
        let guarded = QuantizePlan(rules: Self.rules(), maximumDrop: 1)
        #expect(Self.retreats(Self.steps(QuantizePlan(rules: Self.rules()), files: [0.1, 0.1])) == [0])
        #expect(Self.retreats(Self.steps(guarded, files: [nil, 0.1])) == [0])
        var stage = QuantizeStage(guarded, accuracy: nil)
        #expect(stage.next() == Self.evaluate)
        // Nothing that could be measured, then a file of which nothing can be measured.
        stage.stepFinished(StepOutcome(loss: 1))
        #expect(stage.next()?.task == "calibrate")
    }

    @Test(arguments: [
        (ExportTarget.x86, LevelsKind.uniform, Int?.none, [8]), (.x86, .uniform, 8, [8]), (.x86, .uniform, 2, [2, 8]),
        (.x86NoVNNI, .uniform, 4, [4, 7]), (.int4, .uniform, nil, [4]), (.x86, .kmeans, nil, [4, 7]),
    ])
    func theGuardAsksForTheBitsOfTheFileAndTheMost(
        target: ExportTarget, levels: LevelsKind, bits: Int?, expected: [Int]
    ) {
        let plan = QuantizePlan(
            rules: Self.rules {
                $0.scope.target = target
                ($0.weights.levels, $0.weights.bits) = (levels, bits)
            }, maximumDrop: 1)
        #expect(Self.steps(plan, files: [0.1, 0.9]).contains(Self.sensitivity(plan, expected)))
    }

    @Test func stepsHaveTheirTasksAndFolds() {
        let request = SensitivityRequest(samples: 1, scope: Self.scope, weights: WeightRules(), bits: [8])
        #expect(Step.calibrate(samples: 1, Self.scope).fold == .calibration(Self.scope))
        #expect(Step.inputMoments(samples: 1, Self.scope).fold == .inputMoments(Self.scope))
        #expect(Step.inputMoments(samples: 1, Self.scope).task == "moments")
        #expect(Step.sensitivity(request).fold == .sensitivity(request))
        #expect(Self.compare.fold == .comparison(Self.scope, explanation: Self.blob(8)))
        let decision = QuantizeDecision(rules: Self.rules())
        for step in [Step.simulate(decision), .quantize(decision)] { #expect(step.task == nil && step.fold == nil) }
    }
}
