import Engine
import Tensors
import Testing

@testable import Compression

@Suite struct LowRankRankTests {
    private static func noiseRank(_ matrix: Matrix) throws -> NoiseRank {
        NoiseRank(
            singularValues: try matrix.singularValueDecomposition().values, rows: matrix.rows, columns: matrix.columns)
    }

    /// Variance and rank by the formulas of the paper written out term by term over a grid of 200,000 variances.
    @Test(
        arguments: [
            (6, 10, [12, 7, 4.2, 3.5, 2.5, 1.5], 2.038041, 1), (6, 10, [5, 4.5, 4, 3.5, 3, 2.5], 1.479167, 0),
            (8, 8, [20, 15, 9, 4, 3, 2, 1, 0.5], 3.733790, 2), (5, 40, [30, 9, 8, 7, 6], 1.487300, 1),
        ] as [(Int, Int, [Double], Double, Int)])
    func noiseVarianceAndRankAreTheReferences(
        _ rows: Int, _ columns: Int, _ values: [Double], _ variance: Double, _ rank: Int
    ) throws {
        let found = NoiseRank(singularValues: values, rows: rows, columns: columns)
        #expect(abs(try #require(found.variance) / variance - 1) < 1e-3)
        #expect(found.rank == rank)
        #expect(NoiseRank(singularValues: values, rows: columns, columns: rows).rank == rank)
    }

    @Test(arguments: [(40, 60, 5), (60, 40, 5), (64, 64, 9), (24, 200, 3), (50, 70, 0)])
    func thePlantedRankIsFound(_ rows: Int, _ columns: Int, _ rank: Int) throws {
        var random = SeededGenerator(seed: UInt64(rows + columns))
        var values = LowRankReference.noise(rows * columns, &random).map { 0.3 * $0 }
        if rank > 0 {
            let planted = LowRankReference.product(
                LowRankReference.matrix(rows, rank, &random), LowRankReference.matrix(rank, columns, &random))
            values = zip(values, planted.values).map { $0 + $1 }
        }
        let found = try Self.noiseRank(Matrix(rows: rows, columns: columns, values: values))
        #expect(found.rank == rank)
        #expect(abs(try #require(found.variance) / 0.09 - 1) < 0.15)
    }

    @Test func withoutNoiseTheRankIsTheMatrixs() throws {
        var random = SeededGenerator(seed: 2)
        let low = LowRankReference.product(
            LowRankReference.matrix(20, 4, &random), LowRankReference.matrix(4, 30, &random))
        #expect(try Self.noiseRank(low).rank == 4)
        let zero = Matrix(rows: 4, columns: 6, values: Array(repeating: 0, count: 24))
        #expect(try Self.noiseRank(zero).rank == 0)
        #expect(try Self.noiseRank(Matrix(rows: 1, columns: 1, values: [3])).rank <= 1)
        #expect(try Self.noiseRank(Matrix(rows: 1, columns: 5, values: [3, 1, 0, 2, 5])).rank <= 1)
    }

    /// A dense layer of these extents.
    static func layer(_ name: String, inputs: Int, outputs: Int) -> FactorizableLayer {
        FactorizableLayer(
            name: name, node: name, nodeIndex: 0, form: .dense(DenseLayout(outputsFirst: true, isGemm: true)),
            inputs: inputs,
            outputs: outputs, places: 1, input: "x")
    }

    @Test func energyPicksTheSmallestRankAndRoundsWhereThatSaves() {
        let spectrum = LayerSpectrum(
            layer: Self.layer("w", inputs: 40, outputs: 40), method: .svd,
            energies: [[50, 30, 10, 5, 5] + Array(repeating: 0, count: 35)])
        #expect(spectrum.candidate(energy: 0.5, multiple: 1)?.rank == .single(1))
        #expect(spectrum.candidate(energy: 0.51, multiple: 1)?.rank == .single(2))
        #expect(spectrum.candidate(energy: 0.9, multiple: 1)?.rank == .single(3))
        #expect(spectrum.candidate(energy: 1, multiple: 1)?.rank == .single(5))
        #expect(spectrum.candidate(energy: 0.9, multiple: 8)?.rank == .single(8))
        // 24 ranks would leave more than the layer has.
        #expect(spectrum.candidate(energy: 0.9, multiple: 24)?.rank == .single(3))
        #expect(spectrum.candidates(multiple: 8).map(\.rank) == [.single(8), .single(16)])
        #expect(spectrum.candidates(multiple: 24).count == 19)
        let full = LayerSpectrum(
            layer: Self.layer("w", inputs: 40, outputs: 40), method: .svd, energies: [Array(repeating: 1, count: 40)])
        #expect(full.candidate(energy: 0.9, multiple: 1) == nil)
    }

    private static func candidates(_ losses: [Double]) -> [RankCandidate] {
        losses.enumerated().map { index, lost in
            let cost = 10 * (losses.count - index)
            return RankCandidate(method: .svd, rank: .single(index + 1), lost: lost, parameters: cost, macs: 2 * cost)
        }
    }

    /// Where each step saves as much and losses grow, steps by slope are the best choice: no other choice of the same total
    /// loses less.
    @Test func noChoiceOfTheSameTotalLosesLess() {
        var random = SeededGenerator(seed: 4)
        for _ in 0..<20 {
            let layers = (0..<3).map { _ in
                var (sum, step) = (0.0, 0.0)
                return Self.candidates(
                    (0..<4).map { _ in
                        step += Double(random.uniform())
                        sum += step
                        return sum
                    })
            }
            let solver = RankBudgetSolver(layers, originals: [50, 50, 50], measure: .parameters)
            #expect(solver.smallest == 30)
            for limit in stride(from: 30, through: 150, by: 10) {
                let chosen = solver.choose(limit: limit)
                #expect(chosen.reduce(0) { $0 + ($1?.parameters ?? 50) } <= limit)
                var least = Double.infinity
                for choice in 0..<125 {
                    let picks = [choice % 5, choice / 5 % 5, choice / 25]
                    let cost = picks.reduce(0) { $0 + 50 - 10 * $1 }
                    guard cost <= limit else { continue }
                    least = min(least, zip(layers, picks).reduce(0) { $0 + ($1.1 > 0 ? $1.0[$1.1 - 1].lost : 0) })
                }
                #expect(abs(chosen.reduce(0) { $0 + ($1?.lost ?? 0) } - least) < 1e-12)
            }
        }
    }

    @Test func theLastStepCutsNoMoreThanItMust() {
        // The hull's only step leads to the end; a budget may need less.
        let solver = RankBudgetSolver([Self.candidates([0.5, 0.55, 0.6])], originals: [80], measure: .macs)
        #expect(solver.choose(limit: 60)[0]?.lost == 0.5)
        #expect(solver.choose(limit: 40)[0]?.lost == 0.55)
        #expect(solver.choose(limit: 20)[0]?.lost == 0.6)
        #expect(solver.choose(limit: 80)[0] == nil)
    }

    @Test func pairsOfTuckerFallToOneAndSave() throws {
        let extents = ConvolutionExtents(
            kernel: [3, 3], strides: [1, 1], dilations: [1, 1], pads: [1, 1, 1, 1], autoPad: nil, input: [8, 8],
            output: [8, 8], batch: 1)
        let layer = FactorizableLayer(
            name: "w", node: "conv", nodeIndex: 0, form: .convolution(extents), inputs: 16, outputs: 32, places: 64,
            input: "x")
        var random = SeededGenerator(seed: 6)
        let energies = [16, 32].map { count in
            (0..<count).map { _ in Double(random.uniform()) }.sorted(by: >)
        }
        let spectrum = LayerSpectrum(layer: layer, method: .tucker, energies: energies)
        for multiple in [1, 8] {
            let found = spectrum.candidates(multiple: multiple)
            #expect(found.count > 1)
            #expect(zip(found, found.dropFirst()).allSatisfy { $0.parameters > $1.parameters && $0.lost <= $1.lost })
            #expect(found.allSatisfy { $0.parameters < layer.parameters && $0.macs < layer.macs })
            #expect(found.last?.rank == .pair(input: multiple, output: multiple))
        }
        #expect(spectrum.candidate(energy: 0.5, multiple: 1).map { $0.lost <= 0.5 + 1e-9 } == true)
    }
}
