import Engine
import ModelGraph
import Tensors
import Testing

@testable import Compression

/// A layer with inputs whose numbers depend on each other.
struct RoundingFixture {
    var layer: QuantizableLayer
    var weight: Tensor
    var moments: InputMoments
    /// [samples, columns] by group.
    var inputs: [[[Double]]]

    /// - Parameter axis: 1 for a matrix stored inputs first.
    init(groups: Int = 1, rows: Int, columns: Int, axis: Int = 0, masked: Bool = false, mean: Double = 0, seed: UInt64)
        throws
    {
        layer = QuantizableLayer(
            name: "w", axis: axis, groups: groups, rows: rows, columns: columns, nodes: [0], inputs: ["x"],
            reading: .rows
        )
        weight = QuantizationFixtures.weights(
            try Shape(axis == 1 ? [columns, rows] : [groups * rows, columns]), masked: masked, seed: seed)
        var random = SeededGenerator(seed: seed + 1000)
        let samples = 3 * columns
        inputs = []
        var triangles: [[Float]] = []
        for _ in 0..<groups {
            let mixing = LowRankReference.matrix(max(2, columns / 3), columns, &random)
            let sources = LowRankReference.matrix(samples, mixing.rows, &random)
            let mixed = LowRankReference.product(sources, mixing)
            let x = (0..<samples).map { sample in
                (0..<columns).map { mixed[sample, $0] + mean + 0.3 * Double(random.uniform()) } + [1.0]
            }
            var triangle: [Float] = []
            for i in 0...columns {
                for j in i...columns { triangle.append(Float(x.reduce(0) { $0 + $1[i] * $1[j] } / Double(samples))) }
            }
            triangles.append(triangle)
            inputs.append(x.map { Array($0.dropLast()) })
        }
        moments = InputMoments(columns: columns, triangles: triangles)
    }

    func nearest(_ scheme: WeightScheme) throws -> QuantizedWeight {
        try WeightQuantizer.quantize(weight, axis: layer.axis, scheme: scheme, name: "w")
    }

    func round(_ scheme: WeightScheme, _ method: RoundingMethod, biasTakesMean: Bool = true) throws -> RoundedWeight {
        try Rounding.round(
            weight, nearest: nearest(scheme), layer: layer, moments: moments, method: method,
            biasTakesMean: biasTakesMean, effort: 300)
    }

    /// The outputs' errors, sample by sample: their variance summed over the outputs, and each output's mean.
    func errors(_ quantized: QuantizedWeight) -> (variance: Double, means: [Double]) {
        let (before, after) = (weight.floats, quantized.dequantized().floats)
        var (variance, means) = (0.0, [Double]())
        for group in 0..<layer.groups {
            for row in 0..<layer.rows {
                let difference = (0..<layer.columns).map { column -> Double in
                    let element = layer.element(group, row, column)
                    return Double(after[element]) - Double(before[element])
                }
                let errors = inputs[group].map { x in zip(x, difference).reduce(0) { $0 + $1.0 * $1.1 } }
                let mean = errors.reduce(0, +) / Double(errors.count)
                variance += errors.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(errors.count)
                means.append(mean)
            }
        }
        return (variance, means)
    }
}

@Suite struct QuantizationRoundingTests {
    private static let methods: [RoundingMethod] = [.adaptive, .errorFeedback]

    @Test(arguments: [4, 3], methods) func bothWaysLoseLessThanTheNearest(_ bits: Int, _ method: RoundingMethod) throws
    {
        for seed in 0..<3 as Range<UInt64> {
            let it = try RoundingFixture(rows: 8, columns: 40, mean: 0.5, seed: seed)
            for scheme in [
                WeightScheme(bits: bits), WeightScheme(bits: bits, isSymmetric: false, range: .leastSquares),
            ] {
                let found = try it.round(scheme, method)
                #expect(found.method == method && found.loss < 0.8 * found.nearestLoss)
                // What it says is what samples say.
                let (measured, nearest) = (it.errors(found.weight).variance, it.errors(try it.nearest(scheme)).variance)
                #expect(abs(measured - found.loss) < 1e-3 * found.nearestLoss)
                #expect(abs(nearest - found.nearestLoss) < 1e-3 * found.nearestLoss)
                #expect(found.energy > found.nearestLoss)
                #expect(try it.round(scheme, method) == found)
            }
        }
    }

    /// Groups, matrices stored inputs first, blocks and codebooks; weights of 0 stay 0 in all.
    @Test(arguments: methods) func everyLayoutAndGridIsRounded(_ method: RoundingMethod) throws {
        let layouts = [
            try RoundingFixture(groups: 3, rows: 2, columns: 12, masked: true, seed: 7),
            try RoundingFixture(rows: 5, columns: 24, axis: 1, masked: true, seed: 8),
            try RoundingFixture(groups: 6, rows: 1, columns: 9, masked: true, seed: 9),
        ]
        for it in layouts {
            for scheme in [
                WeightScheme(bits: 3), WeightScheme(bits: 4, granularity: .block(5)),
                WeightScheme(bits: 3, levels: .kMeans, range: .leastSquares),
                WeightScheme(bits: 4, isSymmetric: false, granularity: .tensor),
            ] {
                let found = try it.round(scheme, method)
                #expect(found.loss <= found.nearestLoss)
                #expect(abs(it.errors(found.weight).variance - found.loss) < 1e-3 * found.nearestLoss)
                let (before, after) = (it.weight.floats, found.weight.dequantized().floats)
                for (a, b) in zip(before, after) where a == 0 { #expect(b == 0) }
                let nearest = try it.nearest(scheme)
                #expect(found.weight.scales == nearest.scales && found.weight.codebook == nearest.codebook)
                #expect(found.weight.zeroPoints == nearest.zeroPoints && found.weight.blocks == nearest.blocks)
            }
        }
    }

    /// Where no bias takes the mean's part of the error, it counts as well: the mean square is what shrinks.
    @Test(arguments: methods) func withoutABiasTheMeanCounts(_ method: RoundingMethod) throws {
        for seed in 0..<3 as Range<UInt64> {
            let it = try RoundingFixture(rows: 6, columns: 30, mean: 10, seed: seed + 40)
            func meanSquare(_ found: RoundedWeight) -> Double {
                let errors = it.errors(found.weight)
                return errors.variance + errors.means.reduce(0) { $0 + $1 * $1 }
            }
            let scheme = WeightScheme(bits: 3)
            let (centred, plain) = (try it.round(scheme, method), try it.round(scheme, method, biasTakesMean: false))
            #expect(meanSquare(plain) < 0.5 * meanSquare(centred))
            #expect(abs(meanSquare(plain) - plain.loss) < 1e-3 * plain.nearestLoss)
        }
    }

    /// Iterations are fewer for large layers and for many of them, and never none.
    @Test func effortIsLimitedOverAllLayers() throws {
        let layer = try RoundingFixture(rows: 8, columns: 40, seed: 1).layer
        let large = QuantizableLayer(
            name: "large", axis: 0, groups: 1, rows: 3072, columns: 3072, nodes: [0], inputs: ["x"], reading: .rows)
        #expect(AdaptiveCodes.effort(for: []) == Rounding.mostEffort)
        #expect(AdaptiveCodes.effort(for: [layer]) == Rounding.mostEffort)
        #expect(AdaptiveCodes.iterations(layer, effort: 1000) == 1000)
        #expect(AdaptiveCodes.iterations(large, effort: 1000) == 200)
        func products(_ count: Int) -> Double {
            let effort = AdaptiveCodes.effort(for: Array(repeating: large, count: count))
            return Double(count) * Double(large.weights) * 3072
                * Double(AdaptiveCodes.iterations(large, effort: effort))
        }
        #expect(products(2) == 2 * 3072 * 3072 * 3072 * 200)
        #expect(products(24) <= 3e13 && products(24) > 2e13)
        #expect(AdaptiveCodes.effort(for: Array(repeating: large, count: 10_000)) == 20)
    }

    /// AdaRound takes one of the two codes around a weight.
    @Test func learnedCodesAreNeighbours() throws {
        let it = try RoundingFixture(rows: 4, columns: 20, seed: 3)
        let found = try it.round(WeightScheme(bits: 4), .adaptive)
        let scales = found.weight.scales
        let after = found.weight.dequantized().floats
        for (index, value) in it.weight.floats.enumerated() {
            #expect(abs(after[index] - value) <= scales[index / 20] * 1.001)
        }
    }

    /// The blocks and the factor of GPTQ against its plain form: after each column, all that are left take what is best for them,
    /// solved anew from H.
    @Test func errorFeedbackAgreesWithSolvingAnew() throws {
        let it = try RoundingFixture(rows: 3, columns: 10, seed: 5)
        let scheme = WeightScheme(bits: 4)
        let problem = RoundingProblem(
            it.weight, try it.nearest(scheme), layer: it.layer, moments: it.moments, biasTakesMean: true)
        let found = try #require(try ErrorFeedback(problem).codes())
        var h = it.moments.matrix(group: 0, isCentred: true)
        let diagonal = (0..<10).map { h[$0, $0] }
        for place in 0..<10 { h[place, place] += 0.01 * diagonal.reduce(0, +) / 10 }
        let order = diagonal.indices.sorted { (-diagonal[$0], $0) < (-diagonal[$1], $1) }
        for row in 0..<3 {
            var values = (0..<10).map { problem.weights[row * 10 + $0] }
            for (number, column) in order.enumerated() {
                let place = row * 10 + column
                let code = problem.grid.nearest(values[column], element: place)
                #expect(code == found[place], "row \(row), column \(column)")
                let error = Double(problem.grid.value(code, ofElement: place)) - values[column]
                let rest = Array(order[(number + 1)...])
                guard !rest.isEmpty else { break }
                // H_rest d = −H_(rest, column) error.
                let right = rest.map { -h[$0, column] * error }
                let change = Self.solved(rest.map { i in rest.map { h[i, $0] } }, right)
                for (index, other) in rest.enumerated() { values[other] += change[index] }
            }
        }
    }

    /// Gauss's elimination with pivots.
    private static func solved(_ matrix: [[Double]], _ right: [Double]) -> [Double] {
        var rows = zip(matrix, right).map { $0 + [$1] }
        let count = right.count
        for step in 0..<count {
            let pivot = (step..<count).max { abs(rows[$0][step]) < abs(rows[$1][step]) } ?? step
            rows.swapAt(step, pivot)
            for row in 0..<count where row != step {
                let factor = rows[row][step] / rows[step][step]
                for column in step...count { rows[row][column] -= factor * rows[step][column] }
            }
        }
        return (0..<count).map { rows[$0][count] / rows[$0][$0] }
    }

    /// More columns than a block of GPTQ has.
    @Test func manyColumnsGoThroughSeveralBlocks() throws {
        let it = try RoundingFixture(rows: 2, columns: 150, seed: 11)
        let found = try it.round(WeightScheme(bits: 4), .errorFeedback)
        #expect(found.method == .errorFeedback && found.loss < 0.8 * found.nearestLoss)
    }

    @Test(arguments: RoundingMethod.allCases) func inputsThatNeverChangeAreNoMatter(_ method: RoundingMethod) throws {
        var it = try RoundingFixture(rows: 2, columns: 4, seed: 2)
        // E[x] = 1 and E[x xᵀ] = 1 throughout: only the mean is hurt.
        it.moments = InputMoments(columns: 4, triangles: [[Float](repeating: 1, count: 15)])
        let found = try it.round(WeightScheme(bits: 3), method)
        #expect(found.loss == 0 && found.method == .nearest)
    }

    @Test(arguments: RoundingMethod.allCases) func correctedBiasesTakeAwayTheMeanError(_ method: RoundingMethod) throws
    {
        let it = try RoundingFixture(groups: 2, rows: 3, columns: 10, mean: 2, seed: 6)
        let found = try it.round(WeightScheme(bits: 3), method)
        let shift = BiasCorrection.shift(it.weight, quantized: found.weight, layer: it.layer, moments: it.moments)
        let means = it.errors(found.weight).means
        let largest = means.map(abs).max() ?? 0
        #expect(largest > 0.01 && shift.count == 6)
        for (mean, correction) in zip(means, shift) { #expect(abs(mean + Double(correction)) < 1e-4 * largest) }
    }

    /// Biases that exist, that are shared, and that are not there yet.
    @Test func biasesAreFoundOrMade() throws {
        let graph = try QuantizationMomentTests.graph()
        let layers = graph.quantizableLayers()
        let shifts = layers.map { layer in
            (layer: layer, shift: (0..<layer.groups * layer.rows).map { Float($0) + 1 })
        }
        let (corrected, leftOut) = graph.addingToBiases(shifts)
        #expect(leftOut.isEmpty && corrected.nodes[2].inputs.count == 3)
        let x = NamedTensors([("x", try QuantizationMomentTests.inputs(2, seed: 3))])
        for (index, shift) in shifts.enumerated() {
            let (alone, _) = graph.addingToBiases([shift])
            let output = ["h1", "h2", "y"][index]
            let before = try Executable(graph).run(x, outputs: [output]).require(output)
            let after = try Executable(alone).run(x, outputs: [output]).require(output)
            let step = before.shape.rank == 4 ? before.shape[2] * before.shape[3] : 1
            for (place, pair) in zip(before.floats, after.floats).enumerated() {
                #expect(abs(pair.1 - pair.0 - shift.shift[place / step % shift.shift.count]) < 1e-4)
            }
        }
        let bare = LowRankFixtures.graph("MatMul", x: [2, 4], weight: QuantizationFixtures.weights([4, 3]))
        let layer = try #require(bare.quantizableLayers().first)
        let unchanged = bare.addingToBiases([(layer, [1, 2, 3])])
        #expect(unchanged.leftOut == ["w"] && unchanged.graph == bare)
        #expect(bare.layersTakingBiases([layer]).isEmpty && graph.layersTakingBiases(layers).count == layers.count)
    }
}
