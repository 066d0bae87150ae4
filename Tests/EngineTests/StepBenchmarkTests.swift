import ModelGraph
import Tensors
import Testing

@testable import Engine

/// What `pleach bench step` measures, and the random batches it makes.
struct StepBenchmarkTests {
    /// y = x[n, length, 4] * w + table[ids[n, length]]: two inputs, one dynamic axis by name.
    private let tokens = Graph(
        name: "tokens",
        nodes: [
            Node(name: "look", operatorType: "Gather", inputs: ["table", "ids"], outputs: ["e"]),
            Node(name: "out", operatorType: "MatMul", inputs: ["x", "w"], outputs: ["h"]),
            Node(name: "sum", operatorType: "Add", inputs: ["e", "h"], outputs: ["y"]),
        ],
        inputs: [
            ValueInfo(name: "ids", elementType: .int32, dimensions: [.symbolic("n"), .symbolic("length")]),
            ValueInfo(name: "x", elementType: .float32, dimensions: [.symbolic("n"), .symbolic("length"), .fixed(4)]),
        ],
        outputs: [ValueInfo(name: "y", elementType: .float32, dimensions: nil)],
        initializers: NamedTensors([("table", grid([5, 6], 5)), ("w", grid([4, 6], 7))]))

    @Test(arguments: OptimizerMethod.allCases, Precision.allCases)
    func itMeasures(optimizer: OptimizerMethod, precision: Precision) throws {
        let graph = try ModelBuilder.build(architecture: "mlp", inputShape: [4], classes: 3, width: 8, seed: 1)
        let row = try StepBenchmark.run(
            graph: graph,
            options: StepBenchmark.Options(batch: 4, steps: 3, optimizer: optimizer, precision: precision))
        #expect(row.batch == 4 && row.threads == 1)
        #expect(row.optimizer == optimizer.rawValue && row.precision == precision.rawValue)
        #expect(row.millisecondsPerStep > 0)
        #expect(abs(row.samplesPerSecond * row.millisecondsPerStep - 4000) < 1e-6)
        #expect(row.residentBytesBefore > 1 << 20 && row.peakBytes >= row.residentBytesBefore)
    }

    @Test func tokensAndSeveralInputs() throws {
        let (batch, loss) = try RandomBatch.make(for: tokens, rows: 3, extents: ["length": 7])
        #expect(batch.inputs["ids"]?.shape == [3, 7] && batch.inputs["ids"]?.elementType == .int32)
        #expect(batch.inputs["x"]?.shape == [3, 7, 4])
        #expect(batch.targets.shape == [3, 7] && loss == .nextToken())
        let row = try StepBenchmark.run(
            graph: tokens, options: StepBenchmark.Options(batch: 3, steps: 1, extents: ["length": 7]))
        #expect(row.millisecondsPerStep > 0)
    }

    @Test func whatIsNotKnownIsAskedFor() throws {
        func refusal(_ graph: Graph, rows: Int = 3, extents: [String: Int] = [:]) -> String {
            do {
                _ = try RandomBatch.make(for: graph, rows: rows, extents: extents)
                return "made"
            } catch { return "\(error)" }
        }
        #expect(refusal(tokens) == "input 'ids' has the dynamic axis 'length': give --extent length=N")
        #expect(refusal(tokens, extents: ["length": 1 << 40]).contains("too large"))
        #expect(refusal(tokens, extents: ["length": Int.max]).contains("too large"))
        #expect(refusal(tokens, extents: ["length": 0]).contains("empty"))
        #expect(refusal(OneLayer.graph).contains("takes batches of 4, not of 3"))
        #expect(refusal(OneLayer.graph, rows: 4) == "made")
        var shapeless = tokens
        shapeless.inputs[1].dimensions = nil
        #expect(refusal(shapeless, extents: ["length": 7]).contains("input 'x' declares no shape"))
        shapeless.inputs[1].dimensions = [.unknown, .unknown, .fixed(4)]
        #expect(refusal(shapeless, extents: ["length": 7]).contains("axis 1 of input 'x'"))
        shapeless.inputs[1] = ValueInfo(name: "x", elementType: .float16, dimensions: [.symbolic("n"), .fixed(4)])
        #expect(refusal(shapeless, extents: ["length": 7]).contains("float16"))
    }
}
