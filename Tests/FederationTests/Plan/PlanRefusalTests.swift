import Testing

@testable import Federation

/// A plan and the one line that refuses it.
struct PlanRefusal: Sendable {
    let text: String
    let message: String

    init(_ text: String, _ message: String) {
        self.text = text
        self.message = message
    }

    static let all: [PlanRefusal] = [
        // Unknown words, with the nearest one.
        PlanRefusal(planText("sed: 7"), "p.yaml:3: unknown key 'sed' in the plan; did you mean 'seed'?"),
        PlanRefusal(
            planText(stages: "\n  - train:\n      epochs: 1\n      roundz: 3"),
            "p.yaml:5: unknown key 'roundz' in stage 'train'; did you mean 'rounds'?"
        ),
        PlanRefusal(planText(stages: "[tarin]"), "p.yaml:2: unknown stage 'tarin'; did you mean 'train'?"),
        PlanRefusal(
            planText(stages: "[xyzzyplugh]"),
            "p.yaml:2: unknown stage 'xyzzyplugh'; available: train, distill, prune, factorize, quantize, evaluate"
        ),
        PlanRefusal(
            planText(stages: "[{train: {optimizer: sdg}}]"),
            "p.yaml:2: unknown optimizer 'sdg' in stage 'train'; did you mean 'sgd'?"
        ),
        PlanRefusal(
            planText("wire: {up: {values: int9}}"), "p.yaml:3: unknown values 'int9' in wire.up; did you mean 'int8'?"),
        // Keys of training that do not go together.
        PlanRefusal(
            planText(stages: "[{train: {optimizer: adamw, nesterov: true}}]"),
            "p.yaml:2: 'nesterov' in stage 'train' needs optimizer: sgd and a momentum above 0"
        ),
        PlanRefusal(
            planText(stages: "[{train: {stepFactor: 0.5}}]"),
            "p.yaml:2: 'stepFactor' in stage 'train' needs schedule: step"
        ),
        PlanRefusal(
            planText(stages: "[{train: {clipNorm: 1, clipValue: 1}}]"),
            "p.yaml:2: 'clipNorm' and 'clipValue' in stage 'train' exclude each other; keep one"
        ),
        PlanRefusal(
            planText(stages: "[{train: {loss: binary, labelSmoothing: 0.1}}]"),
            "p.yaml:2: 'labelSmoothing' in stage 'train' needs loss: crossEntropy; loss: binary does not smooth"
        ),
        PlanRefusal(
            planText(stages: "[{train: {loss: nextToken, labelSmoothing: 0.1}}]"),
            "p.yaml:2: 'labelSmoothing' in stage 'train' needs loss: crossEntropy; loss: nextToken does not smooth"
        ),
        PlanRefusal(
            planText(stages: "[{train: {correction: scaffold, optimizer: lamb}}]"),
            "p.yaml:2: correction 'scaffold' in stage 'train' needs optimizer: sgd: what lamb moves is no sum of gradients"
        ),
        PlanRefusal(
            planText(stages: "[{train: {correction: scaffold, proximal: 0.1}}]"),
            "p.yaml:2: correction 'scaffold' and 'proximal' in stage 'train' exclude each other; keep one"
        ),
        PlanRefusal(
            planText(stages: "[{train: {correction: scaffold, server: {optimizer: adam}}}]"),
            "p.yaml:2: correction 'scaffold' in stage 'train' needs server: {optimizer: average, learningRate: 1}: it reads "
                + "the fleet's mean off the snapshots"
        ),
        PlanRefusal(
            planText("fleet: {rounds: asynchronous}", stages: "[{train: {correction: scaffold}}]"),
            "p.yaml:2: correction 'scaffold' needs rounds: synchronous in fleet: it compares workers of one round"
        ),
        PlanRefusal(
            planText(stages: "[{prune: {granularity: weight, criterion: fpgm}}]"),
            "p.yaml:2: criterion 'fpgm' says nothing of granularity 'weight'; available: l1, l2, taylor, stability, "
                + "fisher, lamp, movement"
        ),
        PlanRefusal(
            planText(stages: "[{train: {server: {momentum: 0.5}}}]"),
            "p.yaml:2: 'momentum' in server of stage 'train' needs optimizer: momentum, adam or yogi"
        ),
        PlanRefusal(
            planText(stages: "[{train: {server: {optimizer: momentum, beta2: 0.5}}}]"),
            "p.yaml:2: 'beta2' in server of stage 'train' needs optimizer: adam or yogi"
        ),
        PlanRefusal(
            planText(stages: "[{distill: {teacher: {file: t}, loss: binary}}]"),
            "p.yaml:2: unknown key 'loss' in stage 'distill'; known: \(PlanKeys.distill.joined(separator: ", "))"
        ),
        // Words of later versions.
        PlanRefusal(
            planText(stages: "[train, search]"),
            "p.yaml:2: stage 'search' is not available in this version; "
                + "available: train, distill, prune, factorize, quantize, evaluate"
        ),
        PlanRefusal(
            planText("export: {target: coreml}"),
            "p.yaml:3: target 'coreml' in export is not available in this version; available: float32, x86, x86-no-vnni, "
                + "arm, tensorrt, int4, int8-weights, dynamic, float16, bfloat16"
        ),
        PlanRefusal(
            planText(stages: "[{train: {rounds: asynchronous}}]"),
            "p.yaml:2: 'rounds' in stage 'train' is a number of rounds; 'rounds: asynchronous' is written under fleet"
        ),
        // Types and ranges.
        PlanRefusal(
            planText(stages: "[{train: {rounds: many}}]"),
            "p.yaml:2: 'rounds' in stage 'train' must be an integer from 1 to 100000, found 'many'"
        ),
        PlanRefusal(
            planText(stages: "[{train: {rounds: '5'}}]"),
            "p.yaml:2: 'rounds' in stage 'train' must be an integer from 1 to 100000, found the text \"5\""
        ),
        PlanRefusal(
            planText(stages: "[{train: {learningRate: nan}}]"),
            "p.yaml:2: 'learningRate' in stage 'train' must be a number above 0 and at most 100, found 'nan'"
        ),
        PlanRefusal(
            planText(stages: "[{prune: {sparsity: 1}}]"),
            "p.yaml:2: 'sparsity' in stage 'prune' must be a number above 0 and below 1, found '1'"
        ),
        PlanRefusal(
            planText("seed: -1"),
            "p.yaml:3: 'seed' in the plan must be an integer from 0 to 18446744073709551615, found '-1'"),
        PlanRefusal(
            planText("wire: {up: {errorFeedback: yes}}"),
            "p.yaml:3: 'errorFeedback' in wire.up must be true or false, found 'yes'"
        ),
        PlanRefusal(
            planText("fleet: {deadline: soon}"),
            "p.yaml:3: 'deadline' in fleet must be a duration from 0.1 to 2592000 seconds, "
                + "written like 90, 90s, 2m, 1h or 500ms, found 'soon'"
        ),
        PlanRefusal(planText("fleet: 4"), "p.yaml:3: fleet must be a mapping of keys to values, found '4'"),
        PlanRefusal(planText("data:"), "p.yaml:3: 'data' in the plan must be a data SPEC, found no value"),
        PlanRefusal(
            planText("data: mnist"),
            "p.yaml:3: 'data' must be a SPEC such as idx:FOLDER or synthetic:digits, found 'mnist'"
        ),
        PlanRefusal(
            planText("name: a b"), "p.yaml:3: 'name' must be 1 to 64 letters, digits, '.', '_' or '-', found 'a b'"),
        PlanRefusal(
            planText(model: "{architecture: cnn, input: [28, 28]}"),
            "p.yaml:1: 'input' in model must be [channels, height, width], found a list of 2"
        ),
        // Missing and conflicting keys.
        PlanRefusal(
            "stages: [train]",
            "p.yaml:1: the plan lacks the key 'model': write model: {architecture: cnn} or model: {file: model.onnx}"
        ),
        PlanRefusal(
            "model: {file: a}", "p.yaml:1: the plan lacks the key 'stages': list at least one, such as '- train'"),
        PlanRefusal(
            planText(model: "{file: a, width: 3}"), "p.yaml:1: 'width' and 'file' in model exclude each other; keep one"
        ),
        PlanRefusal(
            planText(stages: "[]"),
            "p.yaml:2: 'stages' in the plan must be a list of 1 to 1000 stages, found a list of 0"),
        PlanRefusal(
            planText("fleet: {workers: 2, quorum: 3}"),
            "p.yaml:3: 'quorum' in fleet is 3 but only 2 workers are asked; lower it"
        ),
        PlanRefusal(
            planText("fleet: {widths: 0.5}"),
            "p.yaml:3: 'widths' in fleet must be a list of 1 to 8 numbers, found '0.5'"
        ),
        PlanRefusal(
            planText("fleet: {widths: [1, 0]}"),
            "p.yaml:3: 'widths' in fleet must hold numbers above 0 and at most 1, found '0'"
        ),
        PlanRefusal(
            planText("fleet: {widths: [1, 0.5, 0.5]}"),
            "p.yaml:3: 'widths' in fleet must begin with 1, the whole model, and fall, such as [1, 0.5, 0.25]"
        ),
        PlanRefusal(
            planText("fleet: {widths: [0.5]}"),
            "p.yaml:3: 'widths' in fleet must begin with 1, the whole model, and fall, such as [1, 0.5, 0.25]"
        ),
        PlanRefusal(
            planText("fleet: {strengths: [1, 0.5]}"),
            "p.yaml:3: 'strengths' in fleet below 1 need widths below 1, such as widths: [1, 0.5, 0.25]"
        ),
        PlanRefusal(
            planText("fleet: {widths: [1, 0.5]}", stages: "[{train: {correction: scaffold}}]"),
            "p.yaml:2: correction 'scaffold' and widths below 1 in fleet exclude each other: it compares workers of one "
                + "model"
        ),
        PlanRefusal(
            planText("fleet: {lease: 4s, heartbeat: 3s}"),
            "p.yaml:3: 'heartbeat' in fleet (3 s) must be at most half of 'lease' (4 s)"
        ),
        PlanRefusal(
            planText(stages: "[train, {distill: {teacher: {stage: 2}}}]"),
            "p.yaml:2: 'stage' in teacher of stage 'distill' must be an integer from 1 to 1, found '2'"
        ),
        PlanRefusal(
            planText(stages: "[distill]"),
            "p.yaml:2: stage 'distill' lacks the key 'teacher': "
                + "write teacher: {stage: 1} or teacher: {file: teacher.onnx}"
        ),
        PlanRefusal(
            planText(stages: "[{distill: {teacher: {stage: 1}}}]"),
            "p.yaml:2: the first stage has no earlier stage to learn from; give the teacher's 'file'"
        ),
        PlanRefusal(
            planText("export: {target: x86}"),
            "p.yaml:3: target 'x86' has integer weights: add a 'quantize' stage or write target: float32"
        ),
        PlanRefusal(
            planText("export: {target: float16}", stages: "[quantize]"),
            "p.yaml:3: target 'float16' has no integer weights: remove the 'quantize' stage or write target: x86"
        ),
        PlanRefusal(
            planText("export: {target: int4, opset: 20}", stages: "[quantize]"),
            "p.yaml:3: 'opset' in export is 20, but target 'int4' needs 21 or more"
        ),
        PlanRefusal(
            planText("export: {target: bfloat16, opset: 17}"),
            "p.yaml:3: 'opset' in export is 17, but target 'bfloat16' needs 22 or more"
        ),
        PlanRefusal(
            planText("export: {opset: 26}"),
            "p.yaml:3: 'opset' in export must be an integer from 13 to 25, found '26'"
        ),
        PlanRefusal(
            planText("export: {strict: true}"),
            "p.yaml:3: 'strict' in export needs a target of integer weights: all of target 'float32' is float"
        ),
        PlanRefusal(
            planText(stages: "\n- quantize\n- train"),
            "p.yaml:4: stage 'train' cannot follow 'quantize': only 'evaluate' can; move it up"
        ),
        PlanRefusal(
            planText(stages: "\n- prune: {sparsity: 0.8}\n- prune: {sparsity: 0.5}"),
            "p.yaml:4: stage 'prune' masks 0.5 of the weights but an earlier stage already masks 0.8; "
                + "raise it or remove the stage"
        ),
        PlanRefusal(
            planText(stages: "[{prune: {schedule: oneShot, steps: 2}}]"),
            "p.yaml:2: schedule 'oneShot' prunes in 1 step, found 2; set 'roundsPerStep' for recovery rounds"
        ),
        PlanRefusal(
            planText(stages: "[{quantize: {calibration: mse, percentile: 99}}]"),
            "p.yaml:2: 'percentile' in stage 'quantize' needs calibration: percentile"
        ),
        PlanRefusal(
            planText(stages: "[{train: {rounds: 1}, prune: {}}]"),
            "p.yaml:2: a stage must be one word with its options, such as '- train: {rounds: 5}', found 2 keys; "
                + "indent options under the stage"
        ),
        // Variables.
        PlanRefusal(
            planText("data: npy:${NOPE}"),
            "p.yaml:3: 'data' in the plan needs the environment variable NOPE, which is not set; "
                + "set it or write ${NOPE:-default}"
        ),
        PlanRefusal(planText("data: 'npy:${NOPE'"), "p.yaml:3: 'data' in the plan has a '${' without its '}'"),
        PlanRefusal(
            planText("data: 'npy:${A-B}'"),
            "p.yaml:3: 'data' in the plan holds '${A-B}'; write ${NAME} or ${NAME:-default}"
        ),
    ]
}

/// The one-line description of the error that `text` must cause.
private func complaint(_ text: String, _ environment: [String: String] = [:]) -> String {
    do throws(PlanError) {
        let plan = try Plan.parse(text, path: "p.yaml", environment: environment)
        return "parsed: \(plan)"
    } catch {
        #expect(!error.description.contains("\n"))
        return error.description
    }
}

@Suite struct PlanRefusalTests {
    @Test(arguments: PlanRefusal.all + PlanRefusal.wire)
    func namesTheLineAndTheMend(refusal: PlanRefusal) { #expect(complaint(refusal.text) == refusal.message) }

    @Test func yamlThatIsNone() {
        #expect(complaint("") == "p.yaml:1: the plan is empty; it needs 'model' and 'stages'")
        #expect(complaint("just words") == "p.yaml:1: the plan must be a mapping of keys to values, found 'just words'")
        #expect(complaint("a: 1\nb: [1, 2\nc: 3").hasPrefix("p.yaml:3:2: malformed YAML: did not find expected"))
        #expect(complaint("model: \u{1}").hasPrefix("p.yaml:1: malformed YAML: control characters"))
        #expect(complaint(planText() + "\n---\nseed: 1").contains("but found another document"))
        #expect(complaint(planText() + "? [a]\n: 1") == "p.yaml:3: a key in the plan must be a plain word")
        #expect(complaint("seed: 1\nseed: 2") == "p.yaml:1: key 'seed' is written twice; keep one")
    }

    @Test func bombsAndGiantsAreRefused() {
        let refusal = "anchors and aliases (&name, *name) are not part of a plan; write the values out"
        #expect(complaint("seed: &a 1\nname: *a") == "p.yaml:1: \(refusal)")
        // Nine levels of nine aliases are 387 million leaves; as a mapping key they would all be hashed.
        var bomb = "a0: &a0 [x]\n"
        for level in 1...9 {
            bomb +=
                "a\(level): &a\(level) [" + Array(repeating: "*a\(level - 1)", count: 9).joined(separator: ",") + "]\n"
        }
        #expect(complaint(bomb + "? *a9\n: 1") == "p.yaml: \(refusal)")
        let giant = complaint(String(repeating: "#", count: Plan.maximumBytes + 1))
        #expect(giant == "p.yaml: the plan has 1048577 bytes, the limit is 1048576; is this a plan?")
        #expect(complaint("model: " + String(repeating: "[", count: 100_000)).hasPrefix("p.yaml:1:"))
        #expect(complaint(String(repeating: "- ", count: 100_000)).hasPrefix("p.yaml:1:"))
    }

    @Test func commentsMayHoldStars() throws {
        _ = try Plan.parse(
            "# *this* is *one*\n" + planText("data: 'npy:*/x' # *.npy"), path: "p.yaml", environment: [:])
    }

    /// Whatever prefix of a plan a half-finished download left, reading it ends in a plan or in one line.
    @Test func truncatedAnywhere() {
        let text = planText("fleet: {workers: 2, lease: '5s'}\nwire: {up: {values: \"int4\"}}\n")
        for count in 0...text.count { _ = complaint(String(text.prefix(count))) }
    }
}
