import ModelGraph
import Tensors
import Testing

@testable import Engine

/// How many samples are evaluated at once.
@Suite struct DataEvaluationBatchTests {
    @Test func smallSamplesComeIn256() throws {
        let data = try loadDataset("synthetic:digits?samples=50")
        let graph = try ModelBuilder.build(
            architecture: "cnn", inputShape: [1, 28, 28], classes: 10, width: 2, seed: 1)
        #expect(data.evaluationBatch(for: graph) == 256)
    }

    /// Where values inside are kept, all of them count.
    @Test func largeValuesInsideAreMeasuredInFewer() throws {
        let data = try loadDataset("synthetic:digits?samples=50")
        for width in [2, 256] {
            let graph = try ModelBuilder.build(
                architecture: "cnn", inputShape: [1, 28, 28], classes: 10, width: width, seed: 1)
            let shapes = try graph.inferShapes(batch: 1)
            let elements = graph.nodes.flatMap(\.outputs).reduce(1) { $0 + (shapes[$1]?.elementCount ?? 0) }
            #expect(data.measuringBatch(for: graph) == min(32, (1 << 23) / elements))
            #expect((data.measuringBatch(for: graph) < 32) == (width > 2))
        }
    }

    @Test func largeOutputsComeInFewer() throws {
        try withDataFolder { folder in
            let ids = Tensor((0..<4096).map { Int64($0 % 4) }, shape: [4096])
            try Npy.write(ids, path: "\(folder)/t.npy")
            let data = try loadDataset("tokens:\(folder)/t.npy?length=128&vocabulary=32768")
            // One hot vector for each place, whatever the length: 128 x 32768 elements a sample.
            let graph = Graph(
                name: "g",
                nodes: [
                    Node(name: "look", operatorType: "Gather", inputs: ["table", "ids"], outputs: ["y"])
                ],
                inputs: [
                    ValueInfo(name: "ids", elementType: .int64, dimensions: [.symbolic("n"), .symbolic("length")])
                ],
                outputs: [ValueInfo(name: "y", elementType: .float32, dimensions: nil)],
                initializers: NamedTensors([("table", Tensor(zeros: [4, 32768]))]), opset: 17)
            #expect(data.evaluationBatch(for: graph) == (1 << 24) / (128 * 32768))
        }
    }

    @Test func largeInputsComeInFewer() throws {
        try withDataFolder { folder in
            try Npy.write(Tensor(zeros: [2, 1 << 20], elementType: .uint8), path: "\(folder)/x.npy")
            try Npy.write(Tensor([0, 1] as [Int64], shape: [2]), path: "\(folder)/y.npy")
            let data = try loadDataset("npy:\(folder)")
            let graph = Graph(
                name: "g", nodes: [], inputs: [], outputs: [], initializers: NamedTensors(), opset: 17)
            #expect(data.evaluationBatch(for: graph) == 16)
        }
    }
}
