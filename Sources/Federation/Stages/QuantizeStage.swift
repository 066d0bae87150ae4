/// `quantize`: what the fleet measures for the file, rounds of training with its rounding simulated where the plan has them, the
/// file and its evaluation; then, as long as it costs more accuracy than the plan allows, another file with more bits.
///
/// Each attempt gives up more than the one before: 1, 2, 3, 4, 6, 8, 12, ... of the moves that help most, so that a large model
/// needs few evaluations.
public struct QuantizeStage: Stage {
    private enum Position: Equatable {
        case measureAccuracy, calibrate, inputMoments, sensitivity, simulate
        case train(round: Int)
        case reestimate, quantize, evaluate
        /// Sensitivities for the guard, where no budget needed them.
        case retreat
        case compare, over
    }

    private let plan: QuantizePlan
    private var position = Position.measureAccuracy
    /// Before the stage, if known.
    private var accuracy: Double?
    private var evidence = QuantizationEvidenceBlobs()
    private var retreats = 0
    private var facts: QuantizationFacts?

    /// - Parameter accuracy: what the model was measured to have before the stage, 0 to 1.
    public init(_ plan: QuantizePlan, accuracy: Double?) {
        (self.plan, self.accuracy) = (plan, accuracy)
        if accuracy != nil { position = following(.measureAccuracy) }
    }

    public mutating func next() -> Step? {
        let scope = plan.rules.scope
        switch position {
        case .measureAccuracy, .evaluate: return .evaluate(samples: nil)
        case .calibrate: return .calibrate(samples: plan.samples, scope)
        case .inputMoments: return .inputMoments(samples: plan.samples, scope)
        case .sensitivity: return .sensitivity(request(bits: plan.bitsOfBudget))
        case .retreat: return .sensitivity(request(bits: plan.bitsOfRetreat))
        case .simulate: return .simulate(decision)
        case .train(let round): return plan.trainingStep(round)
        case .reestimate: return plan.reestimatingStep
        case .quantize: return .quantize(decision)
        case .compare:
            guard let explanation = facts?.explanation else { preconditionFailure("a comparison explains a file") }
            return .compare(samples: plan.comparedSamples, scope, explanation: explanation)
        case .over: return nil
        }
    }

    public mutating func stepFinished(_ outcome: StepOutcome) {
        evidence = evidence.adding(outcome.evidence ?? QuantizationEvidenceBlobs())
        switch position {
        case .measureAccuracy: accuracy = outcome.accuracy
        case .quantize: facts = outcome.quantization
        case .over: preconditionFailure("a finished quantize stage was told of another step")
        default: break
        }
        position = position == .evaluate ? afterEvaluation(outcome.accuracy) : following(position)
    }

    private var decision: QuantizeDecision {
        QuantizeDecision(rules: plan.rules, evidence: evidence, retreats: retreats, isSimulated: plan.isSimulated)
    }

    private func request(bits: [Int]) -> SensitivityRequest {
        SensitivityRequest(
            samples: plan.sensitivitySamples, scope: plan.rules.scope, weights: plan.rules.weights, bits: bits)
    }

    /// What comes after a step that is no evaluation of the file.
    private func following(_ position: Position) -> Position {
        switch position {
        case .measureAccuracy: plan.rules.scope.target.needsCalibration ? .calibrate : following(.calibrate)
        case .calibrate: plan.needsMoments ? .inputMoments : following(.inputMoments)
        case .inputMoments: plan.bitsOfBudget.isEmpty ? following(.sensitivity) : .sensitivity
        case .sensitivity: plan.isSimulated ? .simulate : .quantize
        case .simulate: plan.rounds > 0 ? .train(round: 0) : .reestimate
        case .train(let round) where round + 1 < plan.rounds: .train(round: round + 1)
        case .train: plan.reestimates ? .reestimate : .quantize
        case .reestimate, .retreat: .quantize
        case .quantize: .evaluate
        case .evaluate, .compare, .over: .over
        }
    }

    private mutating func afterEvaluation(_ measured: Double?) -> Position {
        if facts?.canRetreat == true, retreats < Self.mostRetreats, plan.isExceeded(from: accuracy, to: measured) {
            retreats = Self.more(than: retreats)
            return evidence.sensitivities == nil ? .retreat : .quantize
        }
        guard plan.comparedSamples > 0, let facts, facts.layers > 0, facts.explanation != nil else { return .over }
        return .compare
    }

    /// Whatever a file says: some 40 attempts, and the last gives up more than any model has.
    private static let mostRetreats = 1 << 20

    /// 1, 2, 3, 4, 6, 8, 12, 16, ...: powers of two, and half as many again.
    static func more(than retreats: Int) -> Int {
        guard retreats > 3 else { return retreats + 1 }
        return retreats & (retreats - 1) == 0 ? retreats / 2 * 3 : retreats / 3 * 4
    }
}

extension QuantizePlan {
    /// Whether second moments are used: training decides the codes itself, and no moments are of its weights.
    public var needsMoments: Bool {
        rules.scope.target.hasIntegerWeights && !isSimulated && (rules.rounding != .nearest || rules.correctsBiases)
    }

    /// Numbers of bits whose cost is measured for a budget, ascending; empty without one.
    public var bitsOfBudget: [Int] {
        switch rules.amount {
        case .same: []
        case .averageBits, .bytes, .bitOperations:
            // What a guard that gives up a budget needs to know, too.
            Set(rules.candidates.filter { $0 <= rules.mostBits } + (maximumDrop == nil ? [] : [rules.mostBits]))
                .sorted()
        case .milliseconds: [rules.mostBits]
        }
    }

    /// Numbers of bits whose cost the guard must know.
    fileprivate var bitsOfRetreat: [Int] {
        // What a codebook has that no plan gives a number of bits.
        let bits = rules.weights.bits ?? (rules.weights.levels == .uniform ? rules.mostBits : 4)
        return Set([min(bits, rules.mostBits), rules.mostBits]).sorted()
    }

    fileprivate func isExceeded(from before: Double?, to after: Double?) -> Bool {
        guard let maximumDrop, let before, let after else { return false }
        // Accuracies are shares of samples: what is allowed to the sample is not exceeded by rounding.
        return (before - after) * 100 > maximumDrop + 1e-9
    }

    fileprivate func trainingStep(_ round: Int) -> Step {
        var recipe = recipe.atRound(round, of: rounds)
        recipe.statistics = Double(round) >= frozenStatistics * Double(rounds) ? .frozen : .learned
        return .train(recipe, teacher: teacher, server: ServerStep(optimizer: server, continues: round > 0))
    }

    /// Means, which a server's optimizer must not carry beyond.
    fileprivate var reestimatingStep: Step {
        var recipe = recipe
        (recipe.statistics, recipe.correction) = (.reestimated, .none)
        return .train(recipe, teacher: nil)
    }

    /// Rounds when nothing is given up and the accuracy before is known.
    var roundsPlanned: Int {
        let measuring = [rules.scope.target.needsCalibration, needsMoments, !bitsOfBudget.isEmpty, comparedSamples > 0]
        return measuring.count { $0 } + rounds + (reestimates ? 1 : 0) + 1
    }
}
