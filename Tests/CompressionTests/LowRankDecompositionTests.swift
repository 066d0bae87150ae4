import Engine
import Tensors
import Testing

@testable import Compression

/// Random matrices and slow products, for all tests of low rank.
enum LowRankReference {
    /// Nearly normal numbers of mean 0 and variance 1.
    static func noise(_ count: Int, _ random: inout SeededGenerator) -> [Double] {
        (0..<count).map { _ in Double((0..<12).reduce(Float(-6)) { sum, _ in sum + random.uniform() }) }
    }

    static func matrix(_ rows: Int, _ columns: Int, _ random: inout SeededGenerator) -> Matrix {
        Matrix(rows: rows, columns: columns, values: noise(rows * columns, &random))
    }

    /// a b, term by term.
    static func product(_ a: Matrix, _ b: Matrix) -> Matrix {
        var result = Matrix(
            rows: a.rows, columns: b.columns, values: Array(repeating: 0, count: a.rows * b.columns))
        for row in 0..<a.rows {
            for column in 0..<b.columns {
                result[row, column] = (0..<a.columns).reduce(0) { $0 + a[row, $1] * b[$1, column] }
            }
        }
        return result
    }

    /// Σ of the squared differences.
    static func distance(_ a: Matrix, _ b: Matrix) -> Double {
        zip(a.values, b.values).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
    }
}

@Suite struct LowRankDecompositionTests {
    private static let shapes = [(1, 1), (1, 7), (7, 1), (4, 4), (3, 9), (9, 3), (16, 11)]

    @Test(arguments: shapes) func whatIsCutIsWhatIsLost(_ rows: Int, _ columns: Int) throws {
        var random = SeededGenerator(seed: UInt64(rows * 100 + columns))
        let matrix = LowRankReference.matrix(rows, columns, &random)
        let parts = try matrix.singularValueDecomposition()
        #expect(parts.values == parts.values.sorted(by: >))
        for rank in 1...min(rows, columns) {
            let cut = LowRankReference.product(
                parts.left.prefix(columns: rank).scalingColumns(by: Array(parts.values.prefix(rank))),
                parts.right.prefix(columns: rank).transposed)
            let lost = parts.values.dropFirst(rank).reduce(0) { $0 + $1 * $1 }
            #expect(abs(LowRankReference.distance(matrix, cut) - lost) < 1e-10 * matrix.energy)
        }
    }

    @Test(arguments: shapes) func factorsAreOrthonormalAndTheirSignsFixed(_ rows: Int, _ columns: Int) throws {
        var random = SeededGenerator(seed: 7)
        let matrix = LowRankReference.matrix(rows, columns, &random)
        let parts = try matrix.singularValueDecomposition()
        for factor in [parts.left, parts.right] {
            let gram = LowRankReference.product(factor.transposed, factor)
            #expect(LowRankReference.distance(gram, Matrix(identity: gram.rows)) < 1e-20)
        }
        for column in 0..<parts.left.columns {
            let values = (0..<rows).map { parts.left[$0, column] }
            #expect((values.max { abs($0) < abs($1) } ?? 0) > 0)
        }
        #expect(try matrix.singularValueDecomposition() == parts)
    }

    /// No rank cuts less than the energy that Eckart and Young allow: other bases of the same rank lose more.
    @Test func noOtherBasisLosesLess() throws {
        var random = SeededGenerator(seed: 11)
        let matrix = LowRankReference.matrix(8, 6, &random)
        let parts = try matrix.singularValueDecomposition()
        let best = parts.values.dropFirst(2).reduce(0) { $0 + $1 * $1 }
        for _ in 0..<20 {
            let basis = try LowRankReference.matrix(8, 2, &random).singularValueDecomposition().left
            let projected = LowRankReference.product(basis, LowRankReference.product(basis.transposed, matrix))
            #expect(LowRankReference.distance(matrix, projected) > best)
        }
    }

    @Test func deficientAndZeroMatricesHaveZerosAtTheEnd() throws {
        var random = SeededGenerator(seed: 3)
        let low = LowRankReference.product(
            LowRankReference.matrix(9, 2, &random), LowRankReference.matrix(2, 6, &random))
        let values = try low.singularValueDecomposition().values
        #expect(values[1] > 0.1 && values[2...].allSatisfy { $0 < 1e-12 })
        let zero = try Matrix(rows: 3, columns: 5, values: Array(repeating: 0, count: 15)).singularValueDecomposition()
        #expect(zero.values == [0, 0, 0])
        #expect(zero.left.isFinite && zero.right.isFinite)
    }

    @Test(arguments: [Double.nan, .infinity]) func whatIsNotFiniteIsRefused(_ value: Double) {
        let matrix = Matrix(rows: 2, columns: 2, values: [1, 2, value, 4])
        #expect(throws: EngineError.self) { try matrix.singularValueDecomposition() }
        #expect(throws: EngineError.self) { try matrix.eigenDecomposition() }
    }

    @Test func eigenvaluesRebuildASymmetricMatrix() throws {
        var random = SeededGenerator(seed: 5)
        let half = LowRankReference.matrix(6, 9, &random)
        let matrix = LowRankReference.product(half, half.transposed)
        let parts = try matrix.eigenDecomposition()
        let rebuilt = LowRankReference.product(
            parts.vectors.scalingColumns(by: parts.values), parts.vectors.transposed)
        #expect(LowRankReference.distance(matrix, rebuilt) < 1e-20 * matrix.energy)
        #expect(parts.values == parts.values.sorted())
    }

    @Test func productsAgreeWithTermByTerm() throws {
        var random = SeededGenerator(seed: 9)
        let (a, b) = (LowRankReference.matrix(3, 5, &random), LowRankReference.matrix(5, 4, &random))
        let expected = LowRankReference.product(a, b)
        for (first, flipsFirst) in [(a, false), (a.transposed, true)] {
            for (second, flipsSecond) in [(b, false), (b.transposed, true)] {
                let found = try first.times(second, transposingSelf: flipsFirst, transposingOther: flipsSecond)
                #expect(LowRankReference.distance(found, expected) < 1e-24)
            }
        }
    }

    /// Strides, dilations and pads of both axes, against loops.
    @Test func secondMomentsAgreeWithLoops() throws {
        var random = SeededGenerator(seed: 13)
        let (samples, channels, height, width) = (3, 2, 7, 5)
        let images = Tensor(
            LowRankReference.noise(samples * channels * height * width, &random).map(Float.init),
            shape: try Shape([samples, channels, height, width]))
        var window = PatchWindow()
        (window.rows, window.rowStep, window.dilation, window.columnStep) = (3, 2, 2, 2)
        (window.top, window.bottom, window.left, window.right) = (1, 2, 1, 0)
        var found = SecondMomentSum(size: channels * 3)
        try found.add(images, window: window)
        try found.add(images, window: window)
        let values = images.floats
        var (expected, places) = ([Double](repeating: 0, count: 36), 0)
        for sample in 0..<samples {
            for row in stride(from: -1, through: height + 2 - 5, by: 2) {
                for column in stride(from: -1, to: width, by: 2) {
                    let patch = (0..<channels).flatMap { channel in
                        (0..<3).map { offset -> Double in
                            let y = row + 2 * offset
                            guard (0..<height).contains(y), (0..<width).contains(column) else { return 0 }
                            return Double(values[((sample * channels + channel) * height + y) * width + column])
                        }
                    }
                    for i in 0..<6 { for j in 0..<6 { expected[i * 6 + j] += 2 * patch[i] * patch[j] } }
                    places += 2
                }
            }
        }
        #expect(found.places == places)
        #expect(zip(found.sum, expected).allSatisfy { abs($0 - $1) < 1e-9 })
        #expect(throws: EngineError.self) { try found.add(Tensor(zeros: [1, 3, 7, 5]), window: window) }
    }
}
