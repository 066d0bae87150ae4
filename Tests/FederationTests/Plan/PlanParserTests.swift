import Testing
import UpdateCodec

@testable import Federation

private func parse(_ text: String, path: String = "p.yaml", _ environment: [String: String] = [:]) throws -> Plan {
    try Plan.parse(text, path: path, environment: environment)
}

@Suite struct PlanParserTests {
    @Test func smallestPlanHasTheDefaults() throws {
        let plan = try parse(planText(), path: "folder/my plan.yaml")
        #expect(plan.name == "my-plan")
        #expect(plan.seed == 0)
        #expect(plan.model == .architecture(name: "cnn", options: ArchitectureOptions()))
        #expect(plan.data == nil)
        #expect(plan.fleet == FleetRules())
        #expect(plan.wire == WireRules())
        #expect(plan.stages == [.train(TrainPlan())])
        #expect(plan.export == ExportPlan(target: .float32, opset: 17))
    }

    @Test func everyValueArrives() throws {
        let plan = try parse(
            """
            name: full
            seed: 18446744073709551615
            model: {architecture: mlp, input: [784], classes: 3, width: 64}
            data: synthetic:digits
            fleet: {workers: 5, quorum: 3, deadline: 2m, wait: 1h, lease: 1500ms, heartbeat: 0.5, threads: 2}
            wire:
              up: {density: 0.01, values: ternary, block: 128, rounding: stochastic, errorFeedback: false, small: float32,
                   smallElements: 16}
              down: {density: 1.0, values: float16}
              maximumNormRatio: 2.5
            stages:
              - train: {rounds: 9, epochs: 0.5, batch: 32, optimizer: adamw, learningRate: 1e-3, schedule: cosine,
                        momentum: 0, weightDecay: 0.01}
              - prune: {criterion: taylor, sparsity: 0.9, schedule: linear, steps: 3, roundsPerStep: 2, scoreSamples: 7,
                        learningRateSchedule: cosine}
              - distill: {teacher: {stage: 2}, temperature: 2, alpha: 0.5, rounds: 4, learningRate: 0.1}
              - quantize: {calibration: mse, samples: 5}
              - evaluate: {samples: 6}
            export: {target: x86, opset: 13, measure: false}
            """)
        #expect(plan.name == "full" && plan.seed == .max && plan.data == "synthetic:digits")
        #expect(
            plan.model
                == .architecture(
                    name: "mlp", options: ArchitectureOptions(inputShape: [784], classes: 3, width: 64)))
        #expect(
            plan.fleet
                == FleetRules(
                    workers: 5, quorum: 3, deadlineSeconds: 120, waitSeconds: 3600, leaseSeconds: 1.5,
                    heartbeatSeconds: 0.5, threads: 2))
        let up = WireScheme(
            selection: .topK(density: 0.01), values: .ternary, blockSize: 128, rounding: .stochastic,
            smallTensorElements: 16, smallValues: .float32, errorFeedback: false)
        let down = WireScheme(values: .float16)
        #expect(plan.wire == WireRules(up: up, down: down, maximumNormRatio: 2.5))
        let recipe = TrainingRecipe(
            epochs: 0.5, batch: 32, optimizer: .adamw, learningRate: 0.001, schedule: .cosine, momentum: 0,
            weightDecay: 0.01)
        let prune = PrunePlan(
            rules: MaskRules(criterion: .taylor), target: .sparsity(0.9), schedule: .linear, steps: 3, roundsPerStep: 2,
            recipe: TrainingRecipe(schedule: .cosine), scoreSamples: 7)
        let distill = DistillPlan(
            rounds: 4, recipe: TrainingRecipe(learningRate: 0.1),
            teacher: TeacherPlan(source: .stage(1), temperature: 2, alpha: 0.5))
        #expect(
            plan.stages == [
                .train(TrainPlan(rounds: 9, recipe: recipe)), .prune(prune), .distill(distill),
                .quantize(QuantizePlan(rules: QuantizeRules(method: .mse, opset: 13), samples: 5)),
                .evaluate(EvaluatePlan(samples: 6)),
            ])
        #expect(plan.export == ExportPlan(target: .x86, opset: 13, measure: false))
        // Each stage but `evaluate` ends with an evaluation.
        #expect(plan.roundsPlanned == (9 + 1) + (3 * (2 + 1) + 1) + (4 + 1) + (3 + 1) + 1)
    }

    @Test func everyKeyOfTrainingIsRead() throws {
        let keys =
            "epochs: 8, batch: 128, accumulate: 2, optimizer: sgd, learningRate: 0.4, momentum: 0.8, nesterov: true, "
            + "weightDecay: 0.0005, decay: weights, clipNorm: 5, precision: bfloat16, proximal: 0.01, "
            + "warmup: 0.1, stepEvery: 0.25, stepFactor: 0.5, "
            + "server: {optimizer: yogi, learningRate: 0.02, momentum: 0.5, beta2: 0.9, epsilon: 0.01}"
        let loss = "loss: crossEntropy, labelSmoothing: 0.1, "
        let plan = try parse(
            planText(
                stages: "[{train: {schedule: step, \(loss)\(keys)}}, "
                    + "{distill: {teacher: {stage: 1}, schedule: step, \(keys)}}, "
                    + "{prune: {learningRateSchedule: step, \(loss)\(keys)}}]"))
        var recipe = TrainingRecipe(
            epochs: 8, batch: 128, accumulate: 2, learningRate: 0.4,
            schedule: RateSchedule(.step, warmup: 0.1, stepEvery: 0.25, stepFactor: 0.5), momentum: 0.8, nesterov: true,
            weightDecay: 0.0005, decay: .weights, loss: .crossEntropy, labelSmoothing: 0.1, clipNorm: 5,
            precision: .bfloat16, proximal: 0.01)
        let server = ServerOptimizer(kind: .yogi, learningRate: 0.02, momentum: 0.5, beta2: 0.9, epsilon: 0.01)
        guard case .train(let train) = plan.stages[0], case .distill(let distill) = plan.stages[1],
            case .prune(let prune) = plan.stages[2]
        else { return #expect(Bool(false), "other stages") }
        #expect(train.recipe == recipe && train.server == server)
        #expect(prune.recipe == recipe && prune.server == server)
        (recipe.loss, recipe.labelSmoothing) = (nil, 0)
        #expect(distill.recipe == recipe && distill.server == server)
        let scaffold = try parse(planText(stages: "[{train: {correction: scaffold, clipValue: 2}}]"))
        #expect(
            scaffold.stages == [.train(TrainPlan(recipe: TrainingRecipe(clipValue: 2, correction: .scaffold)))])
    }

    @Test func magnitudePruningAsksForNoScoreRounds() throws {
        let plan = try parse(
            planText(stages: "[{prune: {criterion: magnitude, steps: 3, roundsPerStep: 2}}, {evaluate: }]"))
        #expect(plan.roundsPlanned == 3 * 2 + 1 + 1)
        #expect(plan.stages[1] == .evaluate(EvaluatePlan()))
    }

    @Test func quantizeMakesX86TheDefaultTarget() throws {
        #expect(try parse(planText(stages: "[train, quantize]")).export.target == .x86)
        let written = try parse(planText("export: {target: arm, strict: true}", stages: "[quantize]"))
        #expect(written.export == ExportPlan(target: .arm, strict: true))
    }

    @Test func aShortLeaseShortensTheHeartbeat() throws {
        let uneven = try parse(planText("fleet: {widths: [1, 0.5, 0.25], strengths: [1, 0.6, 0.1]}")).fleet
        #expect(uneven == FleetRules(widths: [1, 0.5, 0.25], strengths: [1, 0.6, 0.1]))
        #expect((0..<4).map { uneven.width(ofStrength: uneven.strength(ofWorker: $0)) } == [1, 0.5, 0.25, 1])
        #expect(try parse(planText("fleet: {lease: 2s}")).fleet.heartbeatSeconds == 0.5)
    }

    @Test func filesAreRelativeToThePlanAndSpecsAreNot() throws {
        let text = planText("data: npy:${D}/x", model: "{file: '${M:-models}/a.onnx'}")
        let near = try parse(text, path: "plans/p.yaml", ["D": "rel"])
        #expect(near.model == .file("plans/models/a.onnx"))
        #expect(near.data == "npy:rel/x")
        #expect(try parse(text, path: "p.yaml", ["D": "d", "M": "/abs"]).model == .file("/abs/a.onnx"))
        // An empty variable counts as unset when there is a default, and is itself when there is none.
        #expect(try parse(text, path: "p.yaml", ["D": "", "M": ""]).model == .file("models/a.onnx"))
        #expect(try parse(text, path: "p.yaml", ["D": ""]).data == "npy:/x")
        #expect(try parse(planText("data: 'npy:$HOME/${A:-}$'"), ["HOME": "h"]).data == "npy:$HOME/$")
        // A value that looks like a variable is not expanded again.
        #expect(try parse(planText("data: npy:${A}"), ["A": "${B}"]).data == "npy:${B}")
    }

    @Test func teacherMayBeAFile() throws {
        let plan = try parse(planText(stages: "[{distill: {teacher: {file: t.onnx}}}]"), path: "a/p.yaml")
        #expect(plan.stages == [.distill(DistillPlan(teacher: TeacherPlan(source: .file("a/t.onnx"))))])
    }

    @Test(arguments: [
        ("90", 90.0), ("1.5", 1.5), ("500ms", 0.5), ("90s", 90), ("2m", 120), ("1h", 3600),
    ])
    func durations(text: String, seconds: Double) { #expect(PlanDuration.seconds(text) == seconds) }

    @Test(arguments: ["", "s", "1d", "-5", "0x10", "nan", "1e3", "1 s", "1.2.3", "ms", "٣"])
    func notDurations(text: String) { #expect(PlanDuration.seconds(text) == nil) }

    /// The criterion that did best where it was measured, and magnitude where the schedule was published with it.
    @Test(arguments: [
        ("{}", PruningCriterionKind.taylor), ("{granularity: channel}", .taylor), ("{granularity: layer}", .taylor),
        ("{schedule: lottery}", .l2), ("{schedule: dynamic}", .l2), ("{granularity: block}", .l2),
        ("{granularity: '2:4'}", .l2), ("{criterion: magnitude}", .l2),
    ])
    func criterionThatNobodyNames(_ stage: String, _ criterion: PruningCriterionKind) throws {
        let plan = try Plan.parse(
            "model: {architecture: cnn}\nstages:\n- prune: \(stage)", path: "p.yaml", environment: [:])
        guard case .prune(let prune)? = plan.stages.first else {
            Issue.record("no prune stage")
            return
        }
        #expect(prune.rules.criterion == criterion)
    }
}
