import Testing

@testable import Federation

/// Whatever a plan may say, its tasks can be sent and read: a range that is narrower in a message than in the plan would
/// make a run hang.
struct PlanExtremesTests {
    static let trainings = [
        "epochs: 1e-300, batch: 1, learningRate: 1e-300, momentum: 0, weightDecay: 0",
        "epochs: 1000, batch: 65536, learningRate: 100, momentum: 0.9999999, weightDecay: 1, optimizer: adamw",
        "accumulate: 1024, decay: weights, clipNorm: 1000000000, proximal: 1000, precision: bfloat16, warmup: 0.9999999999",
        "clipValue: 1e-300, nesterov: true, momentum: 0.9999999999999999, server: {optimizer: yogi, epsilon: 1e-9}",
        "correction: scaffold, momentum: 0, learningRate: 100",
    ]
    static let fleets = [
        "workers: 1, lease: 0.1, heartbeat: 0.02, deadline: 0.1, wait: 0.1",
        "workers: 1024, lease: 24h, heartbeat: 12h, deadline: 720h, wait: 720h, overSelect: 1024",
        "workers: 1024, rounds: asynchronous, buffer: 1024, maximumStaleness: 1000",
        "workers: 8, widths: [1, 0.5, 1e-300], strengths: [1e-300]",
    ]
    static let wires = [
        "density: 1e-300, values: ternary, block: 1, smallElements: 0",
        "density: 0.5, selection: block, momentum: 0.9999999999999999, clip: 1e-300", "budget: 4GiB, clip: 1000000000",
        "bandwidth: 1KB/s",
        "density: 1, values: float32, block: 65536, smallElements: 16777216, small: float32",
    ]

    static func stages(_ training: String) -> [String] {
        [
            "train: {rounds: 1, \(training)}",
            "distill: {rounds: 1, teacher: {stage: 1}, temperature: 1e-300, alpha: 0, \(training)}",
            "distill: {rounds: 2, teacher: {stage: 2}, temperature: 100, alpha: 1, \(training)}",
            "prune: {criterion: taylor, sparsity: 0.5, scoreSamples: 1000000000, \(training)}",
            "factorize: {budget: {macs: 1e-300}, samples: 1000000000, multiple: 4096, rounds: 1, \(training)}",
            "quantize: {samples: 1000000000, percentile: 50}", "evaluate: {samples: 1000000000}",
        ]
    }

    @Test(arguments: fleets, trainings) func everyOfferSurvivesItsEncoding(fleet: String, training: String) throws {
        for wire in Self.wires {
            let stages = Self.stages(training).map { "  - \($0)\n" }.joined()
            let text =
                "model: {file: m.onnx}\nseed: 18446744073709551615\nfleet: {\(fleet)}\nwire: {up: {\(wire)}}\n"
                + "stages:\n\(stages)"
            // Corrections are for synchronous rounds of one model.
            let refused = text.contains("asynchronous") || text.contains("widths")
            guard !(text.contains("scaffold") && refused) else { continue }
            let plan = try Plan.parse(text, path: "p", environment: [:])
            var history = RunHistory(plan: plan, records: Self.opening)
            let machine = { CoordinatorMachine(history: history) }
            var steps = 0
            while let step = Self.nextRound(&history), steps < 100 {
                steps += 1
                let offer = machine().offer(step, round: steps, worker: "w", held: [])
                #expect(try CoordinatorMessage(decoding: CoordinatorMessage.task(offer).encoded()) == .task(offer))
                Self.finish(step, &history)
            }
            #expect(steps == 24)
            let welcome = CoordinatorMessage.welcome(
                version: 3, run: "r", heartbeatSeconds: plan.fleet.heartbeatSeconds, acceptedRounds: 0)
            #expect(try CoordinatorMessage(decoding: welcome.encoded()) == welcome)
        }
    }

    @Test(arguments: [
        "sparsity: 1e-300, criterion: movement, rule: threshold, threshold: 1e-300",
        "sparsity: 0.9999999999999999, criterion: stability, schedule: dynamic, regrow: 0.9999999999999999, steps: 8",
        "granularity: block, block: [1024, 1], criterion: fisher, scope: local, sparsity: 0.5",
        "granularity: '2:4', criterion: taylor",
        "granularity: channel, budget: {bytes: 4GiB}, multiple: 4096, normalized: true, borders: keep, steps: 5",
        "granularity: channel, budget: {bytes: 1KiB}, rule: intersection, criterion: gradientNorm",
        "granularity: channel, budget: {macs: 1e-300}, schedule: linear, steps: 7",
        "granularity: channel, budget: {milliseconds: 1e-300}, steps: 3",
        "granularity: channel, budget: {milliseconds: 1000000}, scope: isomorphic",
        "granularity: head, sparsity: 0.9999999999999999, rule: union, criterion: movement",
        "granularity: layer, budget: {weights: 0.9999999999999999}, schedule: lottery, steps: 3",
    ])
    func everyDecisionSurvivesItsEncoding(prune: String) throws {
        let names = (0..<256).map { "\"\($0)\(String(repeating: "é", count: 510))\"" }.joined(separator: ", ")
        for exclude in ["", ", exclude: [\(names)]"] {
            let criterion = prune.contains("criterion") ? "" : ", criterion: taylor"
            let text =
                "model: {file: m.onnx}\nstages:\n  - prune: {\(prune)\(criterion), scoreSamples: 1000000000\(exclude)}\n"
            let plan = try Plan.parse(text, path: "p", environment: [:])
            var history = RunHistory(plan: plan, records: Self.opening)
            var decisions = 0
            while let step = Self.nextRound(&history) {
                let offer = CoordinatorMachine(history: history).offer(step, round: 1, worker: "w", held: [])
                if case .score = offer.work { decisions += 1 }
                #expect(try CoordinatorMessage(decoding: CoordinatorMessage.task(offer).encoded()) == .task(offer))
                Self.finish(step, &history)
            }
            #expect(decisions > 0)
        }
    }

    @Test(arguments: [
        ("bits: 2, rounding: gptq, percentile: 100, maximumDrop: 1e-300", "x86", 2 + 4 + 1),
        ("averageBits: 2, sensitivitySamples: 1000000000, maximumDrop: 100, equalize: true", "int4", 2 + 1 + 1),
        ("bytes: 4GiB, candidates: [2, 7], powerOfTwo: true, range: minMax, maximumDrop: 1", "x86-no-vnni", 3 + 3 + 1),
        ("bitOperations: 1e18, levels: kmeans, comparedSamples: 1000000000, calibration: entropy", "arm", 3 + 1 + 1),
        ("milliseconds: 1e-300, scales: tensor, comparedSamples: 0, correctBiases: false", "dynamic", 1 + 1),
        (
            "symmetric: false, scales: block, block: 65536, rounding: adaround, maximumDrop: 1", "int8-weights",
            1 + 4 + 1
        ),
        ("rounds: 3, frozenStatistics: 0, reestimate: true, epochs: 1000, batch: 65536", "tensorrt", 1 + 3 + 1 + 1 + 1),
        ("reestimate: true, epochs: 1e-300, averageBits: 8", "int8-weights", 1 + 1 + 1 + 1),
    ])
    func everyQuantizationSurvivesItsEncoding(quantize: String, target: String, rounds: Int) throws {
        let names = (0..<256).map { "\"\($0)\(String(repeating: "é", count: 510))\"" }.joined(separator: ", ")
        for exclude in ["", ", exclude: [\(names)]"] {
            let text =
                "model: {file: m.onnx}\nstages:\n  - evaluate\n  - quantize: {\(quantize)\(exclude)}\n"
                + "export: {target: \(target), opset: 25}\n"
            let plan = try Plan.parse(text, path: "p", environment: [:])
            var history = RunHistory(plan: plan, records: Self.opening)
            var offers = 0
            while let step = Self.nextRound(&history), offers < 100 {
                offers += 1
                let offer = CoordinatorMachine(history: history).offer(step, round: 1, worker: "w", held: [])
                #expect(try CoordinatorMessage(decoding: CoordinatorMessage.task(offer).encoded()) == .task(offer))
                Self.finish(step, &history)
            }
            #expect(offers == 1 + rounds)
        }
    }

    @Test func aThousandTeachersStillFitAnOffer() throws {
        let stages = (1...500).map { _ in "  - train: {rounds: 1}\n" }.joined()
        let distils = (1...500).map { "  - distill: {rounds: 1, teacher: {stage: \($0)}}\n" }.joined()
        let text = "model: {file: m.onnx}\nstages:\n\(stages)\(distils)"
        let plan = try Plan.parse(text, path: "p", environment: [:])
        var history = RunHistory(plan: plan, records: Self.opening)
        while history.stageIndex < 500, let step = Self.nextRound(&history) { Self.finish(step, &history) }
        guard let step = Self.nextRound(&history) else { return #expect(Bool(false)) }
        let offer = CoordinatorMachine(history: history).offer(step, round: 1, worker: "w", held: [])
        #expect(offer.retain.count > 400)
        let bytes = CoordinatorMessage.task(offer).encoded()
        #expect(try CoordinatorMessage(decoding: bytes) == .task(offer))
    }

    private static let opening: [LedgerRecord] = [
        .runStarted(
            run: "r", plan: "p",
            model: ModelFacts(source: "m", parameters: 1, bytes: 1, sampleShape: [], classes: nil), teachers: [:]),
        .snapshotPublished(CoordinatorMachineTests.base),
    ]

    /// The next step that has a round; ends of stages and transforms before it are applied.
    private static func nextRound(_ history: inout RunHistory) -> Step? {
        while !history.allStagesFinished {
            guard let step = history.step else {
                history.apply(.stageFinished(stage: history.stageIndex, seconds: 1))
                continue
            }
            if step.task != nil { return step }
            finish(step, &history)
        }
        return nil
    }

    private static func finish(_ step: Step, _ history: inout RunHistory) {
        guard let base = history.snapshot else { return }
        var next = base
        next.version += 1
        next.snapshot.digest = Digest.numbered(next.version)
        let isNew =
            switch step {
            case .evaluate, .nest, .calibrate, .inputMoments, .sensitivity, .compare, .quantize: false
            default: true
            }
        var outcome = StepOutcome()
        switch step {
        case .evaluate: outcome.accuracy = history.compact == nil ? 0.5 : 0.25
        case .sensitivity: outcome.evidence = QuantizationEvidenceBlobs(sensitivities: base.graph)
        case .quantize(let decision):
            outcome.compact = base.graph
            outcome.quantization = QuantizationFacts(
                target: "x86", layers: 2, canRetreat: decision.retreats < 2, explanation: base.graph)
        default: break
        }
        if case .nest(let shares) = step {
            outcome.widths = shares.map { ModelWidth(share: $0, change: base.graph) }
        }
        history.apply(
            .stepFinished(
                round: nil, stage: history.stageIndex, outcome: outcome, snapshot: isNew ? next : nil,
                traffic: StepTraffic(), seconds: 1))
    }
}

extension Digest {
    fileprivate static func numbered(_ number: Int) -> Digest {
        let bytes = (0..<32).map { UInt8(truncatingIfNeeded: number >> (8 * min($0, 7))) }
        guard let digest = Digest(bytes: bytes) else { preconditionFailure() }
        return digest
    }
}
