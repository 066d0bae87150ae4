import ModelGraph
import Tensors
import Testing

@testable import Engine

/// Files are run before they are called done.
struct ExportCheckTests {
    private func model() throws -> Graph {
        try ModelBuilder.build(architecture: "mlp", inputShape: [6], classes: 3, width: 4, seed: 1)
    }

    @Test func aFileOfTheModelPasses() throws {
        let graph = try model()
        let inputs = try RandomBatch.inputs(for: graph)
        try ExportCheck.verify(graph.serialized(), path: "a.onnx", against: graph, inputs: inputs)
    }

    @Test func anotherFileIsNamed() throws {
        let graph = try model()
        let inputs = try RandomBatch.inputs(for: graph)
        var other = graph
        let name = try #require(graph.trainableNames.first)
        var values = try graph.initializers.require(name).floats
        values[0] = values[0].nextUp + 1
        other.initializers[name] = Tensor(values, shape: try graph.initializers.require(name).shape)
        #expect(throws: EngineError.exportDiffers(path: "a.onnx", output: graph.outputs[0].name)) {
            try ExportCheck.verify(other.serialized(), path: "a.onnx", against: graph, inputs: inputs)
        }
        var renamed = graph
        renamed.outputs[0].name = try #require(graph.nodes.first?.outputs.first)
        #expect(throws: EngineError.self) {
            try ExportCheck.verify(renamed.serialized(), path: "a.onnx", against: graph, inputs: inputs)
        }
        #expect(throws: ModelError.self) {
            try ExportCheck.verify([1, 2, 3], path: "a.onnx", against: graph, inputs: inputs)
        }
        #expect(throws: (any Error).self) {
            try ExportCheck.verify(graph.serializedSkeleton(), path: "a.onnx", against: graph, inputs: inputs)
        }
    }
}
