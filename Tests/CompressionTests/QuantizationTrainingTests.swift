import Engine
import ModelGraph
import Tensors
import Testing

@testable import Compression

/// Quantization-aware training from end to end: a float model, its rounding simulated, trained, written, and read back.
struct QuantizationTrainingTests {
    private static let classes = 4

    /// What a fixed random network says of random numbers.
    private struct Task {
        let teacher: Graph
        let executable: Executable

        init() throws {
            teacher = try ModelBuilder.build(
                architecture: "mlp", inputShape: [16], classes: classes, width: 24, seed: 77)
            executable = try Executable(teacher)
        }

        func batch(_ count: Int, seed: UInt64) throws -> Batch {
            let input = try SimulationFixtures.noise([count, 16], seed: seed)
            let logits = try executable.logits(input).floats
            let labels = (0..<count).map { row -> Int64 in
                let own = logits[row * classes..<(row + 1) * classes]
                return Int64((own.indices.max { own[$0] < own[$1] } ?? own.startIndex) - own.startIndex)
            }
            return Batch(input, targets: Tensor(labels, shape: try Shape([count])))
        }
    }

    private func trained(_ graph: Graph, _ task: Task, steps: Int, rate: Double, seed: UInt64) throws -> Graph {
        let trainer = try Trainer(graph, optimizer: OptimizerSettings(kind: .adamw, learningRate: rate))
        for step in 0..<steps {
            // The rate falls to nothing: rounding settles.
            trainer.learningRate = rate * Double(steps - step) / Double(steps)
            _ = try trainer.step(task.batch(64, seed: seed + UInt64(step)))
        }
        return try graph.replacingParameters(trainer.parameters())
    }

    private func accuracy(_ graph: Graph, _ batch: Batch) throws -> Double {
        try #require(Executable(graph).evaluate(batch).accuracy)
    }

    @Test(arguments: [2, 3]) func trainingBringsBackWhatRoundingLost(bits: Int) throws {
        let task = try Task()
        let start = try ModelBuilder.build(
            architecture: "mlp", inputShape: [16], classes: Self.classes, width: 24, seed: 5)
        let float = try trained(start, task, steps: 250, rate: 0.01, seed: 1_000)
        let test = try task.batch(1_000, seed: 3)
        let settings = QuantizationSettings(weights: WeightScheme(bits: bits, range: .leastSquares))
        let quantizer = try ModelQuantizer(float, settings: settings)
        let evidence = try SimulationFixtures.evidence(
            quantizer, [try #require(task.batch(256, seed: 4).inputs.ordered.first).tensor])
        let simulated = try quantizer.simulating(float, evidence)
        let tuned = try trained(simulated, task, steps: 150, rate: 0.005, seed: 5_000)
        // The steps are trained too.
        let steps = try #require(simulated.simulatedWeights.first?.steps)
        #expect(tuned.simulatedWeights.first?.steps != steps)

        let rounded = try quantizer.quantize(evidence).graph
        let written = try ModelQuantizer(tuned, settings: settings).quantize(evidence).graph
        let read = try Graph.load(written.serialized(), path: "file")
        let whole = try accuracy(float, test)
        let (before, after) = (try accuracy(rounded, test), try accuracy(read, test))
        #expect(whole > 0.8, "\(whole)")
        #expect(after > before, "\(before) \(after)")
        #expect(whole - after < (whole - before) / 2, "\(whole) \(before) \(after)")
    }

    @Test func statisticsBehindRoundedWeightsAreMeasuredAnew() throws {
        let graph = try SimulationFixtures.resnet()
        let settings = QuantizationSettings(
            target: .int8Weights, weights: WeightScheme(bits: 2, range: .leastSquares))
        let quantizer = try ModelQuantizer(graph, settings: settings)
        let simulated = try quantizer.simulating(graph, QuantizationEvidence())
        let meter = try StatisticsMeter(simulated)
        for seed in UInt64(1)...3 {
            try meter.add(
                Batch(SimulationFixtures.noise([8, 3, 16, 16], seed: seed), targets: Tensor(zeros: [8])))
        }
        let parameters = try meter.parameters()
        for name in simulated.statisticNames { #expect(parameters[name] != simulated.initializers[name]) }
        for name in simulated.trainableNames { #expect(parameters[name] == simulated.initializers[name]) }
        let measured = try simulated.replacingParameters(parameters)
        // The file has the new statistics folded in.
        let result = try ModelQuantizer(measured, settings: settings).quantize(QuantizationEvidence())
        let input = try SimulationFixtures.noise([8, 3, 16, 16], seed: 9)
        let expected = try Executable(measured).logits(input).floats
        let found = try Executable(result.graph).logits(input).floats
        let size = expected.reduce(0) { max($0, abs($1)) }
        for (a, b) in zip(expected, found) { #expect(abs(a - b) <= 1e-4 * size) }
    }
}
