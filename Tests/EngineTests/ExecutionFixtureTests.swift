import ModelGraph
import Tensors
import Testing

@testable import Engine

/// Agreement with PyTorch in evaluation, gradients and three optimizer steps, for every model in `fixtures`: 1e-4 relative
/// for each element that PyTorch's own float32 determines (`Tests/parity/reference.py` says how that is found out).
@Suite(
    .enabled(if: !ParityFolder.fixtures.isEmpty, "PLEACH_PARITY names no folder with fixtures: run `make parity`"),
    .serialized)
struct ExecutionFixtureTests {
    /// The number of threads is a setting of each thread that calls libtorch, and it decides the order of sums.
    init() { EngineRuntime.setThreads(1) }

    /// By the prefix of their results' names.
    static let optimizers = [
        "sgd3": OptimizerSettings(learningRate: 0.05, momentum: 0.9, weightDecay: 5e-4),
        "adamw3": OptimizerSettings(kind: .adamw, learningRate: 1e-3, weightDecay: 0.5, epsilon: 1e-3),
    ]

    @Test(arguments: ParityFolder.fixtures) func evaluationLogits(name: String) throws {
        let reference = try ParityFolder.read("fixtures/\(name)")
        let graph = try ParityFolder.graph("fixtures/\(name)")
        let output = try #require(graph.outputs.first?.name)
        let found = try Executable(graph).run(Self.batch(of: graph, reference).inputs, outputs: [output])
        var disagreements = Disagreements()
        try disagreements.compare("eval.logits", found.require(output), with: reference)
        #expect(disagreements.isEmpty, "\(disagreements)")
    }

    @Test(arguments: ParityFolder.fixtures) func trainingLogitsLossAndEveryGradient(name: String) throws {
        let reference = try ParityFolder.read("fixtures/\(name)")
        let graph = try ParityFolder.graph("fixtures/\(name)")
        let trainer = try Trainer(graph, optimizer: OptimizerSettings(learningRate: 0.05))
        let batch = try Self.batch(of: graph, reference)
        let found = try trainer.gradients(batch)
        var disagreements = Disagreements()
        try disagreements.compare("train.logits", found.logits, with: reference)
        let loss = Tensor([Float(found.result.loss)], shape: try Shape([1]))
        try disagreements.compare("train.loss", loss, with: reference)
        let keys = reference.names.filter { $0.hasPrefix("grad.") }
        #expect(keys.map { String($0.dropFirst("grad.".count)) }.sorted() == graph.trainableNames.sorted())
        for key in keys {
            try disagreements.compare(
                key, found.gradients.require(String(key.dropFirst("grad.".count))), with: reference)
        }
        #expect(disagreements.isEmpty, "\(disagreements)")
    }

    @Test(arguments: ParityFolder.fixtures, ["sgd3", "adamw3"])
    func parametersAndStatisticsAfterThreeSteps(name: String, optimizer: String) throws {
        let reference = try ParityFolder.read("fixtures/\(name)")
        let graph = try ParityFolder.graph("fixtures/\(name)")
        let trainer = try Trainer(graph, optimizer: #require(Self.optimizers[optimizer]))
        let batch = try Self.batch(of: graph, reference)
        for _ in 0..<3 { _ = try trainer.step(batch) }
        let parameters = try trainer.parameters()
        let keys = reference.names.filter { $0.hasPrefix(optimizer + ".") }
        #expect(keys.count >= graph.trainableNames.count)
        var disagreements = Disagreements()
        for key in keys {
            try disagreements.compare(
                key, parameters.require(String(key.dropFirst(optimizer.count + 1))), with: reference)
        }
        #expect(disagreements.isEmpty, "\(disagreements)")
    }

    private static func batch(of graph: Graph, _ reference: NamedTensors) throws -> Batch {
        let inputs = NamedTensors(try graph.inputs.map { ($0.name, try reference.require($0.name)) })
        return Batch(inputs: inputs, targets: try reference.require("labels"))
    }
}
