import ModelGraph
import Tensors
import Testing

@testable import Engine

/// Agreement with PyTorch 2.13 within 1e-4 relative (largest difference over largest value of each tensor).
@Suite(.enabled(if: Parity.isThere, "../shared/parity is not there"))
struct ExecutionParityTests {
    /// The number of threads is a setting of each thread that calls libtorch, and it decides the order of sums.
    init() { EngineRuntime.setThreads(1) }

    static let sgd = OptimizerSettings(learningRate: 0.05, momentum: 0.9, weightDecay: 5e-4)
    static let adamw = OptimizerSettings(kind: .adamw, learningRate: 1e-3, weightDecay: 0.01)

    /// What a gradient of which only rounding is left may be: float32 keeps 24 bits of the largest.
    ///
    /// Such are key biases: they shift all scores of a query alike, which softmax ignores, so the exact gradient is zero. AdamW
    /// scales what rounding leaves up to full steps of random sign: its result can only be held to the length of the steps.
    static func roundingNoise(_ reference: NamedTensors) throws -> Float {
        var largest: Float = 0
        for key in reference.names where key.hasPrefix("grad.") {
            largest = max(largest, try Self.largest(reference.require(key)))
        }
        return 1e-6 * largest
    }

    static func largest(_ tensor: Tensor) -> Float { tensor.floats.map(abs).max() ?? 0 }

    @Test(arguments: ["cnn", "resnet8", "tinybert"])
    func evaluationLogits(name: String) throws {
        let (graph, tensors) = try Parity.load(name)
        let logits = try Executable(graph).logits(tensors.require("x"))
        #expect(try Parity.relativeError(logits, tensors.require("eval.logits")) < 1e-4)
    }

    @Test(arguments: ["cnn", "resnet8", "tinybert"])
    func trainingLogitsLossAndEveryGradient(name: String) throws {
        let (graph, tensors) = try Parity.load(name)
        let trainer = try Trainer(graph, optimizer: Self.sgd)
        let result = try trainer.gradients(tensors.require("x"), labels: tensors.require("labels"))
        #expect(try Parity.relativeError(result.logits, tensors.require("train.logits")) < 1e-4)
        let loss = try #require(try tensors.require("train.loss").floats.first)
        #expect(abs(result.result.loss - Double(loss)) < 1e-4 * Double(loss))
        let expected = tensors.names.filter { $0.hasPrefix("grad.") }
        #expect(expected.count == graph.trainableNames.count)
        let noise = try Self.roundingNoise(tensors)
        for key in expected {
            let gradient = try result.gradients.require(String(key.dropFirst("grad.".count)))
            if try Self.largest(tensors.require(key)) < noise {
                #expect(gradient.floats.allSatisfy { abs($0) < noise }, "\(key)")
            } else {
                let agreement = Agreement(gradient, try tensors.require(key))
                #expect(agreement.holds(within: 1e-4), "\(key): \(agreement)")
            }
        }
    }

    @Test(arguments: ["cnn", "resnet8", "tinybert"], [("sgd3.", sgd), ("adamw3.", adamw)])
    func allParametersAfterThreeSteps(name: String, optimizer: (prefix: String, settings: OptimizerSettings)) throws {
        let (graph, tensors) = try Parity.load(name)
        let trainer = try Trainer(graph, optimizer: optimizer.settings)
        for _ in 0..<3 { _ = try trainer.step(tensors.require("x"), labels: tensors.require("labels")) }
        let parameters = try trainer.parameters()
        let expected = tensors.names.filter { $0.hasPrefix(optimizer.prefix) }
        #expect(!expected.isEmpty)
        let noise = try Self.roundingNoise(tensors)
        for key in expected {
            let name = String(key.dropFirst(optimizer.prefix.count))
            let (found, reference) = (try parameters.require(name), try tensors.require(key))
            let gradient = tensors["grad.\(name)"].map(Self.largest) ?? .infinity
            if optimizer.settings.kind == .adamw, gradient < noise {
                let steps = 2.02 * 3 * Float(optimizer.settings.learningRate)
                #expect(zip(found.floats, reference.floats).allSatisfy { abs($0 - $1) <= steps }, "\(key)")
            } else {
                let agreement = Agreement(found, reference)
                #expect(agreement.holds(within: 1e-4), "\(key): \(agreement)")
            }
        }
    }

    @Test func aStepIsRepeatableToTheBit() throws {
        let (graph, tensors) = try Parity.load("resnet8")
        func train() throws -> NamedTensors {
            EngineRuntime.setThreads(1)
            EngineRuntime.seed(5)
            let trainer = try Trainer(graph, optimizer: Self.sgd)
            for _ in 0..<5 { _ = try trainer.step(tensors.require("x"), labels: tensors.require("labels")) }
            return try trainer.parameters()
        }
        #expect(try train() == train())
    }

    @Test func foldedBatchNormalizationComputesTheSame() throws {
        let (graph, tensors) = try Parity.load("resnet8")
        let folded = graph.foldingBatchNormalization()
        #expect(!folded.nodes.contains { $0.operatorType == "BatchNormalization" })
        let logits = try Executable(folded).logits(tensors.require("x"))
        #expect(try Parity.relativeError(logits, tensors.require("eval.logits")) < 1e-4)
    }
}
