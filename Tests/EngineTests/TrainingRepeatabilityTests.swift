import ModelGraph
import Tensors
import Testing

@testable import Engine

/// PyTorch's fixtures, trained: same bytes from the same seed, sane results in bfloat16.
@Suite(.serialized, .enabled(if: Parity.isThere, "../shared/parity is not there"))
struct TrainingRepeatabilityTests {
    static let models = ["cnn", "resnet8", "tinybert"]

    /// The fixture, with a dropout in front of its last layer.
    private static func load(_ name: String) throws -> (graph: Graph, batch: Batch) {
        var (graph, tensors) = try Parity.load(name)
        let last = try #require(graph.nodes.lastIndex { $0.operatorType == "Gemm" })
        let input = graph.nodes[last].inputs[0]
        graph.nodes[last].inputs[0] = "dropped"
        graph.nodes.insert(Node(name: "drop", operatorType: "Dropout", inputs: [input], outputs: ["dropped"]), at: last)
        return (graph, Batch(try tensors.require("x"), targets: try tensors.require("labels")))
    }

    private static func train(
        _ model: (graph: Graph, batch: Batch), seed: UInt64, steps: Int = 3, precision: Precision = .float32,
        kind: OptimizerMethod = .adamw
    ) throws -> (parameters: NamedTensors, losses: [Double]) {
        EngineRuntime.seed(seed)
        let trainer = try Trainer(
            model.graph, optimizer: OptimizerSettings(kind: kind, learningRate: 1e-3, momentum: 0.9),
            clipping: .norm(1), precision: precision)
        let losses = try (0..<steps).map { _ in try trainer.step(model.batch).loss }
        #expect(trainer.precision == precision)
        return (try trainer.parameters(), losses)
    }

    /// In a process of its own: the number of threads is the process's, and other tests set theirs.
    @Test(arguments: [1, 2]) func theSeedDecidesEveryByte(threads: Int) async throws {
        await #expect(processExitsWith: .success) { [threads] in
            EngineRuntime.setThreads(threads)
            for name in Self.models {
                let model = try Self.load(name)
                for kind in OptimizerMethod.allCases {
                    let first = try Self.train(model, seed: 3, kind: kind)
                    #expect(try Self.train(model, seed: 3, kind: kind) == first)
                    guard kind == .sgd else { continue }
                    #expect(try Self.train(model, seed: 4, kind: kind).parameters != first.parameters)
                }
            }
        }
    }

    @Test(arguments: models) func bfloat16StaysNearFloat32(name: String) throws {
        EngineRuntime.setThreads(1)
        let model = try Self.load(name)
        let exact = try Self.train(model, seed: 3, steps: 6)
        let coarse = try Self.train(model, seed: 3, steps: 6, precision: .bfloat16)
        #expect(coarse.losses != exact.losses)
        for (found, expected) in zip(coarse.losses, exact.losses) { #expect(abs(found - expected) < 0.05 * expected) }
        #expect(coarse.parameters.names == exact.parameters.names)
        for (name, tensor) in coarse.parameters.ordered {
            #expect(tensor.elementType == .float32)
            // Not rounded to bfloat16 either: the low bits of masters are in use.
            let words = tensor.elements(as: UInt32.self)
            if words.count > 64 { #expect(words.contains { $0 & 0xffff != 0 }, "\(name)") }
        }
        #expect(try Self.train(model, seed: 3, steps: 6, precision: .bfloat16) == coarse)
    }
}

/// bfloat16 for every kind of product: the gradient is float32 and within a few of bfloat16's steps of the exact one.
struct TrainingPrecisionTests {
    private func gradients(_ graph: Graph, _ x: Tensor, _ precision: Precision) throws -> [String: Tensor] {
        let trainer = try Trainer(graph, optimizer: OptimizerSettings(learningRate: 0), precision: precision)
        let shape = try #require(try Executable(graph).run(NamedTensors([("x", x)])).ordered.first).1.shape
        let found = try trainer.gradients(Batch(x, targets: Tensor(zeros: shape)), loss: .meanSquaredError)
        #expect(trainer.precision == precision)
        #expect(found.logits.elementType == .float32)
        return Dictionary(uniqueKeysWithValues: found.gradients.ordered.map { ($0.0, $0.1) })
    }

    private func check(_ graph: Graph, _ x: Tensor) throws {
        let exact = try gradients(graph, x, .float32)
        let coarse = try gradients(graph, x, .bfloat16)
        for (name, expected) in exact {
            let found = try #require(coarse[name])
            #expect(found.elementType == .float32)
            #expect(Parity.relativeError(found, expected) < 0.03, "\(name)")
            #expect(found != expected, "\(name)")
        }
    }

    private func noise(_ shape: Shape, seed: UInt64) -> Tensor {
        var random = SeededGenerator(seed: seed)
        return Tensor((0..<shape.elementCount).map { _ in random.uniform() - 0.5 }, shape: shape)
    }

    @Test(arguments: [1, 2, 3], [1, 2, 4]) func convolutions(axes: Int, groups: Int64) throws {
        let extents = [Int](repeating: 6, count: axes)
        let weight = noise(try Shape([8, 4 / Int(groups)] + [Int](repeating: 3, count: axes)), seed: 1)
        let graph = oneNode(
            "Conv", input: [2, 4] + extents, constants: [("w", weight), ("b", noise([8], seed: 2))],
            attributes: [
                "group": .int(groups), "pads": .ints([Int64](repeating: 1, count: 2 * axes)),
                "strides": .ints([Int64](repeating: 2, count: axes)),
            ])
        try check(graph, noise(try Shape([2, 4] + extents), seed: 3))
    }

    @Test func products() throws {
        try check(
            oneNode("MatMul", input: [2, 3, 5], constants: [("w", noise([5, 7], seed: 1))]), noise([2, 3, 5], seed: 2))
        try check(
            oneNode("MatMul", input: [2, 3, 5], constants: [("w", noise([2, 5, 7], seed: 1))]),
            noise([2, 3, 5], seed: 2))
        for (turned, shape) in [(1, [7, 5]), (0, [5, 7])] as [(Int64, [Int])] {
            try check(
                oneNode(
                    "Gemm", input: [3, 5],
                    constants: [("w", noise(try Shape(shape), seed: 1)), ("b", noise([7], seed: 2))],
                    attributes: ["transB": .int(turned), "alpha": .float(0.5)]), noise([3, 5], seed: 3))
        }
    }
}
