import Engine
import ModelGraph
import Tensors
import Testing

@testable import Compression

@Suite struct LowRankMomentTests {
    /// Rows of `inputs` numbers that lie in a random subspace of a few axes.
    private static func rows(_ count: Int, inputs: Int, axes: Int, _ random: inout SeededGenerator) -> Matrix {
        LowRankReference.product(
            LowRankReference.matrix(count, axes, &random), LowRankReference.matrix(axes, inputs, &random))
    }

    private static func tensor(_ matrix: Matrix) -> Tensor {
        FactorizableLayer.tensor(matrix, [matrix.rows, matrix.columns])
    }

    /// Σ of the squared differences of a layer's outputs.
    private static func outputError(_ graph: Graph, _ tensors: [Tensor], _ method: FactorizationMethod, _ x: Tensor)
        throws
        -> Double
    {
        let layer = try #require(try graph.factorizableLayers().layers.first)
        let changed = graph.factorized([LayerFactors(layer: layer, method: method, tensors: tensors)])
        let inputs = NamedTensors([("x", x)])
        let (a, b) = (try Executable(graph).logits(inputs).floats, try Executable(changed).logits(inputs).floats)
        return zip(a, b).reduce(0) { $0 + Double($1.0 - $1.1) * Double($1.0 - $1.1) }
    }

    private static func factors(
        _ graph: Graph, _ method: FactorizationMethod, _ rank: FactorRank, moment: Tensor?
    ) throws -> (tensors: [Tensor], kept: Double) {
        let layer = try #require(try graph.factorizableLayers().layers.first)
        return try LayerDecomposer(layer, weight: graph.initializers.require("w"), moment: moment).factors(method, rank)
    }

    private static func moment(_ graph: Graph, _ x: Tensor, _ choice: FactorizationChoice = .auto) throws -> Tensor {
        let moments = try SecondMoments(graph, layers: try graph.factorizableLayers().layers, choice: choice)
        try moments.add(NamedTensors([("x", x)]))
        return try moments.means().require("w")
    }

    /// For rows that lie in few directions: no error at that rank, where the plain form has one. Below it, the error is that
    /// of the best approximation of the outputs themselves, which nothing can beat.
    @Test func aDenseLayerLosesNoMoreThanTheBestOfItsOutputs() throws {
        var random = SeededGenerator(seed: 21)
        let weight = LowRankReference.matrix(10, 7, &random)
        let rows = Self.rows(50, inputs: 10, axes: 3, &random)
        let graph = LowRankFixtures.graph("MatMul", x: [50, 10], weight: Self.tensor(weight))
        let x = Self.tensor(rows)
        let moment = try Self.moment(graph, x)
        let outputs = LowRankReference.product(rows, weight)
        let energies = try outputs.singularValueDecomposition().values.map { $0 * $0 }
        for rank in 1...4 {
            let best = energies.dropFirst(rank).reduce(0, +)
            let aware = try Self.factors(graph, .svd, .single(rank), moment: moment)
            let plain = try Self.factors(graph, .svd, .single(rank), moment: nil)
            let error = try Self.outputError(graph, aware.tensors, .svd, x)
            #expect(error <= best * (1 + 1e-3) + 1e-5 * outputs.energy && error >= best * (1 - 1e-3))
            #expect(try Self.outputError(graph, plain.tensors, .svd, x) > (rank < 3 ? 1 : 100) * error)
            #expect(abs(1 - aware.kept - best / outputs.energy) < 1e-4)
        }
    }

    /// Images whose channels lie in few directions.
    @Test(arguments: [
        (FactorizationMethod.svd, 1, FactorRank.single(3)), (.spatial, 3, .single(9)),
        (.tucker, 3, .pair(input: 3, output: 8)),
    ])
    func aConvolutionLosesLessThanWithoutData(
        _ method: FactorizationMethod, _ kernel: Int, _ rank: FactorRank
    ) throws {
        var random = SeededGenerator(seed: 22)
        let pixels = Self.rows(4 * 81, inputs: 8, axes: 3, &random)
        // [n, h, w, c] as [n, c, h, w].
        let x = FactorizableLayer.tensor(
            Matrix(
                rows: 4, columns: 648,
                values: (0..<4).flatMap { n in
                    (0..<8).flatMap { c in (0..<81).map { pixels[n * 81 + $0, c] } }
                }), [4, 8, 9, 9])
        let graph = LowRankFixtures.graph(
            "Conv", x: [4, 8, 9, 9], weight: try LowRankFixtures.tensor([8, 8, kernel, kernel], &random),
            attributes: ["pads": .ints(Array(repeating: Int64(kernel / 2), count: 4)), "strides": .ints([2, 2])])
        let moment = try Self.moment(graph, x, method == .tucker ? .tucker : .spatial)
        let aware = try Self.outputError(
            graph, Self.factors(graph, method, rank, moment: moment).tensors, method, x)
        let plain = try Self.outputError(graph, Self.factors(graph, method, rank, moment: nil).tensors, method, x)
        #expect(aware < 0.01 * plain)
        // Tucker-2 finds the channels' moment within that of columns.
        if method == .tucker {
            let columns = try Self.moment(graph, x, .spatial)
            #expect(columns.shape == [24, 24])
            let same = try Self.factors(graph, method, rank, moment: columns).tensors
            #expect(try Self.outputError(graph, same, method, x) < 0.01 * plain)
        }
    }

    @Test(arguments: [FactorizationMethod.spatial, .tucker])
    func withTheIdentityNothingIsDifferent(_ method: FactorizationMethod) throws {
        var random = SeededGenerator(seed: 23)
        let graph = LowRankFixtures.graph(
            "Conv", x: [1, 5, 9, 9], weight: try LowRankFixtures.tensor([6, 5, 3, 3], &random))
        let size = method == .spatial ? 15 : 5
        let identity = FactorizableLayer.tensor(Matrix(identity: size), [size, size])
        let rank: FactorRank = method == .spatial ? .single(6) : .pair(input: 3, output: 4)
        let plain = try Self.factors(graph, method, rank, moment: nil)
        for moment in [identity, Tensor(zeros: identity.shape)] {
            let found = try Self.factors(graph, method, rank, moment: moment)
            #expect(abs(found.kept - plain.kept) < 1e-9)
            let weights = zip(found.tensors, plain.tensors)
            #expect(weights.allSatisfy { zip($0.floats, $1.floats).allSatisfy { abs($0 - $1) < 1e-4 } })
        }
    }

    @Test func momentsThatDoNotFitAreRefused() throws {
        var random = SeededGenerator(seed: 24)
        let graph = LowRankFixtures.graph("MatMul", x: [2, 5], weight: try LowRankFixtures.tensor([5, 4], &random))
        let bad = [
            Tensor(zeros: [3, 3]), Tensor(zeros: [5]), Tensor(zeros: [5, 4]), Tensor(zeros: []),
            Tensor(zeros: [5, 5], elementType: .int64),
            Tensor([Float](repeating: .nan, count: 25), shape: [5, 5]),
        ]
        for moment in bad {
            #expect(throws: CompressionError.self) {
                try Self.factors(graph, .svd, .single(1), moment: moment)
            }
        }
        let broken = LowRankFixtures.graph(
            "MatMul", x: [2, 5], weight: Tensor([Float](repeating: .infinity, count: 20), shape: [5, 4]))
        #expect(throws: CompressionError.weightsNotFinite(tensor: "w")) {
            try Self.factors(broken, .svd, .single(1), moment: nil)
        }
    }

    /// Halves weighted by their samples are the whole, layer by layer, for a network with every kind of layer.
    @Test func momentsOfWorkersFoldByTheirSamples() throws {
        let graph = try ModelBuilder.build(
            architecture: "cnn", inputShape: [1, 12, 12], classes: 10, width: 4, seed: 1)
        let layers = try graph.factorizableLayers().layers
        let x = try RandomBatch.inputs(for: graph, rows: 6).require("x")
        func means(_ samples: Range<Int>) throws -> NamedTensors {
            let moments = try SecondMoments(graph, layers: layers)
            for sample in samples {
                let values = Array(x.floats[(144 * sample)..<(144 * sample + 144)])
                try moments.add(NamedTensors([("anything", Tensor(values, shape: [1, 1, 12, 12]))]))
            }
            return try moments.means()
        }
        let (whole, first, second) = (try means(0..<6), try means(0..<2), try means(2..<6))
        #expect(whole.names == layers.map(\.name))
        #expect(whole["conv2.weight"]?.shape == [12, 12])
        for (name, tensor) in whole.ordered {
            let (a, b) = (try first.require(name).floats, try second.require(name).floats)
            for (index, value) in tensor.floats.enumerated() {
                #expect(abs(value - (2 * a[index] + 4 * b[index]) / 6) <= 1e-5 * max(1, abs(value)))
            }
        }
        #expect(throws: CompressionError.noData("conv1.weight")) {
            try SecondMoments(graph, layers: layers).means()
        }
        let huge = try SecondMoments(graph, layers: [LowRankRankTests.layer("w", inputs: 5000, outputs: 2)])
        #expect(huge.layout.layers.isEmpty && huge.layout.leftOut == ["w"])
    }
}
