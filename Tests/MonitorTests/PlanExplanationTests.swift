import Federation
import Testing

@testable import Monitor

/// What `plan explain` says of each kind of stage, defaults included.
@Suite struct PlanExplanationTests {
    private static func text(_ stages: String, _ extra: String = "") throws -> String {
        let plan = try Plan.parse(
            "name: words\nmodel: {architecture: cnn, width: 8}\nstages: [\(stages)]\n\(extra)", path: "plan",
            environment: [:])
        return PlanExplanation(plan).sections.flatMap { [$0.title] + $0.paragraphs }.joined(separator: "\n")
    }

    private static let cases: [(stages: String, phrases: [String])] = [
        (
            "train",
            [
                "5 rounds of federated averaging", "one pass", "batches of 64", "momentum 0.9", "weighted by samples",
                "evaluation",
            ]
        ),
        (
            "{train: {rounds: 1, optimizer: adamw, schedule: cosine, clipNorm: 1, precision: bfloat16, server: {optimizer: adam}}}",
            ["1 round of", "adamw", "cosine", "norm of 1", "bfloat16", "FedAdam", "rate 0.01"]
        ),
        (
            "{train: {}}, {distill: {teacher: {stage: 1}, hiddenStates: 0.5}}",
            ["the end of stage 1", "free", "Temperature 4", "alpha 0.7", "hiddenStates"]
        ),
        ("{distill: {teacher: {own: true}}}", ["each worker's own file", "own teachers stay where they are"]),
        ("{distill: {ensemble: {}}}", ["logits on the public set", "two parts each"]),
        (
            "prune",
            [
                "In 4 steps", "single weights", "80.00 % of them are gone", "criterion taylor", "1,024 samples",
                "become zeros", "1 round of training",
            ]
        ),
        (
            "{prune: {granularity: channel, budget: {macs: 0.5}, criterion: l2, roundsPerStep: 0}}",
            [
                "channels of coupled groups", "multiple of 16", "50.00 % of the multiply-accumulates",
                "coordinator decides alone", "leave the model", "No training follows",
            ]
        ),
        ("{prune: {schedule: lottery}}", ["the beginning of the run"]),
        ("{prune: {rule: majority}}", ["more than half of the fleet", "a mask of its own as a vote"]),
        (
            "{factorize: {energy: 0.95}}",
            [
                "95.00 % of its energy", "second moments", "fetch it whole", "5 rounds of training",
                "mean image can be guessed",
            ]
        ),
        (
            "{factorize: {evbmf: true, samples: 0, rounds: 0}}",
            ["stands out of noise", "weights alone decide", "No training follows"]
        ),
        (
            "{quantize: {}}",
            [
                "target x86", "8 bits each", "rounded to nearest", "histograms of values over 1,024 samples",
                "Scales are shared as suits the target",
                "percentile 100", "evaluate the file itself",
            ]
        ),
        (
            "{quantize: {averageBits: 4, rounding: adaround, maximumDrop: 1, scales: tensor, range: minMax, powerOfTwo: true}}",
            [
                "A scale for each tensor, so large that no weight is clipped, a power of two.",
                "4 bits on average", "AdaRound", "biases corrected", "2, 3, 4, 5, 6, 8 bits",
                "more than 1 percentage points worse",
            ]
        ),
        (
            "{quantize: {rounds: 2, reestimate: true}}",
            ["2 rounds of training with rounding simulated", "measured anew"]
        ),
        ("{evaluate: {samples: 200}}", ["at most 200 samples", "Nothing changes"]),
    ]

    @Test(arguments: cases.indices)
    func eachKindOfStageIsSaid(index: Int) throws {
        let (stages, phrases) = Self.cases[index]
        let extra = stages.contains("ensemble") ? "public: 'synthetic:digits?part=public&holdout=100'\n" : ""
        let text = try Self.text(stages, extra)
        for phrase in phrases { #expect(text.contains(phrase), "'\(phrase)' is not said:\n\(text)") }
    }

    @Test func fleetWireAndPrivacyAreSaid() throws {
        let text = try Self.text(
            "train",
            """
            fleet: {workers: 5, quorum: 3, overSelect: 1, deadline: 90s, wait: 60s, lease: 20s}
            wire: {up: {density: 0.05, values: int4}, down: {budget: 20KB}}
            """)
        for phrase in [
            "5 contributions, 1 more are asked", "3 suffice at the deadline", "A task older than 90.0 s is late",
            "exit code 7",
            "the largest 5.00 % of each tensor's alive elements as int4", "at most 20.0 KB an update",
            "Samples never leave a worker",
            "no secure aggregation", "out/compact.onnx",
        ] {
            #expect(text.contains(phrase), "'\(phrase)' is not said:\n\(text)")
        }
    }

    @Test func estimatesAreMarkedAndAddUp() throws {
        let plan = try Plan.parse(
            "model: {architecture: cnn}\nfleet: {workers: 4}\nstages: [train]", path: "plan", environment: [:])
        let rounds = [
            RunForecast.Rounds(
                task: "train", count: 5, bytesUp: 500_000, bytesDown: 400_000, work: .init(eachTrainingSample: 3e6)),
            RunForecast.Rounds(
                task: "evaluate", count: 1, bytesUp: 200, bytesDown: 100_000, work: .init(eachTestSample: 1e6)),
        ]
        let forecast = RunForecast(
            source: "cnn", parameters: 1000, macs: 1_000_000, modelBytes: 4_000,
            stages: [RunForecast.Stage(kind: "train", rounds: rounds, parameters: 1000, macs: 1_000_000)], workers: 4,
            bytesFloat32: 16_000_000)
        #expect(forecast.bytesUp == 4 * 500_200 && forecast.bytesDown == 2_000_000 && forecast.rounds == 6)
        let duration = RunDuration(of: forecast, basis: .given, rate: 1e9, trainingSamples: 1000, testSamples: 100)
        #expect(abs(duration.total - 3.1) < 1e-9)
        let text = PlanExplanation(plan, forecast: forecast, duration: duration).lines().joined(separator: "\n")
        for phrase in ["Estimated, a worker", "100 KB up", "3.10 s", "as given by --rate", "4.00x as much", "Formula"] {
            #expect(text.contains(phrase), "'\(phrase)' is not said:\n\(text)")
        }
        let unknown = PlanExplanation(plan, forecast: forecast).lines().joined(separator: "\n")
        #expect(unknown.contains("Time: not estimated"))
    }

    /// Names out of a plan cannot draw on the terminal, and no line is longer than asked for where words allow.
    @Test func linesAreWrappedAndEscaped() throws {
        let plan = Plan(
            name: "n", model: .file("a\u{1B}[31m.onnx"), stages: [.train(TrainPlan())],
            export: ExportPlan(target: .float32))
        let lines = PlanExplanation(plan).lines(width: 60)
        #expect(lines.allSatisfy { $0.count <= 60 }, "\(lines.filter { $0.count > 60 })")
        #expect(!lines.joined().contains("\u{1B}"))
    }
}
