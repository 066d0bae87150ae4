import ModelGraph
import Tensors
import Testing

@testable import Engine

/// Batch norms' statistics, measured anew.
struct StatisticsMeterTests {
    private func ones(_ count: Int) -> Tensor { Tensor([Float](repeating: 1, count: count), shape: [count]) }

    /// Two batch norms, one after the other, a dropout and a product between them.
    private func graph(momentum: Float = 0.9) -> Graph {
        func norm(_ name: String, _ input: String, _ output: String) -> Node {
            Node(
                name: name, operatorType: "BatchNormalization",
                inputs: [input] + ["g", "b", "m", "v"].map { "\(name).\($0)" }, outputs: [output],
                attributes: ["momentum": .float(momentum)])
        }
        var parameters = NamedTensors()
        for name in ["one", "two"] {
            parameters["\(name).g"] = Tensor([Float(0.5), -2, 3], shape: [3])
            parameters["\(name).b"] = Tensor([Float(1), 0, -1], shape: [3])
            parameters["\(name).m"] = ones(3)
            parameters["\(name).v"] = ones(3)
        }
        parameters["w"] = Tensor([Float(1), 2, 0, -1, 1, 3, 0.5, 0, 2], shape: [3, 3])
        parameters["ratio"] = Tensor([Float(0.5)], shape: [])
        parameters["training"] = Tensor(elements: [UInt8(1)], elementType: .bool, shape: [])
        return Graph(
            name: "norms",
            nodes: [
                norm("one", "x", "a"),
                Node(name: "drop", operatorType: "Dropout", inputs: ["a", "ratio", "training"], outputs: ["c"]),
                Node(name: "product", operatorType: "MatMul", inputs: ["c", "w"], outputs: ["d"]),
                norm("two", "d", "y"),
            ], inputs: [ValueInfo(name: "x", elementType: .float32, dimensions: [.symbolic("n"), .fixed(3)])],
            outputs: [ValueInfo(name: "y", elementType: .float32, dimensions: nil)],
            initializers: parameters)
    }

    private func batch(_ rows: Int, seed: UInt64) throws -> Batch {
        var random = SeededGenerator(seed: seed)
        let spread = Float(seed)
        let values: [Float] = (0..<rows * 3).map { index in Float(index % 3) + spread * random.uniform() }
        return Batch(Tensor(values, shape: try Shape([rows, 3])), targets: Tensor(zeros: try Shape([rows])))
    }

    /// Column means and variances, divided by one less than the rows.
    private func moments(_ rows: [[Double]]) -> (mean: [Double], variance: [Double]) {
        let count = Double(rows.count)
        var (mean, variance): ([Double], [Double]) = ([0, 0, 0], [0, 0, 0])
        for row in rows { for column in 0..<3 { mean[column] += row[column] / count } }
        for row in rows {
            for column in 0..<3 {
                let difference = row[column] - mean[column]
                variance[column] += difference * difference / (count - 1)
            }
        }
        return (mean, variance)
    }

    private func rows(_ tensor: Tensor) -> [[Double]] {
        let values = tensor.floats.map(Double.init)
        return stride(from: 0, to: values.count, by: 3).map { Array(values[$0..<$0 + 3]) }
    }

    @Test(arguments: [Float(0.9), 0, 1]) func statisticsArePooledOverAllBatches(momentum: Float) throws {
        let graph = graph(momentum: momentum)
        let meter = try StatisticsMeter(graph)
        var first = [[Double]](repeating: [0, 0, 0], count: 2)
        var second = first
        let weights = try graph.initializers.require("w").floats.map(Double.init)
        var total = 0.0
        for (count, seed) in [(5, 1), (9, 2), (2, 3)] {
            let batch = try batch(count, seed: UInt64(seed))
            try meter.add(batch)
            let x = rows(try #require(batch.inputs.ordered.first).tensor)
            let (mean, variance) = moments(x)
            // What the first norm makes of the batch, by its own statistics: there the variance is divided by the rows.
            let shrink = Double(count - 1) / Double(count)
            let (scales, shifts): ([Double], [Double]) = ([0.5, -2, 3], [1, 0, -1])
            var next: [[Double]] = []
            for row in x {
                var product: [Double] = [0, 0, 0]
                for inner in 0..<3 {
                    let deviation = (variance[inner] * shrink + 1e-5).squareRoot()
                    let centred: Double = (row[inner] - mean[inner]) / deviation
                    let normal: Double = centred * scales[inner] + shifts[inner]
                    for column in 0..<3 { product[column] += normal * weights[inner * 3 + column] }
                }
                next.append(product)
            }
            let other = moments(next)
            for column in 0..<3 {
                first[0][column] += Double(count) * mean[column]
                first[1][column] += Double(count) * (variance[column] + mean[column] * mean[column])
                second[0][column] += Double(count) * other.mean[column]
                second[1][column] += Double(count) * (other.variance[column] + other.mean[column] * other.mean[column])
            }
            total += Double(count)
        }
        let found = try meter.parameters()
        #expect(found.names == graph.parameterTensors().names)
        for (name, sums) in [("one", first), ("two", second)] {
            let means = try found.require("\(name).m").floats
            let variances = try found.require("\(name).v").floats
            for column in 0..<3 {
                let mean = sums[0][column] / total
                let variance = sums[1][column] / total - mean * mean
                #expect(abs(Double(means[column]) - mean) < 1e-4)
                #expect(abs(Double(variances[column]) - variance) < 1e-3 * max(1, variance))
            }
        }
        for name in ["one.g", "two.b", "w"] { #expect(found[name] == graph.initializers[name]) }
    }

    @Test func withoutBatchesTheStatisticsStay() throws {
        let graph = graph()
        #expect(try StatisticsMeter(graph).parameters() == graph.parameterTensors())
    }

    @Test func aBatchThatFailsLeavesTheSumsAsTheyWere() throws {
        let meter = try StatisticsMeter(graph())
        try meter.add(batch(6, seed: 1))
        let before = try meter.parameters()
        let broken = Batch(
            Tensor([Float.nan] + [Float](repeating: 1, count: 5), shape: [2, 3]), targets: Tensor(zeros: [2]))
        #expect(throws: EngineError.self) { try meter.add(broken) }
        // One value a channel has no variance.
        #expect(throws: EngineError.self) { try meter.add(batch(1, seed: 2)) }
        #expect(try meter.parameters() == before)
        try meter.add(batch(6, seed: 1))
        let after = try meter.parameters()
        for (name, tensor) in before.ordered {
            for (a, b) in zip(tensor.floats, try after.require(name).floats) { #expect(abs(a - b) < 1e-5) }
        }
    }

    @Test func aGraphWithoutNormsHasNothingToMeasure() throws {
        let graph = try ModelBuilder.build(architecture: "mlp", inputShape: [3], classes: 2, width: 4, seed: 1)
        let meter = try StatisticsMeter(graph)
        #expect(!meter.measuresAny)
        try meter.add(batch(2, seed: 1))
        #expect(try meter.parameters() == graph.parameterTensors())
    }
}
