import ModelGraph
import Tensors
import Testing

@testable import Compression

enum QuantizationFixtures {
    /// Nearly normal, or of a Laplace distribution; a fifth exactly 0 where they are masked.
    static func weights(
        _ shape: Shape, laplace: Bool = false, masked: Bool = false, seed: UInt64 = 1
    ) -> Tensor {
        var random = SeededGenerator(seed: seed)
        let values = (0..<shape.elementCount).map { _ -> Float in
            if masked, random.index(below: 5) == 0 { return 0 }
            let normal = LowRankReference.noise(3, &random)
            // The product of a normal and the length of a pair of them is Laplace's.
            let length = (normal[1] * normal[1] + normal[2] * normal[2]).squareRoot()
            return Float(0.1 * normal[0] * (laplace ? length : 1))
        }
        return Tensor(values, shape: shape)
    }

    static func squaredError(_ a: Tensor, _ b: Tensor) -> Double {
        zip(a.floats, b.floats).reduce(0) { $0 + Double($1.0 - $1.1) * Double($1.0 - $1.1) }
    }

    /// Every kind of scheme, of a number of bits.
    static func schemes(bits: Int) -> [WeightScheme] {
        var found: [WeightScheme] = []
        for granularity in [WeightScheme.Granularity.tensor, .channel, .block(4)] {
            for range in [WeightScheme.Range.minMax, .leastSquares] {
                for isPower in [false, true] {
                    for levels in [WeightScheme.Levels.uniform, .kMeans, .powersOfTwo, .normalQuantiles]
                    where bits <= levels.mostBits {
                        found.append(
                            WeightScheme(
                                bits: bits, granularity: granularity, hasPowerOfTwoScales: isPower, levels: levels,
                                range: range))
                    }
                    found.append(
                        WeightScheme(
                            bits: bits, isSymmetric: false, granularity: granularity, hasPowerOfTwoScales: isPower,
                            range: range))
                }
            }
        }
        return found
    }
}

@Suite struct QuantizationSchemeTests {
    /// The promises of `QuantizedWeight`, exact zeros, and an error that no code beside the chosen one would make smaller.
    private static func check(_ tensor: Tensor, axis: Int, _ scheme: WeightScheme) throws {
        let found = try WeightQuantizer.quantize(tensor, axis: axis, scheme: scheme, name: "w")
        let dequantized = found.dequantized()
        #expect(found.values.shape == tensor.shape && dequantized.shape == tensor.shape && found.bits == scheme.bits)
        #expect(found.scales.allSatisfy { $0.isFinite && $0 >= .leastNormalMagnitude })
        #expect(!scheme.hasPowerOfTwoScales || found.scales.allSatisfy { $0.significand == 1 })
        if case .block(let size) = scheme.granularity {
            let along = axis == 0 ? 1 : axis - 1
            var extents = tensor.shape.dimensions
            extents[along] = (extents[along] + size - 1) / size
            #expect(found.blocks == .init(axis: along, size: size) && found.scales.count == extents.reduce(1, *))
        } else {
            #expect(found.blocks == nil && found.scales.count == tensor.shape[axis])
        }
        if scheme.granularity == .tensor { #expect(Set(found.scales).count == 1) }
        #expect((found.zeroPoints == nil) == scheme.isSymmetric)
        let codes = found.values.elements(as: Int8.self)
        if let codebook = found.codebook {
            #expect(codebook.count <= 1 << scheme.bits && codebook.contains(0) && codebook == codebook.sorted())
            #expect(Set(codebook).count == codebook.count)
            #expect(codebook.allSatisfy { $0 == $0.rounded() && abs($0) <= 127 }, "levels are the integers of the file")
            #expect(codes.allSatisfy { Int(UInt8(bitPattern: $0)) < codebook.count })
        } else {
            #expect(scheme.levels == .uniform && codes.allSatisfy { scheme.codes.contains(Int($0)) })
        }
        let (before, after) = (tensor.floats, dequantized.floats)
        for (a, b) in zip(before, after) { #expect(b.isFinite && (a != 0 || b == 0)) }
        // Any other code of the same element is no nearer.
        let grid = WeightGrid(found)
        let highest = found.codebook?.count ?? scheme.codes.count
        for element in stride(from: 0, to: before.count, by: 7) {
            let error = abs(Double(after[element]) - Double(before[element]))
            for number in 0..<highest {
                let code =
                    found.codebook == nil
                    ? Int8(scheme.codes.lowerBound + number) : Int8(bitPattern: UInt8(number))
                let other = abs(Double(grid.value(code, ofElement: element)) - Double(before[element]))
                #expect(other >= error - 1e-6 * Double(abs(before[element])), "code \(code) of \(before[element])")
            }
        }
    }

    @Test(arguments: [2, 3, 4, 7, 8]) func everySchemeKeepsItsPromises(_ bits: Int) throws {
        let convolution = QuantizationFixtures.weights([3, 6, 2, 1], masked: true, seed: UInt64(bits))
        let matrix = QuantizationFixtures.weights([10, 3], laplace: true, masked: true, seed: UInt64(bits) + 10)
        for scheme in QuantizationFixtures.schemes(bits: bits) {
            try Self.check(convolution, axis: 0, scheme)
            try Self.check(matrix, axis: 1, scheme)
        }
    }

    @Test func eightBitsByChannelAreWhatTheyWere() throws {
        let tensor = QuantizationFixtures.weights([5, 7], masked: true)
        let found = try WeightQuantizer.perChannelInt8(tensor, axis: 1, name: "w")
        let values = tensor.floats
        for channel in 0..<7 {
            let own = (0..<5).map { values[$0 * 7 + channel] }
            let scale = (own.map(abs).max() ?? 0) / 127
            #expect(found.scales[channel] == scale)
            for row in 0..<5 {
                let code = (own[row] / scale).rounded(.toNearestOrEven)
                #expect(found.values.elements(as: Int8.self)[row * 7 + channel] == Int8(code))
            }
        }
        #expect(found.zeroPoints == nil && found.bits == 8 && found.axis == 1)
    }

    /// Of a wide range and of numbers at the ends of float32.
    @Test func extremesNeverBecomeNaN() throws {
        let (big, tiny) = (Float.greatestFiniteMagnitude, Float.leastNonzeroMagnitude)
        let tensors = [
            Tensor([big, -big, 1, 0, 0, 0, 0, 0] as [Float], shape: [2, 4]),
            Tensor([tiny, 0, -tiny, .leastNormalMagnitude] as [Float], shape: [2, 2]),
            Tensor([1, 1, 1, 1, -3, -3, -3, -3] as [Float], shape: [2, 4]),
        ]
        for tensor in tensors {
            for bits in [2, 4, 7, 8] {
                for scheme in QuantizationFixtures.schemes(bits: bits) {
                    let found = try WeightQuantizer.quantize(tensor, axis: 0, scheme: scheme, name: "w")
                    #expect(found.scales.allSatisfy { $0.isFinite && $0 >= .leastNormalMagnitude })
                    let values = found.dequantized().floats
                    #expect(values.allSatisfy { $0.isFinite })
                }
            }
        }
    }

    @Test func leastSquaresAndCodebooksAreNoWorse() throws {
        for laplace in [false, true] {
            let tensor = QuantizationFixtures.weights([8, 200], laplace: laplace, seed: 3)
            for bits in [2, 3, 4] {
                func error(_ levels: WeightScheme.Levels, _ range: WeightScheme.Range, symmetric: Bool = true) throws
                    -> Double
                {
                    let scheme = WeightScheme(bits: bits, isSymmetric: symmetric, levels: levels, range: range)
                    let found = try WeightQuantizer.quantize(tensor, axis: 0, scheme: scheme, name: "w")
                    return QuantizationFixtures.squaredError(tensor, found.dequantized())
                }
                let (whole, clipped) = (try error(.uniform, .minMax), try error(.uniform, .leastSquares))
                #expect(clipped < whole)
                let drawnIn = try error(.uniform, .leastSquares, symmetric: false)
                #expect(try drawnIn < error(.uniform, .minMax, symmetric: false))
                #expect(try error(.kMeans, .minMax) <= whole)
                #expect(try error(.kMeans, .leastSquares) <= clipped)
                #expect(try error(.normalQuantiles, .leastSquares) <= error(.normalQuantiles, .minMax))
            }
        }
    }

    /// An input that counts a thousandfold gets steps that fit it.
    @Test func importanceMovesTheScale() throws {
        let tensor = QuantizationFixtures.weights([4, 64], laplace: true, seed: 9)
        var weights = [Float](repeating: 1, count: 256)
        for index in weights.indices where index % 8 == 3 { weights[index] = 1000 }
        let importance = Tensor(weights, shape: [4, 64])
        let scheme = WeightScheme(bits: 3, range: .leastSquares)
        func weighted(_ importance: Tensor?) throws -> Double {
            let found = try WeightQuantizer.quantize(tensor, axis: 0, scheme: scheme, name: "w", importance: importance)
            let pairs = zip(tensor.floats, found.dequantized().floats)
            return zip(pairs, weights).reduce(0) { sum, item in
                let difference = Double(item.0.0 - item.0.1)
                return sum + Double(item.1) * difference * difference
            }
        }
        #expect(try weighted(importance) < weighted(nil))
    }

    /// NF4 as its authors list it.
    @Test func fourBitQuantilesAreThePublishedOnes() {
        let published: [Float] = [
            -1, -0.6961928, -0.52507305, -0.39491749, -0.28444138, -0.18477343, -0.09105004, 0, 0.0795803, 0.1609302,
            0.2461123, 0.33791524, 0.44070983, 0.562617, 0.72295684, 1,
        ]
        let found = LevelSet.normalQuantiles(bits: 4).levels
        #expect(found.count == 16)
        for (a, b) in zip(found, published) { #expect(abs(a - b) < 1e-4) }
    }

    /// What the fit has chosen is what the file says, for every target's largest code.
    @Test(arguments: [WeightScheme.Levels.kMeans, .powersOfTwo, .normalQuantiles], [63, 127])
    func codebooksAreFittedAsTheyAreWritten(_ levels: WeightScheme.Levels, _ largestCode: Int) throws {
        let tensor = QuantizationFixtures.weights([12, 80], laplace: true, seed: 21)
        for bits in 2...levels.mostBits {
            for isPower in [false, true] {
                let scheme = WeightScheme(
                    bits: bits, hasPowerOfTwoScales: isPower, levels: levels, range: .leastSquares,
                    largestCode: largestCode)
                let found = try WeightQuantizer.quantize(tensor, axis: 0, scheme: scheme, name: "w")
                let written = IntegerLevels(try #require(found.codebook), largestCode: largestCode)
                #expect(written.step == 1 && written.codes.map(Float.init) == found.codebook)
                #expect(!isPower || found.scales.allSatisfy { $0.significand == 1 })
                guard levels == .kMeans, !isPower else { continue }
                let uniform = try WeightQuantizer.quantize(
                    tensor, axis: 0, scheme: WeightScheme(bits: bits, range: .leastSquares), name: "w")
                let (own, steps) = (found.dequantized(), uniform.dequantized())
                let error = QuantizationFixtures.squaredError(tensor, own)
                #expect(error <= QuantizationFixtures.squaredError(tensor, steps) * (1 + 1e-6), "\(bits) bits")
            }
        }
    }

    @Test func powersOfTwoAreExact() {
        #expect(LevelSet.powersOfTwo(bits: 3).levels == [-1, -0.5, -0.25, 0, 0.25, 0.5, 1])
        #expect(UniformFit.powerOfTwo(atLeast: 0.3) == 0.5 && UniformFit.powerOfTwo(atLeast: 0.5) == 0.5)
        #expect(UniformFit.powerOfTwo(atLeast: .greatestFiniteMagnitude) == 0x1p127)
    }

    @Test func whatCannotBeQuantizedIsNamed() throws {
        let broken = Tensor([1, .nan, 2, .infinity] as [Float], shape: [2, 2])
        #expect(throws: CompressionError.weightsNotFinite(tensor: "w")) {
            try WeightQuantizer.quantize(broken, axis: 0, scheme: WeightScheme(bits: 4), name: "w")
        }
        for scheme in [
            WeightScheme(bits: 1), WeightScheme(bits: 9), WeightScheme(bits: 4, granularity: .block(0)),
            WeightScheme(bits: 4, isSymmetric: false, levels: .kMeans), WeightScheme(bits: 8, levels: .kMeans),
            WeightScheme(bits: 8, levels: .normalQuantiles), WeightScheme(bits: 5, levels: .powersOfTwo),
            WeightScheme(bits: 4, levels: .kMeans, largestCode: 128),
        ] {
            #expect(throws: CompressionError.self) { try scheme.validate() }
        }
        #expect(throws: CompressionError.self) {
            try WeightQuantizer.quantize(
                Tensor([1, 2] as [Float], shape: [2]), axis: 0, scheme: WeightScheme(granularity: .block(2)), name: "w")
        }
    }
}
