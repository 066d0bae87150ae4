import ArgumentParser
import Coordinator
import Engine
import Federation
import Foundation
import ModelGraph
import Monitor

struct PlanExplainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain",
        abstract: "Say in words what a plan will do, with estimated bytes and time.",
        discussion: """
            The model is built or loaded and every stage rehearsed on it, as before a start. Bytes are estimated by encoding \
            noise of its shapes; time is multiply-accumulates over a rate, which --measure takes from training steps on this \
            machine. All of it is an estimate. Example: pleach plan explain Examples/mnist/plan.yaml --measure
            """)

    @Argument(help: "The plan, a YAML file (protocols/plan.md).", completion: .file(extensions: ["yaml", "yml"]))
    var plan: String

    @Option(help: "Workers to ask in each round; the plan's fleet.workers unless given.")
    var workers: Int?

    @Option(help: "Training samples of each worker; those of the plan's own data dealt to its workers unless given.")
    var samples: Int?

    @Option(help: "Test samples of each worker; likewise, or a sixth of --samples.")
    var testSamples: Int?

    @Option(help: "Multiply-accumulates that a worker does in a second, such as 1e10.")
    var rate: Double?

    @Flag(help: "Time training steps of the model on this machine, for about a second.")
    var measure = false

    @Flag(help: "Print JSON.")
    var json = false

    private struct Answer: Encodable {
        var explanation: PlanExplanation
        var forecast: RunForecast
        var bytesUp: Int
        var bytesDown: Int
        var rounds: Int
        var duration: RunDuration?
    }

    func run() async throws {
        try await exitingOnError {
            guard rate == nil || !measure else { throw ValidationError("--rate and --measure exclude each other") }
            if let rate, !(rate.isFinite && rate > 0) { throw ValidationError("--rate must be positive") }
            for count in [samples, testSamples].compactMap(\.self) where !(1...1 << 40).contains(count) {
                throw ValidationError("--samples and --test-samples must be positive")
            }
            let (plan, _) = try PlanFile.load(plan, workers: workers)
            let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
                "pleach-plan-\(UUID().uuidString)")
            let examined = try ExaminedModel(plan: plan, measuringIn: folder.path)
            let forecast = try RunForecast(
                plan: plan, examined: examined, publicSamples: plan.publicData.flatMap { count($0, split: nil) })
            let duration = try duration(plan, examined.graph, forecast)
            let explanation = PlanExplanation(plan, forecast: forecast, duration: duration)
            if json {
                return try printJSON(
                    Answer(
                        explanation: explanation, forecast: forecast, bytesUp: forecast.bytesUp,
                        bytesDown: forecast.bytesDown, rounds: forecast.rounds, duration: duration))
            }
            print(explanation.lines().joined(separator: "\n"))
        }
    }

    /// nil where nothing is known of the data's size.
    private func duration(_ plan: Plan, _ graph: Graph, _ forecast: RunForecast) throws -> RunDuration? {
        let workers = plan.fleet.workers
        let training = samples ?? plan.data.flatMap { count($0, split: .train) }.map { max(1, $0 / workers) }
        guard let training else { return nil }
        let test =
            testSamples
            ?? (samples == nil ? plan.data.flatMap { count($0, split: .test) }.map { max(1, $0 / workers) } : nil)
            ?? max(1, training / 6)
        let (basis, speed): (RunDuration.Basis, Double) =
            if let rate {
                (.given, rate)
            } else if measure {
                (.measured, try measuredRate(plan, graph, macs: forecast.macs))
            } else {
                (.assumed, RunDuration.assumedRate * Double(plan.fleet.threads))
            }
        return RunDuration(of: forecast, basis: basis, rate: speed, trainingSamples: training, testSamples: test)
    }

    /// Samples of a SPEC; nil where it cannot be read here: workers may be on other machines.
    private func count(_ text: String, split: DataSpec.Split?) -> Int? {
        guard var spec = try? DataSpec(parsing: text, environment: ProcessInfo.processInfo.environment) else {
            return nil
        }
        if let split { spec = spec.with(split: split) }
        return (try? Dataset.load(spec))?.count
    }

    private func measuredRate(_ plan: Plan, _ graph: Graph, macs: Int?) throws -> Double {
        guard let macs, macs > 0 else {
            throw ValidationError("--measure needs a model whose multiply-accumulates can be counted: give --rate")
        }
        let batch = plan.stages.lazy.compactMap(\.batch).first ?? 64
        var steps = 3
        var row = try StepBenchmark.run(
            graph: graph, options: StepBenchmark.Options(batch: batch, threads: plan.fleet.threads, steps: steps))
        // About a second of them.
        steps = max(3, min(200, Int(1000 / max(1, row.millisecondsPerStep))))
        if steps > 3 {
            row = try StepBenchmark.run(
                graph: graph, options: StepBenchmark.Options(batch: batch, threads: plan.fleet.threads, steps: steps))
        }
        return 3 * Double(macs) * Double(batch) / (row.millisecondsPerStep / 1000)
    }
}

extension StagePlan {
    /// Samples whose gradients its workers compute at once.
    fileprivate var batch: Int? {
        switch self {
        case .train(let plan): plan.recipe.batch
        case .distill(let plan): plan.recipe.batch
        case .prune(let plan): plan.recipe.batch
        case .factorize(let plan): plan.recipe.batch
        case .quantize(let plan): plan.recipe.batch
        case .evaluate: nil
        }
    }
}
