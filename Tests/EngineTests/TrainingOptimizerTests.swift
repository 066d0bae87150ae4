import ModelGraph
import Tensors
import Testing

@testable import Engine

/// One layer x w + b on two alternating batches, as in reference/training.py.
enum OneLayer {
    static let graph: Graph = {
        var graph = oneNode("MatMul", input: [4, 3], constants: [("w", grid([3, 2], 4))])
        graph.nodes[0].outputs = ["h"]
        graph.nodes.append(Node(name: "bias", operatorType: "Add", inputs: ["h", "b"], outputs: ["y"]))
        graph.initializers["b"] = Tensor([0.5, -0.25] as [Float], shape: [2])
        return graph
    }()
    static let batches = [
        Batch(grid([4, 3], 5), targets: Tensor([0, 1, 1, 0] as [Int64], shape: [4])),
        Batch(grid([4, 3], 7), targets: Tensor([1, 1, 0, 1] as [Int64], shape: [4])),
    ]

    /// Weights, then biases, and the norms that were reported.
    static func train(_ trainer: Trainer, steps: Int = 5) throws -> (values: [Float], norms: [Double]) {
        var norms: [Double] = []
        for step in 0..<steps { norms += [try trainer.step(batches[step % 2]).gradientNorm].compactMap { $0 } }
        return (try values(trainer), norms)
    }

    static func values(_ trainer: Trainer) throws -> [Float] {
        let parameters = try trainer.parameters()
        return try parameters.require("w").floats + parameters.require("b").floats
    }
}

func isClose(_ found: [Float], _ expected: [Double], _ tolerance: Double = 1e-6) -> Bool {
    found.count == expected.count && zip(found, expected).allSatisfy { abs(Double($0) - $1) <= tolerance }
}

/// Five steps of each optimizer against PyTorch's.
struct TrainingOptimizerTests {
    private func check(
        _ settings: OptimizerSettings, _ expected: [Double], clipping: GradientClipping? = nil,
        norms: [Double] = [], proximal: Double = 0, corrections: NamedTensors = NamedTensors()
    ) throws {
        let trainer = try Trainer(
            OneLayer.graph, optimizer: settings, clipping: clipping, proximal: proximal, corrections: corrections)
        let found = try OneLayer.train(trainer)
        #expect(isClose(found.values, expected), "\(found.values)")
        #expect(found.norms.count == norms.count)
        for (found, expected) in zip(found.norms, norms) { #expect(abs(found - expected) < 1e-6) }
    }

    @Test func sgd() throws {
        try check(OptimizerSettings(learningRate: 0.3), TrainingReference.sgd)
        try check(
            OptimizerSettings(learningRate: 0.3, momentum: 0.9, weightDecay: 0.05), TrainingReference.sgdMomentum)
        try check(
            OptimizerSettings(learningRate: 0.3, momentum: 0.8, weightDecay: 0.01, nesterov: true),
            TrainingReference.sgdNesterov)
    }

    @Test func adamW() throws {
        var settings = OptimizerSettings(kind: .adamw, learningRate: 0.05, weightDecay: 0.1)
        try check(settings, TrainingReference.adamw)
        settings.noDecayOnNormsAndBiases = true
        try check(settings, TrainingReference.adamwSpared)
    }

    @Test func lamb() throws {
        try check(OptimizerSettings(kind: .lamb, learningRate: 0.05, weightDecay: 0.1), TrainingReference.lamb)
    }

    @Test func clippingByNormReportsTheNormBeforeIt() throws {
        try check(
            OptimizerSettings(learningRate: 0.3, momentum: 0.9), TrainingReference.clippedNorm, clipping: .norm(0.3),
            norms: TrainingReference.clippedNormNorms)
    }

    @Test func clippingByValue() throws {
        try check(OptimizerSettings(learningRate: 0.3), TrainingReference.clippedValue, clipping: .value(0.1))
    }

    @Test func aProximalTermPullsBackToTheStart() throws {
        try check(OptimizerSettings(learningRate: 0.3), TrainingReference.proximal, proximal: 0.5)
    }

    @Test func correctionsAreAddedBeforeClipping() throws {
        try check(
            OptimizerSettings(learningRate: 0.3, momentum: 0.9), TrainingReference.corrected, clipping: .norm(0.5),
            norms: TrainingReference.correctedNorms,
            corrections: NamedTensors([("w", grid([3, 2], 2)), ("b", grid([2], 3))]))
    }

    /// With plain SGD and a constant rate, (x − y) / Σ rate is the mean corrected gradient, so that option II's new control
    /// variate is the mean gradient without the correction.
    @Test func progressGivesScaffoldsOptionTwo() throws {
        let correction = grid([3, 2], 2)
        let trainer = try Trainer(
            OneLayer.graph, optimizer: OptimizerSettings(learningRate: 0.3),
            corrections: NamedTensors([("w", correction)]))
        let start = try trainer.parameters().require("w").floats
        var means = [Double](repeating: 0, count: 6)
        for (step, rate) in [0.3, 0.1, 0.2].enumerated() {
            trainer.learningRate = rate
            let batch = OneLayer.batches[step % 2]
            let gradient = try trainer.gradients(batch).gradients.require("w").floats
            for index in means.indices { means[index] += rate * Double(gradient[index]) }
            _ = try trainer.step(batch)
        }
        #expect(trainer.progress.steps == 3)
        #expect(abs(trainer.progress.rateSum - 0.6) < 1e-12)
        let end = try trainer.parameters().require("w").floats
        for index in means.indices {
            let moved = Double(start[index] - end[index]) / trainer.progress.rateSum
            #expect(abs(moved - Double(correction.floats[index]) - means[index] / 0.6) < 1e-5)
        }
    }

    @Test func settingsOutsideTheirRangeAreRefused() throws {
        func refusal(_ body: () throws -> Void) -> String {
            do { try body() } catch { return "\(error)" }
            return "taken"
        }
        func refusal(_ settings: OptimizerSettings) -> String { refusal { try settings.validate() } }
        #expect(refusal(OptimizerSettings(learningRate: -1)).contains("learning rate"))
        #expect(refusal(OptimizerSettings(learningRate: .nan)).contains("learning rate"))
        #expect(refusal(OptimizerSettings(learningRate: 1, momentum: 1)).contains("momentum"))
        #expect(refusal(OptimizerSettings(learningRate: 1, nesterov: true)).contains("Nesterov"))
        #expect(refusal(OptimizerSettings(learningRate: 1, weightDecay: -1)).contains("decay"))
        #expect(refusal(OptimizerSettings(learningRate: 1, beta2: 1)).contains("betas"))
        #expect(refusal(OptimizerSettings(learningRate: 1, epsilon: 0)).contains("epsilon"))
        let settings = OptimizerSettings(learningRate: 0.1)
        #expect(
            refusal { _ = try Trainer(OneLayer.graph, optimizer: settings, clipping: .norm(0)) }.contains("clipped"))
        #expect(refusal { _ = try Trainer(OneLayer.graph, optimizer: settings, proximal: -1) }.contains("mu"))
        let corrections = NamedTensors([("w", Tensor(zeros: [2, 2]))])
        #expect(
            refusal { _ = try Trainer(OneLayer.graph, optimizer: settings, corrections: corrections) }
                .contains("'w'"))
        let trainer = try Trainer(OneLayer.graph, optimizer: settings)
        trainer.learningRate = .infinity
        #expect(refusal { _ = try trainer.step(OneLayer.batches[0]) }.contains("learning rate"))
        #expect(try trainer.parameters() == OneLayer.graph.parameterTensors())
    }

    /// Masks stop what would move dead weights: decay, corrections, and the norm that others are clipped by.
    @Test(arguments: OptimizerMethod.allCases) func deadWeightsStayZero(kind: OptimizerMethod) throws {
        var bitmap = Bitmap(repeating: true, count: 6)
        bitmap[1] = false
        bitmap[4] = false
        let trainer = try Trainer(
            OneLayer.graph, optimizer: OptimizerSettings(kind: kind, learningRate: 0.1, weightDecay: 0.1),
            masks: MaskSet(epoch: 1, bitmaps: ["w": bitmap]), clipping: .norm(0.3), proximal: 0.1,
            corrections: NamedTensors([("w", grid([3, 2], 2))]))
        let gradients = try trainer.gradients(OneLayer.batches[0]).gradients
        var squares = 0.0
        for (index, gradient) in try gradients.require("w").floats.enumerated() where bitmap[index] {
            squares += Double((gradient + grid([3, 2], 2).floats[index]) * (gradient + grid([3, 2], 2).floats[index]))
        }
        for gradient in try gradients.require("b").floats { squares += Double(gradient * gradient) }
        let norm = try #require(try trainer.step(OneLayer.batches[0]).gradientNorm)
        #expect(abs(norm - squares.squareRoot()) < 1e-6)
        _ = try OneLayer.train(trainer)
        let bits = try trainer.parameters().require("w").elements(as: UInt32.self)
        #expect(bits.indices.allSatisfy { bitmap[$0] == (bits[$0] != 0) })
    }
}
