import Testing

@testable import Federation

/// The words of a `quantize` stage, and what cannot go together.
struct QuantizePlanTests {
    private static func parse(_ stages: String, _ export: String = "") throws -> Plan {
        let line = export.isEmpty ? "" : "\nexport: {\(export)}"
        return try Plan.parse("model: {architecture: cnn}\nstages: [\(stages)]\(line)", path: "p", environment: [:])
    }

    private static func plan(_ options: String, _ export: String = "") throws -> QuantizePlan {
        guard case .quantize(let plan)? = try parse("{quantize: {\(options)}}", export).stages.first else {
            throw PlanError(path: "p", line: nil, message: "no stage 'quantize'")
        }
        return plan
    }

    @Test func everyKeyOfAFileIsRead() throws {
        let plan = try Self.plan(
            """
            averageBits: 3.5, candidates: [2, 4, 8], scales: block, block: 64, range: minMax, symmetric: false,
            powerOfTwo: true, rounding: gptq, correctBiases: false, equalize: true, exclude: [conv1, fc1.weight],
            packed: false, samples: 64, sensitivitySamples: 32, comparedSamples: 0, maximumDrop: 0.5
            """, "target: int8-weights, opset: 22")
        let expected = QuantizePlan(
            rules: QuantizeRules(
                scope: QuantizationScope(target: .int8Weights, equalizes: true, excluded: ["conv1", "fc1.weight"]),
                weights: WeightRules(
                    sharing: .block(64), range: .minMax, isSymmetric: false, hasPowerOfTwoScales: true),
                amount: .averageBits(3.5), candidates: [2, 4, 8], rounding: .gptq, correctsBiases: false, opset: 22,
                packs: false),
            samples: 64, sensitivitySamples: 32, comparedSamples: 0, maximumDrop: 0.5)
        #expect(plan == expected)
    }

    @Test func everyKeyOfTrainingIsRead() throws {
        let stages = try Self.parse(
            """
            train, {quantize: {bits: 3, calibration: entropy, rounds: 4, frozenStatistics: 0.25, reestimate: true,
            epochs: 2, batch: 8, learningRate: 0.5, schedule: cosine, loss: crossEntropy, teacher: {stage: 1},
            temperature: 2, server: {optimizer: momentum}}}
            """, "target: arm"
        ).stages
        let expected = QuantizePlan(
            rules: QuantizeRules(
                scope: QuantizationScope(target: .arm), weights: WeightRules(bits: 3), method: .entropy),
            rounds: 4,
            recipe: TrainingRecipe(epochs: 2, batch: 8, learningRate: 0.5, schedule: .cosine, loss: .crossEntropy),
            server: ServerOptimizer(kind: .momentum), teacher: TeacherPlan(source: .stage(0), temperature: 2),
            frozenStatistics: 0.25, reestimates: true)
        #expect(stages[1] == .quantize(expected) && stages[1].teacher == expected.teacher)
        // Histograms, four rounds, statistics, the evaluation, the comparison.
        #expect(stages[1].roundsPlanned == 1 + 4 + 1 + 1 + 1)
    }

    @Test func defaultsAreThoseOfTheTarget() throws {
        #expect(try Self.parse("quantize").stages == [.quantize(QuantizePlan())])
        #expect(try Self.parse("{quantize: {rounds: 0}}").stages == [.quantize(QuantizePlan())])
        for (target, opset, candidates) in [
            ("x86", 17, [2, 3, 4, 5, 6, 8]), ("x86-no-vnni", 17, [2, 3, 4, 5, 6, 7]), ("int4", 21, [2, 3, 4]),
        ] {
            let rules = try Self.plan("", "target: \(target)").rules
            #expect(rules.scope.target.rawValue == target && rules.opset == opset && rules.candidates == candidates)
            #expect(rules.weights == WeightRules() && rules.amount == .same)
        }
        #expect(try Self.plan("levels: kmeans, bytes: 150KB").rules.candidates == [2, 3, 4, 5, 6, 7])
    }

    @Test(arguments: [
        ("bits: 2", BitAmount.same), ("averageBits: 2", .averageBits(2)), ("bytes: 150KB", .bytes(150_000)),
        ("bitOperations: 1e9", .bitOperations(1e9)), ("milliseconds: 0.5", .milliseconds(0.5)),
    ])
    func bitsAndBudgetsAreAmounts(options: String, amount: BitAmount) throws {
        #expect(try Self.plan(options).rules.amount == amount)
    }

    @Test func everyTargetHasItsFile() throws {
        for target in ExportTarget.allCases {
            let stage = target.hasIntegerWeights ? "quantize" : "train"
            let plan = try Self.parse(stage, "target: \(target.rawValue)")
            #expect(plan.export == ExportPlan(target: target))
            guard case .quantize(let stage) = plan.stages[0] else { continue }
            #expect(stage.rules.scope.target == target && stage.rules.opset == plan.export.opset)
        }
    }

    @Test(arguments: [
        ("bits: 1", "an integer from 2 to 8"), ("bits: 9", "an integer from 2 to 8"),
        ("bits: 4, bytes: 1MB", "'bits' and 'bytes' in stage 'quantize' exclude each other; keep one"),
        ("averageBits: 4, milliseconds: 1", "'averageBits' and 'milliseconds' in stage 'quantize' exclude each other"),
        ("averageBits: 1.9", "a number from 2 to 8"), ("averageBits: .nan", "a number from 2 to 8"),
        ("averageBits: 2.5, candidates: [3, 4]", "must lie between the least and the most of its candidates, 3 and 4"),
        ("averageBits: 5, candidates: [3, 4]", "3 and 4, found 5"),
        ("bytes: 1", "a size from 1KiB to 4GiB"), ("bitOperations: 0", "above 0"), ("milliseconds: -1", "above 0"),
        ("milliseconds: 1, levels: kmeans", "'milliseconds' in stage 'quantize' needs levels: uniform"),
        ("candidates: [2, 4]", "'candidates' in stage 'quantize' needs a budget"),
        ("bits: 4, candidates: [2, 4]", "'candidates' in stage 'quantize' needs a budget"),
        ("milliseconds: 1, candidates: [2, 4]", "'candidates' in stage 'quantize' needs a budget"),
        ("bytes: 1MB, candidates: [4, 2]", "'candidates' in stage 'quantize' must rise"),
        ("bytes: 1MB, candidates: [2, 2]", "'candidates' in stage 'quantize' must rise"),
        ("bytes: 1MB, candidates: [4]", "a list of 2 to 7 numbers of bits"),
        ("bytes: 1MB, candidates: [2, 9]", "integers from 2 to 8"),
        ("bytes: 1MB, levels: quantiles, candidates: [2, 8]", "hold 8, but a codebook of 8 bits cannot be stored"),
        ("levels: kmeans, bits: 8", "is 8, but a codebook of 8 bits cannot be stored; give 2 to 7"),
        ("levels: kmean", "did you mean 'kmeans'?"), ("rounding: adaroud", "did you mean 'adaround'?"),
        ("levels: kmeans, symmetric: false", "target 'x86' has no zero points of weights; remove 'symmetric: false'"),
        ("scales: block", "target 'x86' has no scales of blocks; write scales: channel"),
        ("block: 32", "'block' in stage 'quantize' needs scales: block"),
        ("scales: channel, block: 32", "'block' in stage 'quantize' needs scales: block"),
        ("scales: block, block: 48", "'block' in stage 'quantize' must be a power of two, found 48"),
        ("scales: block, block: 8", "an integer from 16 to 65536"),
        ("percentile: 49", "a number from 50 to 100"),
        ("calibration: mse, percentile: 99", "'percentile' in stage 'quantize' needs calibration: percentile"),
        ("sensitivitySamples: 5", "'sensitivitySamples' in stage 'quantize' needs a budget of bits or 'maximumDrop'"),
        ("samples: 0", "an integer from 1"), ("comparedSamples: -1", "an integer from 0"),
        ("maximumDrop: 0", "above 0"), ("maximumDrop: 101", "at most 100"), ("exclude: []", "1 to 256 names"),
        ("nosuchkey: 1", "unknown key 'nosuchkey' in stage 'quantize'"),
        ("frozenStatistics: 0.5", "'frozenStatistics' in stage 'quantize' needs rounds above 0"),
        ("reestimate: true, frozenStatistics: 0.5", "'frozenStatistics' in stage 'quantize' needs rounds above 0"),
        ("rounds: 1, frozenStatistics: 1.5", "a number from 0 to 1"),
        ("reestimate: true, learningRate: 0.1", "'learningRate' in stage 'quantize' needs rounds above 0"),
        ("epochs: 2", "'epochs' in stage 'quantize' needs rounds above 0"),
        ("server: {optimizer: adam}", "'server' in stage 'quantize' needs rounds above 0"),
        ("teacher: {file: t}", "'teacher' in stage 'quantize' needs rounds above 0"),
        ("rounds: 1, alpha: 0.5", "'alpha' in stage 'quantize' needs a 'teacher'"),
        ("rounds: 1, stepEvery: 0.5", "needs schedule: step"),
        ("rounds: 1, rounding: gptq", "rounding 'gptq' and 'rounds' in stage 'quantize' exclude each other"),
        ("reestimate: true, rounding: adaround", "rounding 'adaround' and 'reestimate' in stage 'quantize' exclude"),
        ("rounds: 1, levels: kmeans", "'rounds' in stage 'quantize' cannot simulate levels 'kmeans'"),
        ("rounds: 1, equalize: true", "'equalize' and 'rounds' in stage 'quantize' exclude each other"),
        ("rounds: 1, powerOfTwo: true", "'powerOfTwo' and 'rounds' in stage 'quantize' exclude each other"),
        ("levels: powersOfTwo, bits: 5", "is 5, but powers of two have at most 4 bits in a file; give 2 to 4"),
        ("rounds: 1, range: minMax", "'range' in stage 'quantize' does nothing where rounding is simulated"),
        ("rounds: 1, correctBiases: true", "'correctBiases' in stage 'quantize' does nothing where rounding is"),
    ])
    func whatCannotWorkIsRefused(options: String, phrase: String) throws {
        let error = try #require(throws: PlanError.self) { try Self.plan(options) }
        #expect(error.message.contains(phrase), "\(error.message)")
        #expect(error.line == 2 && !error.message.contains("\n"))
    }

    @Test(arguments: [
        ("bits: 8", "x86-no-vnni", "'bits' in stage 'quantize' is 8, but target 'x86-no-vnni' has at most 7 bits"),
        ("bits: 5", "int4", "is 5, but target 'int4' has at most 4 bits; give 2 to 4"),
        ("bytes: 1MB, candidates: [2, 8]", "int4", "hold 8, but target 'int4' has at most 4 bits; leave it out"),
        ("averageBits: 7.5", "x86-no-vnni", "2 and 7, found 7.5"),
        ("levels: quantiles", "int4", "levels 'quantiles' in stage 'quantize' cannot be held by target 'int4'"),
        ("levels: powersOfTwo", "tensorrt", "cannot be held by target 'tensorrt'; write levels: uniform"),
        ("levels: kmeans, symmetric: false", "int8-weights", "have no zero points"),
        ("levels: kmeans, scales: block", "int8-weights, opset: 21", "have no scales of blocks"),
        ("scales: block", "int8-weights", "scales of blocks need opset: 21 or more in export, found 17"),
        ("symmetric: false", "dynamic", "target 'dynamic' has no zero points of weights"),
        ("packed: true", "tensorrt", "target 'tensorrt' takes plain bytes; remove 'packed'"),
        ("calibration: mse", "int4", "'calibration' in stage 'quantize' needs a target whose values are integers"),
        ("percentile: 99", "dynamic", "'percentile' in stage 'quantize' needs a target whose values are integers"),
        ("samples: 9, correctBiases: false", "int4", "'samples' in stage 'quantize' needs something to measure"),
        ("rounds: 1", "int4", "'rounds' in stage 'quantize' cannot simulate target 'int4'; choose another"),
        ("reestimate: true", "dynamic", "'reestimate' in stage 'quantize' cannot simulate target 'dynamic'"),
        ("rounds: 1, symmetric: false", "int8-weights", "cannot simulate zero points of weights"),
        ("rounds: 1, scales: block", "int8-weights, opset: 21", "cannot simulate scales of blocks"),
    ])
    func whatATargetCannotHoldIsRefused(options: String, target: String, phrase: String) throws {
        let error = try #require(throws: PlanError.self) { try Self.plan(options, "target: \(target)") }
        #expect(error.message.contains(phrase), "\(error.message)")
        #expect(error.line == 2 && !error.message.contains("\n"))
    }

    @Test(arguments: [
        "bits: 7", "bytes: 1KiB, candidates: [2, 7]", "scales: tensor", "powerOfTwo: true", "levels: kmeans",
    ])
    func whatANarrowTargetCanHoldIsRead(options: String) throws {
        _ = try Self.plan(options, "target: x86-no-vnni")
    }

    @Test(arguments: [
        "reestimate: true, epochs: 0.5, batch: 8", "rounds: 2, correctBiases: false", "rounds: 1, bytes: 1MB",
        "maximumDrop: 1, sensitivitySamples: 5", "packed: false",
    ])
    func whatDoesSomethingIsRead(options: String) throws {
        _ = try Self.plan(options, "target: tensorrt")
    }

    @Test func narrowerModelsAreNotSimulated() throws {
        for (options, key) in [("rounds: 1", "rounds"), ("reestimate: true", "reestimate")] {
            let text =
                "model: {architecture: cnn}\nstages: [{quantize: {\(options)}}]\nfleet: {widths: [1, 0.5]}"
            let error = try #require(throws: PlanError.self) {
                try Plan.parse(text, path: "p", environment: [:])
            }
            #expect(
                error.message.contains("'\(key)' in stage 'quantize' and widths below 1 in fleet exclude each other"))
        }
        _ = try Plan.parse(
            "model: {architecture: cnn}\nstages: [quantize]\nfleet: {widths: [1, 0.5]}", path: "p", environment: [:])
    }

    /// A simulated graph is another one, which workers' files can tell apart only so often.
    @Test func simulationIsAChangeOfTheModel() throws {
        let many =
            Array(repeating: "{prune: {granularity: channel, steps: 1000}}", count: 4) + [
                "{prune: {granularity: channel, steps: 96}}"
            ]
        #expect(MessageLimits.changes == 4096)
        let stages = many.joined(separator: ", ")
        _ = try Self.parse(stages + ", quantize")
        #expect(throws: PlanError.self) { try Self.parse(stages + ", {quantize: {rounds: 1}}") }
    }

    /// Without a stage before it the accuracy must be measured first.
    @Test func aFirstStageMeasuresWhatItBeginsWith() throws {
        #expect(try Self.parse("quantize").roundsPlanned == 1 + 1 + 1 + 1 + 1)
        #expect(try Self.parse("evaluate, quantize").roundsPlanned == 1 + 1 + 1 + 1 + 1)
        #expect(try Self.parse("{quantize: {correctBiases: false, comparedSamples: 0}}").roundsPlanned == 3)
    }
}
