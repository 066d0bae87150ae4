import Tensors
import Testing

@testable import Engine

/// Moments of patches against loops, and what is built on decompositions of them.
@Suite struct LinearAlgebraMomentTests {
    private struct Case {
        var extents: [Int]
        var groups: Int
        var window: PatchWindow
    }

    private static func random(_ generator: inout SeededGenerator, _ bounds: ClosedRange<Int>) -> Int {
        bounds.lowerBound + generator.index(below: bounds.count)
    }

    private static func someCase(_ generator: inout SeededGenerator) -> Case {
        let groups = random(&generator, 1...3)
        var window = PatchWindow()
        window.rows = random(&generator, 1...3)
        window.columns = random(&generator, 1...3)
        window.rowStep = random(&generator, 1...3)
        window.columnStep = random(&generator, 1...3)
        window.dilation = random(&generator, 1...2)
        window.columnDilation = random(&generator, 1...2)
        (window.top, window.bottom) = (random(&generator, 0...2), random(&generator, 0...2))
        (window.left, window.right) = (random(&generator, 0...2), random(&generator, 0...2))
        let extents = [
            random(&generator, 1...3), groups * random(&generator, 1...3), random(&generator, 5...8),
            random(&generator, 5...8),
        ]
        return Case(extents: extents, groups: groups, window: window)
    }

    /// [groups, n, n] and the number of patches, number by number.
    private static func reference(_ images: Tensor, _ it: Case, constant: Bool) -> (sum: [Double], places: Int) {
        let (channels, height, width) = (images.shape[1], images.shape[2], images.shape[3])
        let (values, window, own) = (images.floats, it.window, channels / it.groups)
        let size = own * window.rows * window.columns + (constant ? 1 : 0)
        let lastRow = height + window.bottom - ((window.rows - 1) * window.dilation + 1)
        let lastColumn = width + window.right - ((window.columns - 1) * window.columnDilation + 1)
        var sum = [Double](repeating: 0, count: it.groups * size * size)
        var places = 0
        for sample in 0..<images.shape[0] {
            for top in stride(from: -window.top, through: lastRow, by: window.rowStep) {
                for left in stride(from: -window.left, through: lastColumn, by: window.columnStep) {
                    places += 1
                    for group in 0..<it.groups {
                        var patch: [Double] = []
                        for channel in group * own..<(group + 1) * own {
                            for row in 0..<window.rows {
                                for column in 0..<window.columns {
                                    let y = top + row * window.dilation
                                    let x = left + column * window.columnDilation
                                    let isInside = (0..<height).contains(y) && (0..<width).contains(x)
                                    let index = ((sample * channels + channel) * height + y) * width + x
                                    patch.append(isInside ? Double(values[index]) : 0)
                                }
                            }
                        }
                        if constant { patch.append(1) }
                        for i in patch.indices {
                            for j in patch.indices { sum[(group * size + i) * size + j] += patch[i] * patch[j] }
                        }
                    }
                }
            }
        }
        return (sum, places)
    }

    @Test(arguments: 0..<24) func momentsOfPatchesAgreeWithLoops(_ number: Int) throws {
        var generator = SeededGenerator(seed: UInt64(number) + 100)
        let it = Self.someCase(&generator)
        let shape = try Shape(it.extents)
        let images = Tensor((0..<shape.elementCount).map { _ in 2 * generator.uniform() - 1 }, shape: shape)
        let constant = number.isMultiple(of: 2)
        let (expected, places) = Self.reference(images, it, constant: constant)
        let size = it.extents[1] / it.groups * it.window.rows * it.window.columns + (constant ? 1 : 0)
        var found = SecondMomentSum(size: size, groups: it.groups, hasConstant: constant)
        try found.add(images, window: it.window)
        #expect(found.places == places && found.sum.count == expected.count)
        var largest = 0.0
        for (a, b) in zip(found.sum, expected) { largest = max(largest, abs(a - b)) }
        #expect(largest < 1e-9)
        // Twice the data, twice the sum.
        try found.add(images, window: it.window)
        largest = 0
        for (a, b) in zip(found.sum, expected) { largest = max(largest, abs(a - 2 * b)) }
        #expect(largest < 1e-9 && found.places == 2 * places)
    }

    @Test func windowsThatDoNotFitAreRefused() throws {
        let images = Tensor(zeros: [1, 4, 5, 5])
        func refused(_ size: Int, groups: Int = 1, _ change: (inout PatchWindow) -> Void) -> Bool {
            var window = PatchWindow()
            change(&window)
            var sum = SecondMomentSum(size: size, groups: groups)
            do throws(EngineError) {
                try sum.add(images, window: window)
                return false
            } catch { return sum.places == 0 }
        }
        #expect(!refused(4) { _ in })
        #expect(refused(4, groups: 3) { _ in })
        #expect(refused(5) { _ in })
        #expect(refused(24) { $0.rows = 6 })
        #expect(refused(8) { ($0.columns, $0.columnDilation) = (2, 5) })
        for hostile in [0, -1, Int.max, Int.min] {
            #expect(refused(4) { $0.rows = hostile })
            #expect(refused(4) { $0.columnStep = hostile })
            #expect(refused(4) { $0.dilation = hostile })
        }
        #expect(refused(4) { $0.left = -1 })
        #expect(refused(4) { $0.bottom = Int.max })
    }

    /// Uᵀ U H = I, and U has nothing below its diagonal.
    @Test(arguments: [1, 2, 7, 20]) func theInverseCholeskyFactorInverts(_ size: Int) throws {
        var generator = SeededGenerator(seed: UInt64(size))
        let half = Matrix(
            rows: size, columns: size + 3,
            values: (0..<size * (size + 3)).map { _ in Double(generator.uniform()) - 0.5 })
        var matrix = try half.times(half, transposingOther: true)
        for place in 0..<size { matrix[place, place] += 0.1 }
        let factor = try matrix.inverseCholesky()
        for row in 0..<size {
            for column in 0..<row { #expect(factor[row, column] == 0) }
            #expect(factor[row, row] > 0)
        }
        let product = try factor.times(factor, transposingSelf: true).times(matrix)
        for row in 0..<size {
            for column in 0..<size { #expect(abs(product[row, column] - (row == column ? 1 : 0)) < 1e-8) }
        }
        var indefinite = matrix
        indefinite[0, 0] = -1
        #expect(throws: EngineError.self) { try indefinite.inverseCholesky() }
    }

    /// With a diagonal H nothing helps anything else: every weight goes to its nearer side.
    @Test func withoutCorrelationsEveryWeightGoesToTheNearest() throws {
        var generator = SeededGenerator(seed: 5)
        let (rows, columns) = (6, 9)
        var moments = [Float](repeating: 0, count: columns * columns)
        for column in 0..<columns { moments[column * (columns + 1)] = 0.5 + generator.uniform() }
        // Places well away from the middle, some weights that cannot move.
        let places = (0..<rows * columns).map { _ -> Float in
            let place = generator.uniform()
            return abs(place - 0.5) < 0.15 ? 0.9 : place
        }
        let span = places.indices.map { $0 % 7 == 3 ? Float(0) : 1 }
        let below = places.indices.map { span[$0] == 0 ? 0 : -places[$0] }
        var rounding = AdaptiveRounding()
        rounding.iterations = 400
        rounding.learningRate = 0.025
        let found = try rounding.places(
            groups: 1, rows: rows, columns: columns, moments: moments, below: below, span: span)
        for index in places.indices where span[index] > 0 {
            #expect((found[index] >= 0.5) == (places[index] >= 0.5), "weight \(index) of place \(places[index])")
        }
        let again = try rounding.places(
            groups: 1, rows: rows, columns: columns, moments: moments, below: below, span: span)
        #expect(again == found)
    }
}
