@testable import Federation
@testable import Monitor

/// Reports of runs that were never run.
enum ReportSamples {
    /// Everything that a worker, a plan or a file could bring to break out of a page.
    static let hostile = "<script>alert('x')</script>&amp;\"'\u{202E}\u{0}\u{FFFE}]]>--><img src=x onerror=y>"

    static func report(rounds: Int = 12, stages: Int = 3, workers: Int = 4, name: String = "digits") -> Report {
        var report = Report(
            run: "r-\(name)", plan: name, accuracyBefore: 0.9911, accuracyAfter: 0.9891, bytesBefore: 1_687_791,
            bytesAfter: 430_528, sparsity: 0.85, wireBytesUp: 2_500_000, wireBytesDown: 2_400_000,
            wireBytesFloat32: 270_000_000, rounds: rounds, seconds: 183, refused: 2,
            stages: (0..<stages).map { stage(["train", "prune", "quantize"][$0 % 3], name) })
        (report.parametersBefore, report.parametersAfter) = (421_642, 421_642)
        (report.macsBefore, report.macsAfter) = (4_241_152, 4_241_152)
        report.roundDetails = (0..<rounds).map { round($0, stage: $0 * stages / rounds, name) }
        (report.state, report.stagesPlanned) = ("finished", stages)
        (report.startedAt, report.endedAt) = ("2025-11-21T04:15:10.123Z", "2025-11-21T04:18:13.000Z")
        report.origin = origin(name)
        report.tensors = tensors(name)
        report.workers = (0..<workers).map {
            Report.Worker(
                name: "\(name)-\($0)", contributions: 30 - $0 % 30, refusals: $0 == 2 ? 2 : 0, samples: 15_000,
                bytes: 100_000, seconds: 40.5)
        }
        report.workersTotal = workers
        report.refusals = [RunCourse.Refusals(kind: .norm, count: 2)]
        report.newestRefusals = [
            RefusalLog.Entry(round: 3, worker: "\(name)-2", kind: .norm, reason: "the update's norm \(name)")
        ]
        report.files = [Report.File(name: "compact.onnx", bytes: 430_528, sha256: String(repeating: "ab", count: 32))]
        quantize(&report, name)
        return report
    }

    private static func stage(_ kind: String, _ name: String) -> Report.Stage {
        var stage = Report.Stage(
            kind: kind, accuracyBefore: 0.98, accuracyAfter: 0.99, bytesBefore: 1_687_791, bytesAfter: 430_528,
            sparsity: kind == "prune" ? 0.85 : 0, wireBytesUp: 800_000, wireBytesDown: 700_000,
            wireBytesFloat32: 90_000_000, rounds: 4, seconds: 60)
        (stage.state, stage.loss, stage.contributions, stage.refusals) = ("finished", 0.04, 16, 1)
        stage.settings = ["8 rounds.", "Only these may change: \(name)."]
        stage.facts = ["1 mask was decided for \(name)"]
        return stage
    }

    private static func round(_ number: Int, stage: Int, _ name: String) -> Report.Round {
        let isEvaluation = number % 4 == 3
        var round = Report.Round(
            round: number, stage: stage, task: isEvaluation ? "evaluate" : "train", wireBytesUp: 200_000,
            wireBytesDown: 190_000, parameters: 421_642, sparsity: 0.5, density: 0.05)
        round.wireBytesFloat32 = 22_000_000
        (round.seconds, round.contributions, round.refusals) = (4.5, 4, 0)
        round.loss = 2 / Double(number + 1)
        round.accuracy = isEvaluation ? 0.9 + 0.01 * Double(number % 10) : nil
        return round
    }

    private static func origin(_ name: String) -> Report.Origin {
        var origin = Report.Origin(
            software: "0.1.0", seed: "7", model: "cnn", classes: 10, sampleShape: [1, 28, nil], workers: 4,
            target: "x86")
        origin.openingSnapshot = String(repeating: "cd", count: 32)
        origin.data = "idx:mnist?seed=7"
        origin.planPath = "Examples/\(name).yaml"
        origin.planDigest = String(repeating: "ef", count: 32)
        origin.planText =
            "name: x # \(name)\nseed: 7\nstages:\n  - train: {rounds: 8, learningRate: 0.05}\n  - evaluate\n"
        return origin
    }

    private static func tensors(_ name: String) -> [Report.Tensor] {
        var kept = Report.Tensor(name: "conv1.weight", shapeBefore: [32, 1, 3, 3], shapeAfter: [16, 1, 3, 3])
        (kept.alive, kept.bits) = (100, 8)
        var gone = Report.Tensor(name: "\(name).weight", shapeBefore: [128, 3136])
        gone.rank = "svd 16"
        return [kept, gone]
    }

    private static func quantize(_ report: inout Report, _ name: String) {
        report.quantization = Report.Quantization(
            target: "x86", averageBits: 3.98, weights: 2, agreement: 0.99, integerShare: 1,
            givenUp: ["\(name): 8 bits"], floatNodes: [], remarks: ["calibrated"],
            front: (0..<50).map { Report.Quantization.Point(size: 1000 + 10 * $0, cost: 1 / Double($0 + 1)) })
        var layer = Report.Layer(layer: "conv1.weight", bits: 8, weights: 144)
        (layer.signalToNoise, layer.cosine, layer.advice) = (40.1, 0.9999, "\(name): more bits")
        report.layers = [layer]
    }
}
